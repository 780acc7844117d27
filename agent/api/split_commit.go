package api

import (
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Bounds of one command that commits positions, below what State and a journal entry take.
const (
	maxCommitPartitions = state.MaxCommit
	maxCommitBytes      = 128 << 10
)

// splitCommit says after how many partitions each command ends, if k is too large for one. There is always one.
func splitCommit(k *pb.CommitOffsets) (ends []int) {
	count, size := 0, 0
	for i := range k.Topics {
		n := 24 // what the columns take at most
		if k.Metadata != nil {
			n += len(k.Metadata[i])
		}
		if count == maxCommitPartitions || count > 0 && size+n > maxCommitBytes {
			ends, count, size = append(ends, i), 0, 0
		}
		count++
		size += n
	}
	return append(ends, len(k.Topics))
}

// partOfCommit is a command for some of the partitions of k.
func partOfCommit(k *pb.CommitOffsets, from, to int) *pb.CommitOffsets {
	p := &pb.CommitOffsets{
		Group: k.Group, Generation: k.Generation, Member: k.Member, InstanceId: k.InstanceId,
		Topics: k.Topics[from:to], Partitions: k.Partitions[from:to], Offsets: k.Offsets[from:to],
	}
	if k.LeaderEpochs != nil {
		p.LeaderEpochs = k.LeaderEpochs[from:to]
	}
	if k.Metadata != nil {
		p.Metadata = k.Metadata[from:to]
	}
	return p
}
