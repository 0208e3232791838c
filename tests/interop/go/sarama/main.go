// Sarama behind the verbs of the matrix. usage: sarama ADDRESS
package main

import (
	"errors"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"moldau.test/clients/verbs"
)

type (
	request = verbs.Request
	answer  = verbs.Answer
)

type peer struct {
	address   []string
	producers map[string]sarama.SyncProducer
	members   map[string]reader
	client    sarama.ClusterAdmin
}

func code(err error) any {
	var several sarama.ProducerErrors
	if errors.As(err, &several) && len(several) > 0 {
		return code(several[0].Err)
	}
	var e sarama.KError
	if errors.As(err, &e) {
		return int16(e)
	}
	return nil
}

func (p *peer) config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	if asked, err := sarama.ParseKafkaVersion(os.Getenv("SARAMA_VERSION")); err == nil {
		c.Version = asked
	}
	c.Metadata.Retry.Max, c.Metadata.Retry.Backoff = 10, 100*time.Millisecond
	return c
}

func (p *peer) hello(*request) (answer, error) {
	info, _ := debug.ReadBuildInfo()
	for _, d := range info.Deps {
		if strings.HasSuffix(d.Path, "IBM/sarama") {
			return answer{"client": "sarama " + d.Version}, nil
		}
	}
	return nil, nil
}

func (p *peer) produce(r *request) (answer, error) {
	producer := p.producers[r.Name]
	if producer == nil {
		c := p.config()
		c.Producer.Compression = map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
			"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}[r.Codec]
		c.Producer.RequiredAcks = map[string]sarama.RequiredAcks{"0": sarama.NoResponse, "1": sarama.WaitForLocal, "all": sarama.WaitForAll}[r.Acks]
		c.Producer.Idempotent = r.Idempotent
		if r.Idempotent {
			c.Net.MaxOpenRequests = 1
		}
		c.Producer.Return.Successes = true
		c.Producer.Partitioner = sarama.NewManualPartitioner
		c.Producer.MaxMessageBytes = int(r.SizeMax) + 200000
		c.Producer.Flush.Frequency, c.Producer.Retry.Max = 5*time.Millisecond, 20
		var err error
		if producer, err = sarama.NewSyncProducer(p.address, c); err != nil {
			return nil, err
		}
		if r.Name != "" {
			p.producers[r.Name] = producer
		} else {
			defer producer.Close()
		}
	}
	var messages []*sarama.ProducerMessage
	for _, row := range r.Records {
		m := &sarama.ProducerMessage{Topic: r.Topic, Partition: r.Partition}
		if row.Key != nil {
			m.Key = sarama.ByteEncoder(verbs.Bytes(row.Key))
		}
		if row.Value != nil {
			m.Value = sarama.ByteEncoder(verbs.Bytes(row.Value))
		}
		for _, h := range row.Headers {
			name, value := verbs.Header(h)
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(name), Value: value})
		}
		if row.Timestamp != nil {
			m.Timestamp = time.UnixMilli(*row.Timestamp)
		}
		messages = append(messages, m)
	}
	return nil, producer.SendMessages(messages)
}

func (p *peer) closeProducer(r *request) (answer, error) {
	defer delete(p.producers, r.Name)
	return nil, p.producers[r.Name].Close()
}

func main() {
	p := &peer{os.Args[1:2], map[string]sarama.SyncProducer{}, map[string]reader{}, nil}
	verbs.Serve(map[string]verbs.Func{
		"hello": p.hello, "produce": p.produce, "close_producer": p.closeProducer, "open": p.open, "join": p.join, "poll": p.poll,
		"commit": p.commit, "commit_offset": p.commitOffset, "committed": p.committed, "leave": p.leave, "offset_of_time": p.offsetOfTime,
		"create_topic": p.createTopic, "list_topics": p.listTopics, "describe_topic": p.describeTopic, "describe_configs": p.describeConfigs,
		"alter_config": p.alterConfig, "create_partitions": p.createPartitions, "delete_records": p.deleteRecords,
		"list_offsets": p.listOffsets, "list_groups": p.listGroups, "describe_group": p.describeGroup, "delete_group": p.deleteGroup,
		"delete_topic": p.deleteTopic,
	}, code)
}
