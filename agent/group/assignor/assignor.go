// Package assignor divides the partitions of topics among the members of a consumer group: the server-side assignors of
// KIP-848. They are pure: the same members and topics give the same assignment.
package assignor

import (
	"cmp"
	"slices"
)

// Partition is one partition of the topic with this number.
type Partition struct {
	Topic     uint64
	Partition uint32
}

func compare(a, b Partition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// Topic is a topic and how many partitions it has.
type Topic struct {
	Number     uint64
	Partitions uint32
}

// Member is one member, what it subscribes to, and what it was to own before.
type Member struct {
	ID       string
	Instance string // KIP-345, "" = a dynamic member
	Topics   []Topic
	Before   []Partition
}

// An Assignor gives each partition of each topic that somebody subscribes to, to one of its subscribers. Every member is
// in the result; partitions are sorted.
type Assignor func(members []Member) map[string][]Partition

// Names of the assignors, as group.consumer.assignors has them. The first is the default.
var Names = []string{"uniform", "range"}

// Named is the assignor of that name, nil when there is none.
func Named(name string) Assignor {
	switch name {
	case "uniform":
		return Uniform
	case "range":
		return Range
	}
	return nil
}

// Range gives each subscriber of a topic a stretch of its partitions, in the order of the members' instance ids, of
// member ids where there is none. Topics of the same subscribers and as many partitions are divided alike, so that what
// belongs together meets at one member.
func Range(members []Member) map[string][]Partition {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(cmp.Or(a.Instance, a.ID), cmp.Or(b.Instance, b.ID)), cmp.Compare(a.ID, b.ID))
	})
	assigned := make(map[string][]Partition, len(members))
	for _, m := range members {
		assigned[m.ID] = nil
	}
	topics, subscribers := subscriptions(members)
	for _, t := range topics {
		subs := subscribers[t.Number]
		each, more := t.Partitions/uint32(len(subs)), t.Partitions%uint32(len(subs))
		next := uint32(0)
		for i, m := range subs {
			end := next + each
			if uint32(i) < more {
				end++
			}
			for ; next < end; next++ {
				id := members[m].ID
				assigned[id] = append(assigned[id], Partition{t.Number, next})
			}
		}
	}
	for _, list := range assigned {
		slices.SortFunc(list, compare)
	}
	return assigned
}

// subscriptions lists the topics, by number, and for each the indexes of its subscribers.
func subscriptions(members []Member) (topics []Topic, subscribers map[uint64][]int) {
	subscribers = map[uint64][]int{}
	for i, m := range members {
		for _, t := range m.Topics {
			subs := subscribers[t.Number]
			if len(subs) == 0 {
				topics = append(topics, t)
			}
			if len(subs) == 0 || subs[len(subs)-1] != i {
				subscribers[t.Number] = append(subs, i)
			}
		}
	}
	slices.SortFunc(topics, func(a, b Topic) int { return cmp.Compare(a.Number, b.Number) })
	return topics, subscribers
}
