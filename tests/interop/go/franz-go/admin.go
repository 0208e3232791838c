package main

import (
	"github.com/twmb/franz-go/pkg/kadm"
)

func (p *peer) offsetOfTime(r *request) (answer, error) {
	listed, err := p.admin.ListOffsetsAfterMilli(p.ctx, r.Time, r.Topic)
	if err != nil {
		return nil, err
	}
	row, _ := listed.Lookup(r.Topic, r.Partition)
	return answer{"offset": row.Offset}, row.Err
}

func (p *peer) committed(r *request) (answer, error) {
	rows, err := p.admin.FetchOffsets(p.ctx, p.members[r.Name].group)
	if err != nil {
		return nil, err
	}
	row, _ := rows.Lookup(r.Topic, r.Partition)
	return answer{"offset": row.At, "metadata": row.Metadata}, row.Err
}

func (p *peer) createTopic(r *request) (answer, error) {
	configs := map[string]*string{}
	for name, value := range r.Configs {
		configs[name] = &value
	}
	_, err := p.admin.CreateTopic(p.ctx, r.Partitions, 1, configs, r.Topic)
	return nil, err
}

func (p *peer) listTopics(*request) (answer, error) {
	topics, err := p.admin.ListTopics(p.ctx)
	return answer{"topics": topics.Names()}, err
}

func (p *peer) describeTopic(r *request) (answer, error) {
	topics, err := p.admin.ListTopics(p.ctx, r.Topic)
	if err != nil {
		return nil, err
	}
	return answer{"partitions": len(topics[r.Topic].Partitions)}, topics[r.Topic].Err
}

func (p *peer) describeConfigs(r *request) (answer, error) {
	rows, err := p.admin.DescribeTopicConfigs(p.ctx, r.Topic)
	if err != nil {
		return nil, err
	}
	row, err := rows.On(r.Topic, nil)
	configs := map[string]string{}
	for _, c := range row.Configs {
		configs[c.Key] = c.MaybeValue()
	}
	return answer{"configs": configs}, err
}

func (p *peer) alterConfig(r *request) (answer, error) {
	rows, err := p.admin.AlterTopicConfigs(p.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: r.Config, Value: &r.Value}}, r.Topic)
	if err != nil {
		return nil, err
	}
	return nil, rows[0].Err
}

func (p *peer) createPartitions(r *request) (answer, error) {
	rows, err := p.admin.UpdatePartitions(p.ctx, int(r.Total), r.Topic)
	if err != nil {
		return nil, err
	}
	return nil, rows.Error()
}

func (p *peer) deleteRecords(r *request) (answer, error) {
	var before kadm.Offsets
	before.AddOffset(r.Topic, r.Partition, r.Before, -1)
	rows, err := p.admin.DeleteRecords(p.ctx, before)
	if err != nil {
		return nil, err
	}
	return nil, rows.Error()
}

func (p *peer) listOffsets(r *request) (answer, error) {
	list := p.admin.ListEndOffsets
	if r.At == "earliest" {
		list = p.admin.ListStartOffsets
	}
	rows, err := list(p.ctx, r.Topic)
	if err != nil {
		return nil, err
	}
	row, _ := rows.Lookup(r.Topic, r.Partition)
	return answer{"offset": row.Offset}, row.Err
}

func (p *peer) listGroups(*request) (answer, error) {
	rows, err := p.admin.ListGroups(p.ctx)
	return answer{"groups": rows.Groups()}, err
}

func (p *peer) describeGroup(r *request) (answer, error) {
	rows, err := p.admin.DescribeGroups(p.ctx, r.Group)
	if err != nil {
		return nil, err
	}
	return answer{"state": rows[r.Group].State, "members": len(rows[r.Group].Members)}, rows[r.Group].Err
}

func (p *peer) deleteGroup(r *request) (answer, error) {
	_, err := p.admin.DeleteGroup(p.ctx, r.Group)
	return nil, err
}

func (p *peer) deleteTopic(r *request) (answer, error) {
	_, err := p.admin.DeleteTopic(p.ctx, r.Topic)
	return nil, err
}
