package api

// DescribeTopicPartitions: key 75, versions 0 to 0.

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// maxDescribedPartitions bounds one reply: Apache Kafka's default of max.request.partition.size.limit.
const maxDescribedPartitions = 2000

// describeTopicPartitions is Metadata in pieces (KIP-966): topics in the order of their names, from the cursor on, until
// a reply has as many partitions as the client or the agent wants at most; its cursor says where the next one begins.
// No replica of a partition is ever behind, so the lists of eligible and last known ones are empty.
func (a *API) describeTopicPartitions(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DescribeTopicPartitionsRequest)
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	if err := checkCursor(body); err != nil {
		for i := range body.Topics {
			out := kmsg.NewDescribeTopicPartitionsResponseTopic()
			out.Topic, out.ErrorCode = &body.Topics[i].Topic, code(keyDescribeTopicPartitions, err)
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil
	}
	m := &describing{brokers: a.d.Members.Brokers(req.Conn.Listener)}
	a.twice(ctx, func(s *state.State, barrier error) bool { return m.findFrom(s, barrier, body) })
	left := min(max(1, int(body.ResponsePartitionLimit)), maxDescribedPartitions)
	for i := range m.topics {
		t := &m.topics[i]
		if left == 0 {
			resp.NextCursor = cursorAt(t.name, 0)
			break
		}
		from := 0
		if c := body.Cursor; c != nil && c.Topic == t.name {
			from = int(c.Partition)
		}
		to := min(max(from, t.partitions), from+left)
		resp.Topics = append(resp.Topics, m.topicPartitions(t, from, to))
		left -= to - from
		if to < t.partitions {
			resp.NextCursor = cursorAt(t.name, int32(to))
			break
		}
	}
	return resp, nil
}

func cursorAt(topic string, partition int32) *kmsg.DescribeTopicPartitionsResponseNextCursor {
	c := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	c.Topic, c.Partition = topic, partition
	return &c
}

func checkCursor(body *kmsg.DescribeTopicPartitionsRequest) error {
	c := body.Cursor
	switch {
	case c == nil:
		return nil
	case c.Partition < 0:
		return refuse(kerr.InvalidRequest, "the cursor's partition %d is negative", c.Partition)
	case len(body.Topics) == 0:
		return nil
	}
	if !slices.ContainsFunc(body.Topics, func(t kmsg.DescribeTopicPartitionsRequestTopic) bool { return t.Topic == c.Topic }) {
		return refuse(kerr.InvalidRequest, "the cursor's topic %q is not among the topics", c.Topic)
	}
	return nil
}

// findFrom collects the topics from the cursor on, sorted by name. Without topics in the request it is about all.
func (m *describing) findFrom(s *state.State, barrier error, body *kmsg.DescribeTopicPartitionsRequest) (missing bool) {
	m.topics = m.topics[:0]
	first := ""
	if body.Cursor != nil {
		first = body.Cursor.Topic
	}
	if len(body.Topics) == 0 {
		s.EachTopic(func(t *state.Topic) {
			if t.Name >= first {
				m.topics = append(m.topics, describedTopic{name: t.Name, id: t.ID, partitions: t.Partitions()})
			}
		})
	}
	for i := range body.Topics {
		d := describedTopic{name: body.Topics[i].Topic}
		if d.name < first {
			continue
		}
		if d.err = validName(d.name); d.err == nil {
			if t, unknown := (topicRef{name: d.name}).find(s); unknown == nil {
				d.id, d.partitions = t.ID, t.Partitions()
			} else {
				missing = true
				d.err = either(barrier, unknown)
			}
		}
		m.topics = append(m.topics, d)
	}
	slices.SortFunc(m.topics, func(x, y describedTopic) int { return strings.Compare(x.name, y.name) })
	m.topics = slices.CompactFunc(m.topics, func(x, y describedTopic) bool { return x.name == y.name })
	return missing
}

// topicPartitions describes the partitions of a topic in a range as Metadata would.
func (m *describing) topicPartitions(t *describedTopic, from, to int) kmsg.DescribeTopicPartitionsResponseTopic {
	out := kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.ErrorCode = code(keyDescribeTopicPartitions, t.err)
	out.Topic, out.TopicID, out.IsInternal = &t.name, t.id, internalTopic(t.name)
	out.AuthorizedOperations = topicOperations
	for n := int32(from); n < int32(to); n++ {
		p := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		p.Partition, p.LeaderEpoch = n, 0
		replicas := place(partitionKey(t.id, n), m.brokers, maxReplicas, nil)
		if len(replicas) > 0 {
			p.LeaderID, p.Replicas, p.ISR = replicas[0], replicas, replicas
		} else {
			p.ErrorCode, p.LeaderID = kerr.LeaderNotAvailable.Code, -1
		}
		p.EligibleLeaderReplicas, p.LastKnownELR = []int32{}, []int32{}
		out.Partitions = append(out.Partitions, p)
	}
	return out
}
