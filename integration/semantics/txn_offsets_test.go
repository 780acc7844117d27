package semantics

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// unstable asks for a partition's position with require_stable, and returns its offset and code.
func unstable(c *client, group string, of topic, partition int32) (int64, int16) {
	c.t.Helper()
	req := fetchOffsets(group, []int32{partition}, of)
	req.RequireStable = true
	resp := ask[*kmsg.OffsetFetchResponse](c, 8, req)
	require.Len(c.t, resp.Groups, 1)
	require.Zero(c.t, resp.Groups[0].ErrorCode)
	p := resp.Groups[0].Topics[0].Partitions[0]
	return p.Offset, p.ErrorCode
}

// Semantics line 83: positions that are committed in a transaction are nobody's until it is, all at once; the group need
// not exist. Who asks for stable ones is told to wait (Semantics line 63), also for one that was there before.
func TestLine83OffsetsInTransactions(t *testing.T) {
	t.Parallel()
	n := shared(t)
	to := create(dial(t, n), "line83", 3)
	bothVersions(t, func(t *testing.T, tv int) {
		c, group := dial(t, n), t.Name()
		x := transactorOf(t, n, tv, t.Name())
		require.Zero(t, commit(c, 9, commitRequest(group, to, 2, 100)))
		x.moves(group, to, 0, 7)
		x.moves(group, to, 1, 8)
		x.moves(group, to, 2, 9)
		for p, before := range []int64{-1, -1, 100} {
			require.Equal(t, before, committed(c, group, to, int32(p)).Offset)
			offset, code := unstable(c, group, to, int32(p))
			require.Equal(t, []int64{-1, 88}, []int64{offset, int64(code)})
		}
		x.moves(group, to, 1, 18) // the last one counts
		x.ends(true)
		for p, want := range []int64{7, 18, 9} {
			offset, code := unstable(c, group, to, int32(p))
			require.Equal(t, []int64{want, 0}, []int64{offset, int64(code)})
		}

		x.moves(group, to, 0, 70)
		offset, code := unstable(c, group, to, 1)
		require.Equal(t, []int64{18, 0}, []int64{offset, int64(code)}, "another partition's is stable")
		x.ends(false)
		require.EqualValues(t, 7, committed(c, group, to, 0).Offset)
		offset, code = unstable(c, group, to, 0)
		require.Equal(t, []int64{7, 0}, []int64{offset, int64(code)})
	})
}

// Semantics line 83: who may commit positions in a transaction. Before TV2 the group must have been added; from version 3
// on members are asked who they are.
func TestLine83WhoMayCommit(t *testing.T) {
	t.Parallel()
	n := newCluster(t).start(t, groupSettings)
	c := dial(t, n)
	to := create(c, "line83", 1)
	x := transactorOf(t, n, 1, "line83")
	for v := range int16(5) {
		want := int16(48)
		if v == 4 { // the first that knows of TRANSACTION_ABORTABLE
			want = 120
		}
		require.Equal(t, want, commitOffset(x, v, x.offsetRequest("g", to, 0, 1)), "version %d", v)
	}
	for v := range int16(5) {
		require.Zero(t, x.addGroup(v, fmt.Sprint("g", v)), "version %d", v)
		require.Zero(t, commitOffset(x, v, x.offsetRequest(fmt.Sprint("g", v), to, 0, int64(v))))
	}
	x.ends(true)
	for v := range int64(5) {
		require.Equal(t, v, committed(c, fmt.Sprint("g", v), to, 0).Offset)
	}

	m := newMember(t, n, "members")
	m.instance = "static"
	m.alone()
	as := func(x *transactor, offset int64) *kmsg.TxnOffsetCommitRequest {
		req := x.offsetRequest("members", to, 0, offset)
		req.MemberID, req.Generation, req.InstanceID = m.id, m.generation, &m.instance
		return req
	}
	other := "other"
	for name, e := range map[string]struct {
		code int16
		edit func(*kmsg.TxnOffsetCommitRequest)
	}{
		"old generation":    {22, func(r *kmsg.TxnOffsetCommitRequest) { r.Generation-- }},
		"unknown member":    {25, func(r *kmsg.TxnOffsetCommitRequest) { r.MemberID, r.InstanceID = "m", nil }},
		"no member named":   {25, func(r *kmsg.TxnOffsetCommitRequest) { r.MemberID, r.InstanceID = "", nil }},
		"unknown instance":  {25, func(r *kmsg.TxnOffsetCommitRequest) { r.InstanceID = &other }},
		"other member":      {82, func(r *kmsg.TxnOffsetCommitRequest) { r.MemberID = "m" }},
		"no such group":     {22, func(r *kmsg.TxnOffsetCommitRequest) { r.Group = "no group" }},
		"empty group":       {24, func(r *kmsg.TxnOffsetCommitRequest) { r.Group = "" }},
		"no such topic":     {3, func(r *kmsg.TxnOffsetCommitRequest) { r.Topics[0].Topic = "other" }},
		"no such partition": {3, func(r *kmsg.TxnOffsetCommitRequest) { r.Topics[0].Partitions[0].Partition = 1 }},
		"metadata too large": {12, func(r *kmsg.TxnOffsetCommitRequest) {
			r.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("x", 4097))
		}},
	} {
		y := transactorOf(t, n, 2, "line83-"+name)
		req := as(y, 5)
		e.edit(req)
		require.Equal(t, e.code, commitOffset(y, 5, req), name)
		require.EqualValues(t, -1, committed(c, "members", to, 0).Offset)
	}
	y := transactorOf(t, n, 2, "line83-member")
	require.Zero(t, commitOffset(y, 5, as(y, 5)), "the member itself")
	require.Zero(t, commitOffset(y, 5, y.offsetRequest("members", to, 0, 6)), "a producer that names none (KIP-447)")
	y.ends(true)
	require.EqualValues(t, 6, committed(c, "members", to, 0).Offset)

	// Members that are about to be rebalanced may finish what they began.
	joining := newMember(t, n, "members").enter()
	m.rebalances()
	require.Zero(t, commitOffset(y, 5, as(y, 7)))
	y.ends(true)
	require.EqualValues(t, 7, committed(c, "members", to, 0).Offset)
	again := m.join()
	joining()
	again()
}

