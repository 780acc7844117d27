package assignor

import (
	"cmp"
	"slices"
)

// Uniform gives all members as many partitions as their subscriptions allow, within one, and moves as few as it can: a
// member keeps what it had as long as nobody who could take it has two less.
func Uniform(members []Member) map[string][]Partition {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	topics, subscribers := subscriptions(members)
	u := uniform{subscribers: subscribers, owned: make([]map[Partition]struct{}, len(members)), load: make([]int, len(members))}
	u.keep(members, topics)
	u.fill(topics)
	u.balance()
	assigned := make(map[string][]Partition, len(members))
	for i, m := range members {
		assigned[m.ID] = u.sorted(i)
	}
	return assigned
}

type uniform struct {
	subscribers map[uint64][]int
	owned       []map[Partition]struct{} // by member
	load        []int                    // len(owned[i])
	owner       map[Partition]int
}

func (u *uniform) give(p Partition, to int) {
	if from, ok := u.owner[p]; ok {
		delete(u.owned[from], p)
		u.load[from]--
	}
	u.owner[p] = to
	u.owned[to][p] = struct{}{}
	u.load[to]++
}

// keep leaves everybody what it had, as far as it is there, subscribed to and nobody else's.
func (u *uniform) keep(members []Member, topics []Topic) {
	count := make(map[uint64]uint32, len(topics))
	for _, t := range topics {
		count[t.Number] = t.Partitions
	}
	u.owner = map[Partition]int{}
	for i, m := range members {
		u.owned[i] = map[Partition]struct{}{}
		for _, p := range m.Before {
			_, subscribed := slices.BinarySearch(u.subscribers[p.Topic], i)
			if _, taken := u.owner[p]; subscribed && !taken && p.Partition < count[p.Topic] {
				u.give(p, i)
			}
		}
	}
}

// fill gives what nobody has to the subscriber with the least, first where there is the least choice.
func (u *uniform) fill(topics []Topic) {
	topics = slices.Clone(topics)
	slices.SortStableFunc(topics, func(a, b Topic) int {
		return cmp.Compare(len(u.subscribers[a.Number]), len(u.subscribers[b.Number]))
	})
	for _, t := range topics {
		for p := range t.Partitions {
			if slot := (Partition{t.Number, p}); !u.taken(slot) {
				u.give(slot, u.least(t.Number))
			}
		}
	}
}

func (u *uniform) taken(p Partition) bool { _, ok := u.owner[p]; return ok }

// least is the subscriber of a topic that has the fewest partitions, the first of them.
func (u *uniform) least(topic uint64) int {
	subs := u.subscribers[topic]
	best := subs[0]
	for _, i := range subs[1:] {
		if u.load[i] < u.load[best] {
			best = i
		}
	}
	return best
}

// balance moves partitions from members to others that have at least two less. Each move makes the sum of the squared
// loads smaller, so it ends.
func (u *uniform) balance() {
	order := make([]int, len(u.load))
	for moved := true; moved; {
		moved = false
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(u.load[b], u.load[a]) })
		for _, i := range order {
			moved = u.relieve(i) || moved
		}
	}
}

// relieve lets a member hand over what others should have. From which topic decides who has the least, then the number.
func (u *uniform) relieve(i int) (moved bool) {
	list := u.sorted(i)
	for at := len(list) - 1; at >= 0; { // from the end of a topic, so that stretches stay stretches
		topic := list[at].Topic
		to := u.least(topic)
		if u.load[i]-u.load[to] >= 2 {
			u.give(list[at], to)
			moved = true
			at--
			continue
		}
		for at >= 0 && list[at].Topic == topic {
			at--
		}
	}
	return moved
}

func (u *uniform) sorted(i int) []Partition {
	list := make([]Partition, 0, len(u.owned[i]))
	for p := range u.owned[i] {
		list = append(list, p)
	}
	slices.SortFunc(list, compare)
	return list
}
