package consumer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// epochsRight checks what a change says of assignment epochs (KIP-1251), against the records before it: what a member keeps,
// or is to give up, it has had since then; what it gets, it has since the epoch at which it is now; and who leaves for a
// while has what it left since ever.
func (r *rig) epochsRight(c Change) {
	var put []*state.Member
	var removed []string
	for _, u := range c {
		put, removed = append(put, u.Members...), append(removed, u.Removed...)
	}
	for _, m := range put {
		before := r.g.Members[m.Id]
		if before == nil && m.InstanceId != "" { // the successor of a static member
			if before = r.g.Static(m.InstanceId); before != nil && !slices.Contains(removed, before.Id) {
				before = nil
			}
		}
		for i, set := range []Set{m.Owned, m.Revoking} {
			each(set, func(s slot) {
				want := m.Epoch
				if before != nil {
					had := before.Owned
					if i == 1 {
						had = union(had, before.Revoking)
					}
					if overlap(had, Set{{Topic: s.topic, Partitions: []uint32{s.partition}}}) {
						want, _ = state.AssignmentEpoch(before, s.topic, s.partition)
					}
				}
				if m.Epoch == StaticLeaveEpoch {
					want = 0
				}
				got, ok := state.AssignmentEpoch(m, s.topic, s.partition)
				require.True(r.t, ok)
				require.Equal(r.t, want, got, "%v of %s, before %v", s, m.Id, before.GetId())
			})
			for _, t := range set {
				if len(t.Epochs) == 0 && before != nil && before.Epoch == m.Epoch {
					continue // a record of before, of which only the target is new
				}
				same := len(slices.Compact(slices.Clone(t.Epochs))) == 1
				require.True(r.t, same && len(t.Epochs) == 1 || !same && len(t.Epochs) == len(t.Partitions), "%v has another form too", t)
			}
		}
		for _, t := range m.Target {
			require.Empty(r.t, t.Epochs)
		}
	}
}

// since are a member's partitions with their epochs.
func (r *rig) since(id string) string {
	var b strings.Builder
	for _, set := range []Set{r.g.Members[id].Owned, r.g.Members[id].Revoking} {
		each(set, func(s slot) {
			epoch, _ := state.AssignmentEpoch(r.g.Members[id], s.topic, s.partition)
			fmt.Fprintf(&b, " %d/%d@%d", s.topic, s.partition, epoch)
		})
		b.WriteString(" |")
	}
	return strings.TrimSpace(strings.TrimSuffix(b.String(), "|"))
}

// KIP-1251: a partition keeps the epoch under which it was assigned for as long as the member has it, also while it is to give
// it up, and has another one when it comes back.
func TestAssignmentEpochs(t *testing.T) {
	r := newRig(t)
	r.topics.add("t", 4)
	r.must(join("a", "t"))
	require.Equal(t, "1/0@1 1/1@1 1/2@1 1/3@1 |", r.since("a"))
	r.must(join("b", "t"))
	r.must(beat("a", 1, nil))
	require.Equal(t, "1/0@1 1/1@1 | 1/2@1 1/3@1", r.since("a"))
	mine := SetOf(map[uint64][]uint32{1: {0, 1}})
	r.must(beat("a", 1, &mine))
	require.Equal(t, "1/0@1 1/1@1 |", r.since("a"))
	require.Equal(t, []int32{1}, r.g.Members["a"].Owned[0].Epochs, "one for both")
	b := r.must(beat("b", 2, nil))
	require.Equal(t, "1/2@2 1/3@2 |", r.since("b"))

	r.must(beat("b", LeaveEpoch, nil))
	a := r.must(beat("a", 2, nil))
	require.Equal(t, "1/0@1 1/1@1 1/2@3 1/3@3 |", r.since("a"), "what it gave up and got again")
	require.Equal(t, int32(3), a.Epoch)
	require.Equal(t, "1/0 1/1 1/2 1/3", text(*a.Assignment))
	require.Greater(t, a.Epoch, b.Epoch)
	// What it is told by partitions alone has not changed.
	_, c, err := r.g.Heartbeat(beat("a", 3, a.Assignment), r.topics, true, 10)
	require.NoError(t, err)
	require.Nil(t, c)
	require.Nil(t, r.must(beat("a", 3, nil)).Assignment)
}

// Who leaves for a while has left positions, and takes no more: its successor may commit under any epoch of its own.
func TestAssignmentEpochsOfStaticMembers(t *testing.T) {
	r := newRig(t)
	r.topics.add("t", 2)
	as := func(h *Heartbeat) *Heartbeat { h.Instance = "i"; return h }
	r.must(as(join("a", "t")))
	r.must(join("c", "t"))
	r.must(as(beat("a", 1, nil)))
	require.Equal(t, "1/0@1 | 1/1@1", r.since("a"))
	r.must(as(beat("a", StaticLeaveEpoch, nil)))
	require.Equal(t, "1/0@0 |", r.since("a"))
	r.must(beat("c", 2, nil))
	r.must(as(join("b", "t")))
	require.Equal(t, "1/0@0 |", r.since("b"))
	require.Equal(t, "1/1@2 |", r.since("c"))

	// A successor of the classic protocol, whose process before has said nothing.
	old := as(join("d", "t"))
	old.Classic = &Classic{SessionTimeoutMs: 1000, Protocols: []*pb.GroupProtocol{{Name: "range"}}}
	r.must(old)
	require.Nil(t, r.g.Members["b"])
	require.Equal(t, "1/0@0 |", r.since("d"))
}

// Records of before have no epochs: theirs is the one at which the member is, until it moves and says so.
func TestAssignmentEpochsOfOlderRecords(t *testing.T) {
	r := newRig(t)
	r.topics.add("t", 3)
	two := SetOf(map[uint64][]uint32{1: {0, 1}})
	m := &state.Member{Id: "a", Topics: []string{"t"}, Epoch: 4, Owned: two, Target: two}
	r.g = Restore(5, 4, 4, hashOf(map[string][]Topic{"a": {{Number: 1, Name: "t", Partitions: 2}}}), []*state.Member{m})
	a := r.must(beat("a", 4, nil))
	require.Equal(t, int32(5), a.Epoch)
	require.Equal(t, "1/0@4 1/1@4 1/2@5 |", r.since("a"))
}
