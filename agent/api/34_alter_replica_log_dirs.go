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
// own there succeeds; every other directory does not exist.
func (a *API) alterReplicaLogDirs(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.AlterReplicaLogDirsRequest)
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	brokers := a.d.Members.Brokers(req.Conn.Listener)
	self, _ := a.d.Members.Self()
	a.twice(ctx, func(s *state.State, barrier error) (missing bool) {
		resp.Topics = resp.Topics[:0]
		for i := range body.Dirs {
			dir := &body.Dirs[i]
			for j := range dir.Topics {
				in := &dir.Topics[j]
				out := kmsg.NewAlterReplicaLogDirsResponseTopic()
				out.Topic = in.Topic
				t, unknown := topicRef{name: in.Topic}.find(s)
				for _, n := range in.Partitions {
					var err error
					switch {
					case dir.Dir != a.d.Config.LogDir:
						err = refuse(kerr.LogDirNotFound, "the only log directory is %s", a.d.Config.LogDir)
					case unknown != nil || t.Partition(n) == nil:
						missing = true
						err = either(barrier, ErrUnknownTopic)
					case !slices.Contains(place(partitionKey(t.ID, n), brokers, maxReplicas, nil), self):
						err = refuse(kerr.ReplicaNotAvailable, "no replica is on this broker")
					}
					slot := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
					slot.Partition, slot.ErrorCode = n, code(keyAlterReplicaLogDirs, err)
					out.Partitions = append(out.Partitions, slot)
				}
				resp.Topics = append(resp.Topics, out)
			}
		}
		return missing
	})
	return resp, nil
}
