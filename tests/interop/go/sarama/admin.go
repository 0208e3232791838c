package main

import (
	"github.com/IBM/sarama"
)

func (p *peer) admin() (sarama.ClusterAdmin, error) {
	var err error
	if p.client == nil {
		p.client, err = sarama.NewClusterAdmin(p.address, p.config())
	}
	return p.client, err
}

// with gives f the admin client.
func (p *peer) with(f func(sarama.ClusterAdmin) (answer, error)) (answer, error) {
	admin, err := p.admin()
	if err != nil {
		return nil, err
	}
	return f(admin)
}

func (p *peer) offset(r *request, at int64) (answer, error) {
	client, err := sarama.NewClient(p.address, p.config())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	offset, err := client.GetOffset(r.Topic, r.Partition, at)
	return answer{"offset": offset}, err
}

func (p *peer) offsetOfTime(r *request) (answer, error) { return p.offset(r, r.Time) }

func (p *peer) listOffsets(r *request) (answer, error) {
	return p.offset(r, map[string]int64{"earliest": sarama.OffsetOldest, "latest": sarama.OffsetNewest}[r.At])
}

func pointers(configs map[string]string) map[string]*string {
	out := map[string]*string{}
	for name, value := range configs {
		out[name] = &value
	}
	return out
}

func (p *peer) createTopic(r *request) (answer, error) {
	return p.with(func(a sarama.ClusterAdmin) (answer, error) {
		detail := &sarama.TopicDetail{NumPartitions: r.Partitions, ReplicationFactor: 1, ConfigEntries: pointers(r.Configs)}
		return nil, a.CreateTopic(r.Topic, detail, false)
	})
}

func (p *peer) listTopics(*request) (answer, error) {
	return p.with(func(a sarama.ClusterAdmin) (answer, error) {
		names := []string{}
		topics, err := a.ListTopics()
		for name := range topics {
			names = append(names, name)
		}
		return answer{"topics": names}, err
	})
}

func (p *peer) describeTopic(r *request) (answer, error) {
	return p.with(func(a sarama.ClusterAdmin) (answer, error) {
		rows, err := a.DescribeTopics([]string{r.Topic})
		if err != nil {
			return nil, err
		}
		return answer{"partitions": len(rows[0].Partitions)}, nil
	})
}

func (p *peer) describeConfigs(r *request) (answer, error) {
	return p.with(func(a sarama.ClusterAdmin) (answer, error) {
		configs := map[string]string{}
		rows, err := a.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: r.Topic})
		for _, row := range rows {
			configs[row.Name] = row.Value
		}
		return answer{"configs": configs}, err
	})
}

func (p *peer) alterConfig(r *request) (answer, error) {
	return p.with(func(a sarama.ClusterAdmin) (answer, error) {
		change := map[string]sarama.IncrementalAlterConfigsEntry{
			r.Config: {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &r.Value}}
		return nil, a.IncrementalAlterConfig(sarama.TopicResource, r.Topic, change, false)
	})
}

func (p *peer) createPartitions(r *request) (answer, error) {
	return p.with(func(a sarama.ClusterAdmin) (answer, error) {
		return nil, a.CreatePartitions(r.Topic, r.Total, nil, false)
	})
}

func (p *peer) deleteRecords(r *request) (answer, error) {
	return p.with(func(a sarama.ClusterAdmin) (answer, error) {
		return nil, a.DeleteRecords(r.Topic, map[int32]int64{r.Partition: r.Before})
	})
}

func (p *peer) listGroups(*request) (answer, error) {
	return p.with(func(a sarama.ClusterAdmin) (answer, error) {
		names := []string{}
		groups, err := a.ListConsumerGroups()
		for name := range groups {
			names = append(names, name)
		}
		return answer{"groups": names}, err
	})
}

func (p *peer) describeGroup(r *request) (answer, error) {
	return p.with(func(a sarama.ClusterAdmin) (answer, error) {
		rows, err := a.DescribeConsumerGroups([]string{r.Group})
		if err != nil {
			return nil, err
		}
		return answer{"state": rows[0].State, "members": len(rows[0].Members)}, nil
	})
}

func (p *peer) deleteGroup(r *request) (answer, error) {
	return p.with(func(a sarama.ClusterAdmin) (answer, error) { return nil, a.DeleteConsumerGroup(r.Group) })
}

func (p *peer) deleteTopic(r *request) (answer, error) {
	return p.with(func(a sarama.ClusterAdmin) (answer, error) { return nil, a.DeleteTopic(r.Topic) })
}
