// franz-go: every codec, idempotent and not, a group that resumes, admin; or one file through a topic. See run_test
// and ../file.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func client(address string, opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(address))...)
	must(err)
	return c
}

func read(ctx context.Context, address, topic string, from, count int) {
	c := client(address, kgo.ConsumerGroup("g-"+topic), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	for n := from; n < from+count; {
		fetches := c.PollRecords(ctx, from+count-n)
		must(ctx.Err())
		for _, e := range fetches.Errors() {
			must(e.Err)
		}
		for _, r := range fetches.Records() {
			if !bytes.Equal(r.Value, value(n)) {
				must(fmt.Errorf("%s: record %d differs", topic, n))
			}
			n++
		}
	}
	must(c.CommitUncommittedOffsets(ctx))
}

func value(n int) []byte { return []byte(fmt.Sprintf("%d:%s", n, bytes.Repeat([]byte("y"), n))) }

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Second)
	defer cancel()
	address := os.Args[1]
	if len(os.Args) > 3 && os.Args[2] == "produce" {
		produceFile(ctx, address, os.Args[3])
		return
	}
	if len(os.Args) > 4 && os.Args[2] == "consume" {
		consumeFile(ctx, address, os.Args[3], os.Args[4])
		return
	}
	admin := kadm.NewClient(client(address))
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for i, codec := range codecs {
		topic := fmt.Sprintf("go-%d", i)
		_, err := admin.CreateTopic(ctx, 1, 1, nil, topic)
		must(err)
		opts := []kgo.Opt{kgo.ProducerBatchCompression(codec)}
		if i%2 == 1 {
			opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
		}
		producer := client(address, opts...)
		var records []*kgo.Record
		for n := 0; n < 200; n++ {
			records = append(records, &kgo.Record{Topic: topic, Value: value(n)})
		}
		must(producer.ProduceSync(ctx, records...).FirstErr())
		producer.Close()
		read(ctx, address, topic, 0, 50)
		read(ctx, address, topic, 50, 150)
		fmt.Println("done codec", i)
	}
	_, err := admin.DeleteTopics(ctx, "go-0")
	must(err)
	fmt.Println("done admin")
}
