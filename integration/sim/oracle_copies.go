package sim

import (
	"maps"
	"slices"

	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// heldOffset is a position that waits for the end of its transaction.
type heldOffset struct {
	group string
	slot  slot
	committedOffset
}

// held follows a CommitTxnOffsets that State took.
func (o *txnsOracle) held(e journal.Entry, c *pb.CommitTxnOffsets) {
	w, k := o.w, c.Offsets
	x := o.begin(e, grant{c.ProducerId, int16(c.ProducerEpoch)})
	if x == nil {
		return
	}
	g := w.oracle.groups.group(k.Group)
	m := g.members[k.Member]
	modern := state.GroupType(g.header.Type) == state.ConsumerGroup
	if m == nil || modern && m.Epoch != k.Generation && !g.crosses(m, k) || !modern && g.header.Generation != k.Generation {
		w.violated("position %d: group %s takes a commit of %s under %d in a transaction", e.Position, k.Group, k.Member, k.Generation)
		return
	}
	for i, topic := range k.Topics {
		h := heldOffset{k.Group, slot{topic, k.Partitions[i]}, committedOffset{k.Offsets[i], k.Member, k.Metadata[i]}}
		x.offsets = slices.DeleteFunc(x.offsets, func(old heldOffset) bool { return old.group == h.group && old.slot == h.slot })
		x.offsets = append(x.offsets, h)
		o.own(e, x, o.sends[k.Metadata[i]])
	}
}

// holds tells that a transaction has all that its client means to move.
func (x *opened) holds(want *offsetsToSend) bool {
	for i, s := range want.slots {
		if !slices.ContainsFunc(x.offsets, func(h heldOffset) bool { return h.slot == s && h.offset == want.at[i] && h.sent == want.sent }) {
			return false
		}
	}
	return true
}

// kept checks that positions are held when their client is told so.
func (o *txnsOracle) kept(t *transaction) {
	l := o.ids[t.of.t.name]
	if t.fate == undecided && !t.of.t.exposed && (l == nil || l.open == nil || !l.open.holds(t.offsets)) {
		o.w.violated("%s is told that the offsets of transaction %d are held, they are not", t.of.t.name, t.n)
	}
}

// settle moves the positions of a transaction that was committed, and compares them with State's.
func (o *txnsOracle) settle(e journal.Entry, x *opened, how direction) {
	w := o.w
	for _, h := range x.offsets {
		g := w.oracle.groups.group(h.group)
		if how == committed {
			if list := g.offsets[h.slot]; len(list) > 0 && list[len(list)-1].offset > h.offset && !o.exposed() {
				w.violated("position %d: a transaction moves group %s in partition %v from %v back to %d", e.Position, h.group, h.slot, list[len(list)-1], h.offset)
			}
			g.offsets[h.slot] = append(g.offsets[h.slot], h.committedOffset)
		}
		want := int64(-1)
		if list := g.offsets[h.slot]; len(list) > 0 {
			want = list[len(list)-1].offset
		}
		have := int64(-1)
		if y, ok := w.oracle.st.Group(h.group).Offset(h.slot.topic, int32(h.slot.partition)); ok {
			have = y.Offset
		}
		if have != want || w.oracle.st.OffsetPending(w.oracle.st.Group(h.group), h.slot.topic, int32(h.slot.partition)) {
			w.violated("position %d: a transaction is %s, group %s is at %d in partition %v, it must be at %d", e.Position, how, h.group, have, h.slot, want)
		}
	}
}

// pending are the open transactions that hold positions of partitions.
func (o *txnsOracle) pending(group string, list []slot) []*opened {
	found := make([]*opened, len(list))
	for _, name := range slices.Sorted(maps.Keys(o.ids)) {
		x := o.ids[name].open
		if x == nil {
			continue
		}
		for _, h := range x.offsets {
			if i := slices.Index(list, h.slot); i >= 0 && h.group == group {
				found[i] = x
			}
		}
	}
	return found
}

// exposed tells that an application that copies is not judged any more.
func (o *txnsOracle) exposed() bool {
	return slices.ContainsFunc(o.w.tellers, func(t *teller) bool { return t.copies != nil && t.exposed })
}

// copies counts what was copied: each batch of the feed that is committed, or of no transaction, once (I15).
func (o *txnsOracle) copies() {
	w := o.w
	if o.exposed() {
		return
	}
	count := map[*attempt]int{}
	for log := range int32(partitions) {
		for _, x := range w.oracle.logs[log] {
			if x.attempt != nil && x.attempt.batch.source != nil && x.txn.fate == committed {
				count[x.attempt.batch.source]++
			}
		}
	}
	done := w.uncopied() == ""
	for log := int32(partitions); log < firstTable; log++ {
		for _, x := range w.oracle.logs[log] {
			if x.attempt == nil {
				continue
			}
			n, want := count[x.attempt], 1
			if x.txn != nil && x.txn.fate != committed {
				want = 0
			}
			if n > want || n < want && done && len(w.copiers().live()) > 0 {
				w.violated("offset %d of log %d was copied %d times, it must be %d", x.base, log, n, want)
			}
			w.stats.Copied += n
		}
	}
}

// waited checks that a reader of positions that wants stable ones was not told one that a transaction held all the time.
func (o *txnsOracle) waited(group string, list []slot, before []*opened) {
	for i, x := range o.pending(group, list) {
		if x != nil && x == before[i] {
			o.w.violated("group %s is told a position of partition %v that a transaction holds: %v", group, list[i], x)
		}
	}
}
