package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Every line of standard input as a record of the topic's partition 0.
func produceFile(ctx context.Context, address, topic string) {
	c := client(address, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(50000), kgo.AllowAutoTopicCreation())
	defer c.Close()
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		must(err)
		c.Produce(ctx, &kgo.Record{Value: bytes.TrimSuffix(line, []byte("\n"))}, func(_ *kgo.Record, err error) { must(err) })
	}
	must(c.Flush(ctx))
}

// So many records of partition 0, from its beginning, as lines on standard output.
func consumeFile(ctx context.Context, address, topic, count string) {
	left, err := strconv.Atoi(count)
	must(err)
	c := client(address, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer c.Close()
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for left > 0 {
		fetches := c.PollFetches(ctx)
		must(ctx.Err())
		for _, e := range fetches.Errors() {
			must(e.Err)
		}
		for _, r := range fetches.Records() {
			out.Write(append(r.Value, '\n'))
			left--
		}
	}
	must(out.Flush())
}
