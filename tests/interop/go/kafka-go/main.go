// segmentio's kafka-go behind the verbs of the matrix. usage: kafka-go ADDRESS
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"moldau.test/clients/verbs"
)

type (
	request = verbs.Request
	answer  = verbs.Answer
)

type member struct {
	reader *kafka.Reader
	group  string
	last   map[string]kafka.Message
	lock   sync.Mutex
	owned  [][2]any
}

type peer struct {
	address string
	writers map[string]*kafka.Writer
	members map[string]*member
	client  *kafka.Client
	ctx     context.Context
}

func code(err error) any {
	var several kafka.WriteErrors
	if errors.As(err, &several) {
		for _, e := range several {
			if e != nil {
				return code(e)
			}
		}
	}
	var large kafka.MessageTooLargeError
	if errors.As(err, &large) {
		return 10
	}
	var e kafka.Error
	if errors.As(err, &e) {
		return int(e)
	}
	return nil
}

func (p *peer) hello(*request) (answer, error) {
	info, _ := debug.ReadBuildInfo()
	for _, d := range info.Deps {
		if strings.HasSuffix(d.Path, "segmentio/kafka-go") {
			return answer{"client": "kafka-go " + d.Version}, nil
		}
	}
	return nil, nil
}

func (p *peer) produce(r *request) (answer, error) {
	if r.Idempotent {
		return nil, verbs.Lacks("no idempotent producer")
	}
	w := p.writers[r.Name]
	if w == nil {
		partition := int(r.Partition)
		transport := &kafka.Transport{MetadataTTL: 100 * time.Millisecond} // the shared one holds on to dead connections
		defer transport.CloseIdleConnections()
		w = &kafka.Writer{Addr: kafka.TCP(p.address), Transport: transport, AllowAutoTopicCreation: true, BatchTimeout: 5 * time.Millisecond,
			BatchBytes: int64(r.SizeMax) + 200000, WriteBackoffMax: 300 * time.Millisecond,
			RequiredAcks: map[string]kafka.RequiredAcks{"0": kafka.RequireNone, "1": kafka.RequireOne, "all": kafka.RequireAll}[r.Acks],
			Compression:  map[string]kafka.Compression{"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}[r.Codec],
			Balancer:     kafka.BalancerFunc(func(kafka.Message, ...int) int { return partition })}
		defer w.Close()
	}
	var messages []kafka.Message
	for _, row := range r.Records {
		if (row.Key != nil && len(*row.Key) == 0) || (row.Value != nil && len(*row.Value) == 0) {
			return nil, verbs.Lacks("it reads empty as null")
		}
		m := kafka.Message{Topic: r.Topic, Key: verbs.Bytes(row.Key), Value: verbs.Bytes(row.Value)}
		for _, h := range row.Headers {
			name, value := verbs.Header(h)
			if value != nil && len(value) == 0 {
				return nil, verbs.Lacks("it reads empty as null")
			}
			m.Headers = append(m.Headers, kafka.Header{Key: name, Value: value})
		}
		if row.Timestamp != nil {
			m.Time = time.UnixMilli(*row.Timestamp)
		}
		messages = append(messages, m)
	}
	ctx, cancel := context.WithTimeout(p.ctx, 40*time.Second)
	defer cancel()
	err := w.WriteMessages(ctx, messages...)
	for n := 0; n < 3 && (code(err) == int(kafka.UnknownTopicOrPartition) || code(err) == int(kafka.LeaderNotAvailable)); n++ {
		time.Sleep(100 * time.Millisecond) // its documentation has the caller do that while a topic is made
		err = w.WriteMessages(ctx, messages...)
	}
	return nil, err
}

func (p *peer) config(r *request) kafka.ReaderConfig {
	return kafka.ReaderConfig{Brokers: []string{p.address}, MinBytes: 1, MaxBytes: 6000000, MaxWait: 50 * time.Millisecond,
		ReadBackoffMin: 20 * time.Millisecond, ReadBackoffMax: 100 * time.Millisecond, StartOffset: kafka.FirstOffset}
}

func (p *peer) open(r *request) (answer, error) {
	if r.Reset == "latest" {
		return nil, verbs.Lacks("it waits until the offset is there")
	}
	c := p.config(r)
	c.Topic, c.Partition, c.OffsetOutOfRangeError = r.Topic, int(r.Partition), r.Reset == "none"
	m := &member{reader: kafka.NewReader(c), last: map[string]kafka.Message{}}
	p.members[r.Name] = m
	return nil, m.reader.SetOffset(r.OffsetNumber())
}

var place = regexp.MustCompile(`\{topic:(\S+) partition:(\d+)\}`)

// Printf hears the library tell which partitions it got: there is no call for that.
func (m *member) Printf(form string, args ...any) {
	if !strings.HasPrefix(form, "subscribed to topics and partitions") {
		return
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	m.owned = nil
	for _, found := range place.FindAllStringSubmatch(fmt.Sprintf(form, args...), -1) {
		number, _ := strconv.Atoi(found[2])
		m.owned = append(m.owned, [2]any{found[1], number})
	}
}

func (p *peer) join(r *request) (answer, error) {
	if r.Instance != "" {
		return nil, verbs.Lacks("no static members")
	}
	m := &member{group: r.Group, last: map[string]kafka.Message{}}
	c := p.config(r)
	c.GroupID, c.GroupTopics, c.Logger = r.Group, r.Topics, m
	c.SessionTimeout, c.HeartbeatInterval = time.Duration(r.SessionMs)*time.Millisecond, time.Duration(r.HeartbeatMs)*time.Millisecond
	c.RebalanceTimeout, c.JoinGroupBackoff = 5*time.Second, 200*time.Millisecond
	m.reader = kafka.NewReader(c)
	p.members[r.Name] = m
	return nil, nil
}

func (p *peer) poll(r *request) (answer, error) {
	m, rows := p.members[r.Name], []answer{}
	end := time.Now().Add(time.Duration(r.Ms) * time.Millisecond)
	for len(rows) < r.Max {
		ctx, cancel := context.WithDeadline(p.ctx, end)
		row, err := m.reader.FetchMessage(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		var network *net.OpError
		if errors.As(err, &network) || errors.Is(err, io.EOF) {
			continue // it tells these and goes on
		}
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 { // more that are there already
			end = time.Now().Add(20 * time.Millisecond)
		}
		m.last[fmt.Sprint(row.Topic, row.Partition)] = row
		headers := [][2]any{}
		for _, h := range row.Headers {
			headers = append(headers, [2]any{h.Key, h.Value})
		}
		rows = append(rows, verbs.Row(int32(row.Partition), row.Offset, row.Key, row.Value, row.Time.UnixMilli(), headers))
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	owned := append([][2]any{}, m.owned...)
	return answer{"records": rows, "assignment": owned}, nil
}

func (p *peer) commit(r *request) (answer, error) {
	m := p.members[r.Name]
	var rows []kafka.Message
	for _, row := range m.last {
		rows = append(rows, row)
	}
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	return nil, m.reader.CommitMessages(ctx, rows...)
}

func (p *peer) commitOffset(*request) (answer, error) {
	return nil, verbs.Lacks("a reader commits no words")
}

func (p *peer) leave(r *request) (answer, error) {
	m := p.members[r.Name]
	if m == nil {
		return nil, nil
	}
	delete(p.members, r.Name)
	return nil, m.reader.Close()
}

// fresh makes a client whose metadata is not of before.
func (p *peer) fresh() {
	if p.client != nil {
		p.client.Transport.(*kafka.Transport).CloseIdleConnections()
	}
	p.client = &kafka.Client{Addr: kafka.TCP(p.address), Timeout: 20 * time.Second, Transport: &kafka.Transport{}}
}

func main() {
	address := os.Args[1]
	p := &peer{address, map[string]*kafka.Writer{}, map[string]*member{}, nil, context.Background()}
	p.fresh()
	verbs.Serve(map[string]verbs.Func{
		"hello": p.hello, "produce": p.produce, "open": p.open, "join": p.join, "poll": p.poll,
		"commit": p.commit, "commit_offset": p.commitOffset, "leave": p.leave, "offset_of_time": p.offsetOfTime,
		"create_topic": p.createTopic, "list_topics": p.listTopics, "describe_topic": p.describeTopic, "describe_configs": p.describeConfigs,
		"alter_config": p.alterConfig, "create_partitions": p.createPartitions,
		"list_offsets": p.listOffsets, "list_groups": p.listGroups, "describe_group": p.describeGroup, "delete_group": p.deleteGroup,
		"delete_topic": p.deleteTopic,
	}, code)
}
