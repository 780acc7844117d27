package consumer

import (
	"slices"

	pb "wadi/metadata/metadatapb"
)

// Set is partitions of topics, by topic number: topics and partitions sorted, no topic without partitions. Sets are
// shared and never changed. The algebra knows partitions alone: what it makes of sets is without assignment epochs, and
// sets that differ in nothing else are equal.
type Set = []*pb.GroupPartitions

type slot struct {
	topic     uint64
	partition uint32
}

// combine walks two sets side by side and keeps what choose says.
func combine(a, b Set, choose func(s slot, inA, inB bool) bool) (out Set) {
	for len(a) > 0 || len(b) > 0 {
		var topic uint64
		var x, y []uint32
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Topic < b[0].Topic:
			topic, x, a = a[0].Topic, a[0].Partitions, a[1:]
		case len(a) == 0 || b[0].Topic < a[0].Topic:
			topic, y, b = b[0].Topic, b[0].Partitions, b[1:]
		default:
			topic, x, y, a, b = a[0].Topic, a[0].Partitions, b[0].Partitions, a[1:], b[1:]
		}
		if list := combineList(topic, x, y, choose); len(list) > 0 {
			out = append(out, &pb.GroupPartitions{Topic: topic, Partitions: list})
		}
	}
	return out
}

func combineList(topic uint64, x, y []uint32, choose func(slot, bool, bool) bool) (list []uint32) {
	for len(x) > 0 || len(y) > 0 {
		inX := len(x) > 0 && (len(y) == 0 || x[0] <= y[0])
		inY := len(y) > 0 && (len(x) == 0 || y[0] <= x[0])
		var p uint32
		if inX {
			p, x = x[0], x[1:]
		}
		if inY {
			p, y = y[0], y[1:]
		}
		if choose(slot{topic, p}, inX, inY) {
			list = append(list, p)
		}
	}
	return list
}

func intersect(a, b Set) Set {
	return combine(a, b, func(_ slot, inA, inB bool) bool { return inA && inB })
}
func minus(a, b Set) Set {
	return combine(a, b, func(_ slot, inA, inB bool) bool { return inA && !inB })
}
func union(a, b Set) Set {
	return combine(a, b, func(slot, bool, bool) bool { return true })
}
func overlap(a, b Set) bool { return len(intersect(a, b)) > 0 }
func subset(a, b Set) bool  { return len(minus(a, b)) == 0 }

func equal(a, b Set) bool {
	return slices.EqualFunc(a, b, func(x, y *pb.GroupPartitions) bool {
		return x.Topic == y.Topic && slices.Equal(x.Partitions, y.Partitions)
	})
}

// under is a set with the epochs under which its partitions were assigned (KIP-1251). A set has one form: a single epoch
// where it is the same for all partitions of a topic.
func under(set Set, since func(slot) int32) (out Set) {
	for _, t := range set {
		epochs, one := make([]int32, len(t.Partitions)), true
		for i, p := range t.Partitions {
			epochs[i] = since(slot{t.Topic, p})
			one = one && epochs[i] == epochs[0]
		}
		if one {
			epochs = epochs[:1:1]
		}
		out = append(out, &pb.GroupPartitions{Topic: t.Topic, Partitions: t.Partitions, Epochs: epochs})
	}
	return out
}

// Under is a set whose partitions were all assigned under one epoch.
func Under(set Set, epoch int32) Set { return under(set, func(slot) int32 { return epoch }) }

func each(s Set, visit func(slot)) {
	for _, t := range s {
		for _, p := range t.Partitions {
			visit(slot{t.Topic, p})
		}
	}
}

// SetOf makes a set of partitions in any order.
func SetOf(topics map[uint64][]uint32) (out Set) {
	for topic, partitions := range topics {
		if len(partitions) == 0 {
			continue
		}
		list := slices.Clone(partitions)
		slices.Sort(list)
		out = append(out, &pb.GroupPartitions{Topic: topic, Partitions: slices.Compact(list)})
	}
	slices.SortFunc(out, func(a, b *pb.GroupPartitions) int {
		if a.Topic < b.Topic {
			return -1
		}
		return 1
	})
	return out
}
