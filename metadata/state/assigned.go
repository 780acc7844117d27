package state

import (
	"cmp"
	"slices"

	pb "wadi/metadata/metadatapb"
)

// AssignmentEpoch is the member epoch under which a partition was assigned to a member of a consumer group that owns it, or
// was told to give it up and has not yet (KIP-1251). ok is false for any other partition. Where the member's record does
// not say it, as those of before do not, it is the member's epoch: nothing older is known to be right.
func AssignmentEpoch(m *Member, topic uint64, partition uint32) (epoch int32, ok bool) {
	if epoch, ok = assignedIn(m.Owned, topic, partition, m.Epoch); ok {
		return epoch, true
	}
	return assignedIn(m.Revoking, topic, partition, m.Epoch)
}

func assignedIn(set []*pb.GroupPartitions, topic uint64, partition uint32, present int32) (epoch int32, ok bool) {
	i, ok := slices.BinarySearchFunc(set, topic, func(t *pb.GroupPartitions, topic uint64) int { return cmp.Compare(t.Topic, topic) })
	if !ok {
		return 0, false
	}
	t := set[i]
	j, ok := slices.BinarySearch(t.Partitions, partition)
	switch {
	case !ok:
		return 0, false
	case len(t.Epochs) == 1:
		return t.Epochs[0], true
	case len(t.Epochs) == len(t.Partitions):
		return t.Epochs[j], true
	}
	return max(present, 0), true
}

// mayCommit reports whether a member of a consumer group may commit under the epoch that it names: its present one, or one
// before under which it had all of the partitions and has them still. So a commit that crosses the heartbeat with the next
// epoch is good, and one of a partition that went through other hands meanwhile is not (KIP-1251).
func mayCommit(m *Member, c *pb.CommitOffsets) bool {
	if c.Generation >= m.Epoch {
		return c.Generation == m.Epoch
	}
	for i, topic := range c.Topics {
		if since, ok := AssignmentEpoch(m, topic, c.Partitions[i]); !ok || c.Generation < since {
			return false
		}
	}
	return true
}
