package main

import (
	"context"
	"errors"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"moldau.test/clients/verbs"
)

type (
	request = verbs.Request
	answer  = verbs.Answer
	offsets = map[string]map[int32]kgo.EpochOffset
)

// A consumer; its partitions are told by callbacks of the library.
type member struct {
	client *kgo.Client
	group  string
	held   offsets
	lock   sync.Mutex
	owned  map[string]map[int32]bool
}

func (m *member) change(has bool) func(context.Context, *kgo.Client, map[string][]int32) {
	return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
		m.lock.Lock()
		defer m.lock.Unlock()
		for topic, numbers := range parts {
			if m.owned[topic] == nil {
				m.owned[topic] = map[int32]bool{}
			}
			for _, n := range numbers {
				m.owned[topic][n] = has
			}
		}
	}
}

type peer struct {
	address   string
	producers map[string]*kgo.Client
	members   map[string]*member
	admin     *kadm.Client
	ctx       context.Context
}

func newPeer(address string) *peer {
	return &peer{address, map[string]*kgo.Client{}, map[string]*member{}, kadm.NewClient(client(address)), context.Background()}
}

func (p *peer) verbs() map[string]verbs.Func {
	return map[string]verbs.Func{
		"hello": p.hello, "produce": p.produce, "close_producer": p.closeProducer, "open": p.open, "join": p.join, "poll": p.poll,
		"commit": p.commit, "commit_offset": p.commitOffset, "committed": p.committed, "leave": p.leave, "offset_of_time": p.offsetOfTime,
		"create_topic": p.createTopic, "list_topics": p.listTopics, "describe_topic": p.describeTopic, "describe_configs": p.describeConfigs,
		"alter_config": p.alterConfig, "create_partitions": p.createPartitions, "delete_records": p.deleteRecords,
		"list_offsets": p.listOffsets, "list_groups": p.listGroups, "describe_group": p.describeGroup, "delete_group": p.deleteGroup,
		"delete_topic": p.deleteTopic,
	}
}

func (p *peer) hello(*request) (answer, error) {
	info, _ := debug.ReadBuildInfo()
	for _, d := range info.Deps {
		if d.Path == "github.com/twmb/franz-go" {
			return answer{"client": "franz-go " + d.Version}, nil
		}
	}
	return nil, nil
}

func (p *peer) produce(r *request) (answer, error) {
	c := p.producers[r.Name]
	if c == nil {
		codec := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
			"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}[r.Codec]
		acks := map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()}[r.Acks]
		opts := []kgo.Opt{kgo.ProducerBatchCompression(codec), kgo.RequiredAcks(acks), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerBatchMaxBytes(r.SizeMax + 200000), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(3)}
		if !r.Idempotent {
			opts = append(opts, kgo.DisableIdempotentWrite())
		}
		c = client(p.address, opts...)
		if r.Name != "" {
			p.producers[r.Name] = c
		} else {
			defer c.Close()
		}
	}
	var records []*kgo.Record
	for _, row := range r.Records {
		record := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: verbs.Bytes(row.Key), Value: verbs.Bytes(row.Value)}
		for _, h := range row.Headers {
			name, value := verbs.Header(h)
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: value})
		}
		if row.Timestamp != nil {
			record.Timestamp = time.UnixMilli(*row.Timestamp)
		}
		records = append(records, record)
	}
	ctx, cancel := context.WithTimeout(p.ctx, 40*time.Second)
	defer cancel()
	return nil, c.ProduceSync(ctx, records...).FirstErr()
}

func (p *peer) closeProducer(r *request) (answer, error) {
	p.producers[r.Name].Close()
	delete(p.producers, r.Name)
	return nil, nil
}

func (p *peer) start(r *request, opts ...kgo.Opt) *member {
	m := &member{group: r.Group, held: offsets{}, owned: map[string]map[int32]bool{}}
	reset := map[string]kgo.Offset{"earliest": kgo.NewOffset().AtStart(), "latest": kgo.NewOffset().AtEnd(), "none": kgo.NoResetOffset()}
	m.client = client(p.address, append(opts, kgo.ConsumeResetOffset(reset[r.Reset]), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.FetchMaxPartitionBytes(6000000))...)
	p.members[r.Name] = m
	return m
}

