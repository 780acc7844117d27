package api

// DescribeLogDirs: key 35, versions 1 to 5.

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// describeLogDirs shows one log directory, the object store, with those partitions that Metadata lists a replica of on
// this agent, and with the size of all their records. So a tool that asks the brokers of a partition finds it at each,
// as with Apache Kafka; that the bytes lie in the store but once does not show. The store's capacity is not known.
func (a *API) describeLogDirs(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DescribeLogDirsRequest)
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir, dir.TotalBytes, dir.UsableBytes = a.d.Config.LogDir, -1, -1
	err := a.barrier(ctx) // What this client has just created or written elsewhere must be there.
	resp.ErrorCode, dir.ErrorCode = code(keyDescribeLogDirs, err), code(keyDescribeLogDirs, err)
	if self, ok := a.d.Members.Self(); ok && err == nil {
		brokers := a.d.Members.Brokers(req.Conn.Listener)
		for _, t := range a.sizes(body.Topics) {
			if out := t.on(self, brokers); len(out.Partitions) > 0 {
				dir.Topics = append(dir.Topics, out)
			}
		}
	}
	resp.Dirs = append(resp.Dirs, dir)
	return resp, nil
}

// sizedTopic is a copy of what is needed of a topic.
type sizedTopic struct {
	name       string
	id         state.TopicID
	partitions []sizedPartition
}

type sizedPartition struct {
	index int32
	bytes int64
}

// sizes are those of the topics asked for, of all when topics is nil. What does not exist is left out, what comes twice
// is there once: so does Apache Kafka.
func (a *API) sizes(topics []kmsg.DescribeLogDirsRequestTopic) []sizedTopic {
	var list []sizedTopic
	if topics == nil {
		a.d.View.Read(func(s *state.State) {
			list = make([]sizedTopic, 0, s.Topics())
			s.EachTopic(func(t *state.Topic) {
				one := sizedTopic{name: t.Name, id: t.ID, partitions: make([]sizedPartition, t.Partitions())}
				for i := range one.partitions {
					one.partitions[i] = sizedPartition{int32(i), t.Partition(int32(i)).Bytes()}
				}
				list = append(list, one)
			})
		})
	} else {
		wanted := make(map[string][]int32, len(topics))
		for i := range topics {
			wanted[topics[i].Topic] = append(wanted[topics[i].Topic], topics[i].Partitions...)
		}
		a.d.View.Read(func(s *state.State) {
			for name, partitions := range wanted {
				t := s.Topic(name)
				if t == nil {
					continue
				}
				slices.Sort(partitions)
				one := sizedTopic{name: name, id: t.ID}
				for _, n := range slices.Compact(partitions) {
					if p := t.Partition(n); p != nil {
						one.partitions = append(one.partitions, sizedPartition{n, p.Bytes()})
					}
				}
				list = append(list, one)
			}
		})
	}
	slices.SortFunc(list, func(x, y sizedTopic) int { return strings.Compare(x.name, y.name) })
	return list
}

// on lists the partitions with a replica on a broker.
func (t *sizedTopic) on(broker int32, brokers []Broker) kmsg.DescribeLogDirsResponseDirTopic {
	out := kmsg.NewDescribeLogDirsResponseDirTopic()
	out.Topic = t.name
	var nodes [maxReplicas]int32
	for _, p := range t.partitions {
		if !slices.Contains(place(partitionKey(t.id, p.index), brokers, maxReplicas, nodes[:0]), broker) {
			continue
		}
		slot := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		slot.Partition, slot.Size = p.index, p.bytes
		out.Partitions = append(out.Partitions, slot)
	}
	return out
}
