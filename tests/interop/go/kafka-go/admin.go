package main

import "github.com/segmentio/kafka-go"

func (p *peer) offset(r *request, ask kafka.OffsetRequest) (*kafka.PartitionOffsets, error) {
	rows, err := p.client.ListOffsets(p.ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{r.Topic: {ask}}})
	if err != nil {
		return nil, err
	}
	row := rows.Topics[r.Topic][0]
	return &row, row.Error
}

func (p *peer) offsetOfTime(r *request) (answer, error) {
	row, err := p.offset(r, kafka.OffsetRequest{Partition: int(r.Partition), Timestamp: r.Time})
	if err != nil {
		return nil, err
	}
	for offset := range row.Offsets {
		return answer{"offset": offset}, nil
	}
	return answer{"offset": -1}, nil
}

func (p *peer) listOffsets(r *request) (answer, error) {
	if r.At == "earliest" {
		row, err := p.offset(r, kafka.FirstOffsetOf(int(r.Partition)))
		if err != nil {
			return nil, err
		}
		return answer{"offset": row.FirstOffset}, nil
	}
	row, err := p.offset(r, kafka.LastOffsetOf(int(r.Partition)))
	if err != nil {
		return nil, err
	}
	return answer{"offset": row.LastOffset}, nil
}

func (p *peer) createTopic(r *request) (answer, error) {
	topic := kafka.TopicConfig{Topic: r.Topic, NumPartitions: int(r.Partitions), ReplicationFactor: 1}
	for name, value := range r.Configs {
		topic.ConfigEntries = append(topic.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
	}
	done, err := p.client.CreateTopics(p.ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
	if err != nil {
		return nil, err
	}
	return nil, done.Errors[r.Topic]
}

func (p *peer) listTopics(*request) (answer, error) {
	names := []string{}
	p.fresh()
	rows, err := p.client.Metadata(p.ctx, &kafka.MetadataRequest{})
	if err != nil {
		return nil, err
	}
	for _, t := range rows.Topics {
		names = append(names, t.Name)
	}
	return answer{"topics": names}, nil
}

func (p *peer) describeTopic(r *request) (answer, error) {
	p.fresh()
	rows, err := p.client.Metadata(p.ctx, &kafka.MetadataRequest{Topics: []string{r.Topic}})
	if err != nil {
		return nil, err
	}
	return answer{"partitions": len(rows.Topics[0].Partitions)}, rows.Topics[0].Error
}

func (p *peer) describeConfigs(r *request) (answer, error) {
	ask := kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: r.Topic}
	rows, err := p.client.DescribeConfigs(p.ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{ask}})
	if err != nil {
		return nil, err
	}
	configs := map[string]string{}
	for _, row := range rows.Resources[0].ConfigEntries {
		configs[row.ConfigName] = row.ConfigValue
	}
	return answer{"configs": configs}, rows.Resources[0].Error
}

func (p *peer) alterConfig(r *request) (answer, error) {
	change := kafka.IncrementalAlterConfigsRequestConfig{Name: r.Config, Value: r.Value, ConfigOperation: kafka.ConfigOperationSet}
	done, err := p.client.IncrementalAlterConfigs(p.ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: r.Topic,
			Configs: []kafka.IncrementalAlterConfigsRequestConfig{change}}}})
	if err != nil {
		return nil, err
	}
	return nil, done.Resources[0].Error
}

func (p *peer) createPartitions(r *request) (answer, error) {
	done, err := p.client.CreatePartitions(p.ctx, &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: r.Topic, Count: r.Total}}})
	if err != nil {
		return nil, err
	}
	return nil, done.Errors[r.Topic]
}

func (p *peer) listGroups(*request) (answer, error) {
	names := []string{}
	rows, err := p.client.ListGroups(p.ctx, &kafka.ListGroupsRequest{})
	if err != nil {
		return nil, err
	}
	for _, g := range rows.Groups {
		names = append(names, g.GroupID)
	}
	return answer{"groups": names}, rows.Error
}

func (p *peer) describeGroup(r *request) (answer, error) {
	rows, err := p.client.DescribeGroups(p.ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{r.Group}})
	if err != nil {
		return nil, err
	}
	return answer{"state": rows.Groups[0].GroupState, "members": len(rows.Groups[0].Members)}, rows.Groups[0].Error
}

func (p *peer) deleteGroup(r *request) (answer, error) {
	done, err := p.client.DeleteGroups(p.ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{r.Group}})
	if err != nil {
		return nil, err
	}
	return nil, done.Errors[r.Group]
}

func (p *peer) deleteTopic(r *request) (answer, error) {
	done, err := p.client.DeleteTopics(p.ctx, &kafka.DeleteTopicsRequest{Topics: []string{r.Topic}})
	if err != nil {
		return nil, err
	}
	return nil, done.Errors[r.Topic]
}