func (p *peer) open(r *request) (answer, error) {
	at := kgo.NewOffset().At(r.OffsetNumber())
	p.start(r, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.Topic: {r.Partition: at}}))
	return nil, nil
}

func (p *peer) join(r *request) (answer, error) {
	var m *member
	opts := []kgo.Opt{kgo.ConsumerGroup(r.Group), kgo.ConsumeTopics(r.Topics...), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(time.Duration(r.SessionMs) * time.Millisecond), kgo.HeartbeatInterval(time.Duration(r.HeartbeatMs) * time.Millisecond)}
	ready := make(chan struct{})
	later := func(has bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(ctx context.Context, c *kgo.Client, parts map[string][]int32) {
			<-ready
			m.change(has)(ctx, c, parts)
		}
	}
	opts = append(opts, kgo.OnPartitionsAssigned(later(true)), kgo.OnPartitionsRevoked(later(false)), kgo.OnPartitionsLost(later(false)))
	if r.Instance != "" {
		opts = append(opts, kgo.InstanceID(r.Instance))
	}
	m = p.start(r, opts...)
	close(ready)
	return nil, nil
}

func (p *peer) poll(r *request) (answer, error) {
	m := p.members[r.Name]
	ctx, cancel := context.WithTimeout(p.ctx, time.Duration(r.Ms)*time.Millisecond)
	defer cancel()
	fetches := m.client.PollRecords(ctx, r.Max)
	for _, e := range fetches.Errors() {
		var network *net.OpError // it tells these and goes on
		if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.As(e.Err, &network) {
			return nil, e.Err
		}
	}
	rows := []answer{}
	for _, record := range fetches.Records() {
		headers := [][2]any{}
		for _, h := range record.Headers {
			headers = append(headers, [2]any{h.Key, h.Value})
		}
		rows = append(rows, verbs.Row(record.Partition, record.Offset, record.Key, record.Value, record.Timestamp.UnixMilli(), headers))
		if m.held[record.Topic] == nil {
			m.held[record.Topic] = map[int32]kgo.EpochOffset{}
		}
		m.held[record.Topic][record.Partition] = kgo.EpochOffset{Epoch: -1, Offset: record.Offset + 1}
	}
	owned := [][2]any{}
	m.lock.Lock()
	defer m.lock.Unlock()
	for topic, parts := range m.owned {
		for number, has := range parts {
			if has {
				owned = append(owned, [2]any{topic, number})
			}
		}
	}
	return answer{"records": rows, "assignment": owned}, nil
}

func (p *peer) commit(r *request) (answer, error) {
	var failed error
	m := p.members[r.Name]
	m.client.CommitOffsetsSync(p.ctx, m.held, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, done *kmsg.OffsetCommitResponse, err error) {
		failed = err
		if done == nil {
			return
		}
		for _, t := range done.Topics {
			for _, part := range t.Partitions {
				if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
					failed = err
				}
			}
		}
	})
	return nil, failed
}

func (p *peer) commitOffset(r *request) (answer, error) {
	m := p.members[r.Name]
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = m.group
	req.MemberID, req.Generation = m.client.GroupMetadata()
	known, err := p.admin.ListTopics(p.ctx, r.Topic)
	if err != nil {
		return nil, err
	}
	topic, part := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	topic.Topic, part.Partition, part.Offset, part.Metadata = r.Topic, r.Partition, r.OffsetNumber(), kmsg.StringPtr(r.Metadata)
	topic.TopicID = known[r.Topic].ID
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	done, err := req.RequestWith(p.ctx, m.client)
	if err != nil {
		return nil, err
	}
	return nil, kerr.ErrorForCode(done.Topics[0].Partitions[0].ErrorCode)
}

func (p *peer) leave(r *request) (answer, error) {
	if m := p.members[r.Name]; m != nil {
		m.client.CloseAllowingRebalance()
		delete(p.members, r.Name)
	}
	return nil, nil
}
