package main

import (
	"context"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"moldau.test/clients/verbs"
)

// A partition's consumer or a member of a group: messages come by a channel.
type reader interface {
	messages() <-chan *sarama.ConsumerMessage
	owned() [][2]any
	took(*sarama.ConsumerMessage)
	close() error
}

type alone struct {
	client sarama.Consumer
	part   sarama.PartitionConsumer
}

func (a *alone) messages() <-chan *sarama.ConsumerMessage { return a.part.Messages() }
func (a *alone) owned() [][2]any                          { return [][2]any{} }
func (a *alone) took(*sarama.ConsumerMessage)             {}
func (a *alone) close() error {
	a.part.Close()
	return a.client.Close()
}

func (p *peer) readerConfig(r *request) *sarama.Config {
	c := p.config()
	c.Consumer.MaxWaitTime, c.Consumer.Fetch.Default = 50*time.Millisecond, 6000000
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	return c
}

func (p *peer) open(r *request) (answer, error) {
	client, err := sarama.NewConsumer(p.address, p.readerConfig(r))
	if err != nil {
		return nil, err
	}
	part, err := client.ConsumePartition(r.Topic, r.Partition, r.OffsetNumber())
	if err == sarama.ErrOffsetOutOfRange && r.Reset != "none" { // the application's business
		start := map[string]int64{"earliest": sarama.OffsetOldest, "latest": sarama.OffsetNewest}[r.Reset]
		part, err = client.ConsumePartition(r.Topic, r.Partition, start)
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	p.members[r.Name] = &alone{client, part}
	return nil, nil
}

// A member of a group, and the session it is in now.
type member struct {
	group   sarama.ConsumerGroup
	name    string
	out     chan *sarama.ConsumerMessage
	cancel  context.CancelFunc
	done    chan struct{}
	lock    sync.Mutex
	session sarama.ConsumerGroupSession
	held    map[string]map[int32]int64
	failed  chan error
}

func (m *member) messages() <-chan *sarama.ConsumerMessage { return m.out }

func (m *member) owned() [][2]any {
	m.lock.Lock()
	defer m.lock.Unlock()
	owned := [][2]any{}
	if m.session != nil {
		for topic, parts := range m.session.Claims() {
			for _, part := range parts {
				owned = append(owned, [2]any{topic, part})
			}
		}
	}
	return owned
}

func (m *member) took(row *sarama.ConsumerMessage) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.held[row.Topic] == nil {
		m.held[row.Topic] = map[int32]int64{}
	}
	m.held[row.Topic][row.Partition] = row.Offset + 1
}

func (m *member) close() error {
	m.cancel()
	err := m.group.Close()
	<-m.done
	return err
}

func (m *member) set(session sarama.ConsumerGroupSession) {
	m.lock.Lock()
	m.session = session
	m.lock.Unlock()
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.set(session)
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.set(nil)
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for row := range claim.Messages() {
		select {
		case m.out <- row:
		case <-session.Context().Done():
			return nil
		}
	}
	return nil
}

func (p *peer) join(r *request) (answer, error) {
	c := p.readerConfig(r)
	c.Consumer.Group.Session.Timeout = time.Duration(r.SessionMs) * time.Millisecond
	c.Consumer.Group.Heartbeat.Interval = time.Duration(r.HeartbeatMs) * time.Millisecond
	c.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	c.Consumer.Group.InstanceId = r.Instance
	c.Consumer.Return.Errors = true
	group, err := sarama.NewConsumerGroup(p.address, r.Group, c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{group: group, name: r.Group, out: make(chan *sarama.ConsumerMessage), cancel: cancel, done: make(chan struct{}),
		held: map[string]map[int32]int64{}, failed: make(chan error, 100)}
	go func() {
		for err := range group.Errors() {
			select {
			case m.failed <- err:
			default:
			}
		}
	}()
	topics := r.Topics
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			if err := group.Consume(ctx, topics, m); err != nil {
				time.Sleep(50 * time.Millisecond)
			}
		}
	}()
	p.members[r.Name] = m
	return nil, nil
}

func (p *peer) poll(r *request) (answer, error) {
	m, rows := p.members[r.Name], []answer{}
	timer := time.After(time.Duration(r.Ms) * time.Millisecond)
	for len(rows) < r.Max {
		var row *sarama.ConsumerMessage
		select {
		case row = <-m.messages():
		case <-timer:
		}
		if row == nil {
			break
		}
		if len(rows) == 0 { // more that are there already
			timer = time.After(20 * time.Millisecond)
		}
		m.took(row)
		headers := [][2]any{}
		for _, h := range row.Headers {
			headers = append(headers, [2]any{string(h.Key), h.Value})
		}
		rows = append(rows, verbs.Row(row.Partition, row.Offset, row.Key, row.Value, row.Timestamp.UnixMilli(), headers))
	}
	return answer{"records": rows, "assignment": m.owned()}, nil
}

// commitOf a session tells no error; what went wrong comes by the group's channel.
func (m *member) commitOf(session sarama.ConsumerGroupSession) error {
	for len(m.failed) > 0 {
		<-m.failed
	}
	session.Commit()
	select {
	case err := <-m.failed:
		return err
	case <-time.After(50 * time.Millisecond):
		return nil
	}
}

func (p *peer) commit(r *request) (answer, error) {
	m := p.members[r.Name].(*member)
	m.lock.Lock()
	session := m.session
	m.lock.Unlock()
	if session == nil {
		return nil, sarama.ErrRebalanceInProgress
	}
	for topic, parts := range m.held {
		for part, offset := range parts {
			session.MarkOffset(topic, part, offset, "")
		}
	}
	return nil, m.commitOf(session)
}

func (p *peer) commitOffset(r *request) (answer, error) {
	m := p.members[r.Name].(*member)
	m.session.MarkOffset(r.Topic, r.Partition, r.OffsetNumber(), r.Metadata)
	return nil, m.commitOf(m.session)
}

func (p *peer) committed(r *request) (answer, error) {
	admin, err := p.admin()
	if err != nil {
		return nil, err
	}
	rows, err := admin.ListConsumerGroupOffsets(p.members[r.Name].(*member).name, map[string][]int32{r.Topic: {r.Partition}})
	if err != nil {
		return nil, err
	}
	row := rows.GetBlock(r.Topic, r.Partition)
	return answer{"offset": row.Offset, "metadata": row.Metadata}, nil
}

func (p *peer) leave(r *request) (answer, error) {
	m := p.members[r.Name]
	if m == nil {
		return nil, nil
	}
	delete(p.members, r.Name)
	return nil, m.close()
}