// Semantics line 66: what else happens to a group while a transaction holds positions of it. They are not lost on the way,
// except where they or the group are deleted, and take their place when the transaction ends: a plain commit counts at once and is overtaken
// (Apache Kafka keeps the one that was sent last).
func TestLine66WhileATransactionIsOpen(t *testing.T) {
	t.Parallel()
	n := shared(t)
	to := create(dial(t, n), "line66-open", 2)
	bothVersions(t, func(t *testing.T, tv int) {
		c := dial(t, n)
		x := transactorOf(t, n, tv, t.Name())
		group := t.Name() + " commits"
		x.moves(group, to, 0, 7)
		require.Zero(t, commit(c, 9, commitRequest(group, to, 0, 3)))
		require.EqualValues(t, 3, committed(c, group, to, 0).Offset)
		x.ends(true)
		require.EqualValues(t, 7, committed(c, group, to, 0).Offset)

		group = t.Name() + " is deleted"
		require.Zero(t, commit(c, 9, commitRequest(group, to, 1, 3)))
		x.moves(group, to, 0, 8)
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{group}
		require.Zero(t, ask[*kmsg.DeleteGroupsResponse](c, 2, req).Groups[0].ErrorCode)
		gone := func() {
			t.Helper()
			require.EqualValues(t, -1, committed(c, group, to, 0).Offset)
			require.EqualValues(t, -1, committed(c, group, to, 1).Offset)
		}
		gone()
		x.ends(true)
		gone()

		group = t.Name() + " forgets"
		require.Zero(t, commit(c, 9, commitRequest(group, to, 0, 3)))
		x.moves(group, to, 0, 8)
		x.moves(group, to, 1, 9)
		forget := kmsg.NewPtrOffsetDeleteRequest()
		forget.Group = group
		in := kmsg.NewOffsetDeleteRequestTopic()
		in.Topic = to.name
		in.Partitions = append(in.Partitions, kmsg.NewOffsetDeleteRequestTopicPartition())
		forget.Topics = append(forget.Topics, in)
		deleted := ask[*kmsg.OffsetDeleteResponse](c, 0, forget)
		require.Zero(t, deleted.ErrorCode)
		require.Zero(t, deleted.Topics[0].Partitions[0].ErrorCode)
		gone()
		x.ends(true)
		require.EqualValues(t, -1, committed(c, group, to, 0).Offset)
		require.EqualValues(t, 9, committed(c, group, to, 1).Offset, "the other partition's")
	})
}
