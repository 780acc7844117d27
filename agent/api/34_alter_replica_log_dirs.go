package api

// AlterReplicaLogDirs: key 34, versions 1 to 2.

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// alterReplicaLogDirs has nothing to move, as an agent has one log directory, the object store. Moving a replica of its
// own there succeeds; every other directory does not exist. Of a partition that is to go to several places the last one
// counts.
func (a *API) alterReplicaLogDirs(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	order, target := destinations(req.Body.(*kmsg.AlterReplicaLogDirsRequest))
	brokers := a.d.Members.Brokers(req.Conn.Listener)
	self, _ := a.d.Members.Self()
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	a.twice(ctx, func(s *state.State, barrier error) (missing bool) {
		resp.Topics = resp.Topics[:0]
		at := make(map[string]int, len(order)) // of each topic in resp.Topics
		for _, p := range order {
			t, unknown := topicRef{name: p.topic}.find(s)
			var err error
			switch {
			case target[p] != a.d.Config.LogDir:
				err = refuse(kerr.LogDirNotFound, "the only log directory is %s", a.d.Config.LogDir)
			case unknown != nil || t.Partition(p.partition) == nil:
				missing = true
				err = either(barrier, ErrUnknownTopic)
			case !slices.Contains(place(partitionKey(t.ID, p.partition), brokers, maxReplicas, nil), self):
				err = refuse(kerr.ReplicaNotAvailable, "no replica is on this broker")
			}
			if _, there := at[p.topic]; !there {
				at[p.topic] = len(resp.Topics)
				out := kmsg.NewAlterReplicaLogDirsResponseTopic()
				out.Topic = p.topic
				resp.Topics = append(resp.Topics, out)
			}
			slot := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
			slot.Partition, slot.ErrorCode = p.partition, code(keyAlterReplicaLogDirs, err)
			out := &resp.Topics[at[p.topic]]
			out.Partitions = append(out.Partitions, slot)
		}
		return missing
	})
	return resp, nil
}

// destinations are the directories that partitions are to go to, and the partitions in the order of the request.
func destinations(body *kmsg.AlterReplicaLogDirsRequest) (order []namedPartition, target map[namedPartition]string) {
	target = make(map[namedPartition]string)
	for i := range body.Dirs {
		for j := range body.Dirs[i].Topics {
			t := &body.Dirs[i].Topics[j]
			for _, n := range t.Partitions {
				p := namedPartition{t.Topic, n}
				if _, again := target[p]; !again {
					order = append(order, p)
				}
				target[p] = body.Dirs[i].Dir
			}
		}
	}
	return order, target
}
