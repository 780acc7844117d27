package semantics

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Semantics line 69: what InitProducerId takes and gives.
func TestLine69ProducerIDs(t *testing.T) {
	t.Parallel()
	c := dial(t, shared(t))
	seen := map[int64]bool{}
	fresh := func(version int16, req *kmsg.InitProducerIDRequest) {
		t.Helper()
		resp := initProducer(c, version, req)
		require.Zero(t, resp.ErrorCode)
		require.Zero(t, resp.ProducerEpoch)
		require.GreaterOrEqual(t, resp.ProducerID, int64(0))
		require.False(t, seen[resp.ProducerID], "producer id %d was given out before", resp.ProducerID)
		seen[resp.ProducerID] = true
	}
	for version := range int16(6) {
		fresh(version, initRequest("", 60_000, -1, -1))
		fresh(version, initRequest(fmt.Sprint("line69-", version), 60_000, -1, -1))
	}
	fresh(3, initRequest("", 60_000, 5, 7)) // without a transactional id the ones that a client names mean nothing
	fresh(4, initRequest("", -5, -1, -1))   // nor does a timeout

	for name, refused := range map[string]struct {
		code int16
		edit func(*kmsg.InitProducerIDRequest)
	}{
		"empty id":         {42, func(r *kmsg.InitProducerIDRequest) { r.TransactionalID = new(string) }},
		"no timeout":       {50, func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = 0 }},
		"negative timeout": {50, func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = -1 }},
		"long timeout":     {50, func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = 900_001 }},
		"id alone":         {42, func(r *kmsg.InitProducerIDRequest) { r.ProducerID = 1 }},
		"epoch alone":      {42, func(r *kmsg.InitProducerIDRequest) { r.ProducerEpoch = 1 }},
	} {
		req := initRequest("line69-refused", 60_000, -1, -1)
		refused.edit(req)
		resp := initProducer(c, 5, req)
		require.Equal(t, refused.code, resp.ErrorCode, name)
		require.Equal(t, []int64{-1, -1}, []int64{resp.ProducerID, int64(resp.ProducerEpoch)}, name)
	}
	fresh(5, initRequest("line69-refused", 900_000, -1, -1)) // transaction.max.timeout.ms; what was refused left nothing
}

// Semantics line 69, over agents: an id that one gave out is given out by no other, also after all were started anew.
func TestLine69ProducerIDsOfAllAgents(t *testing.T) {
	t.Parallel()
	cl := newCluster(t)
	seen := map[int64]bool{}
	for range 2 {
		nodes := []*node{cl.start(t, nil), cl.start(t, nil)}
		for i := range 6 {
			pid := producerID(dial(t, nodes[i%2]))
			require.False(t, seen[pid], "producer id %d was given out before", pid)
			seen[pid] = true
		}
		require.NoError(t, nodes[0].stop())
		require.NoError(t, nodes[1].stop())
	}
}

// Semantics line 70: whoever opens a transactional id fences the producer that had it, and what that one had begun is
// aborted. In Apache Kafka CONCURRENT_TRANSACTIONS is seen meanwhile; here one command does it all, so the first answer
// is the new epoch and the records are settled when it comes.
func TestLine70TakeOver(t *testing.T) {
	t.Parallel()
	bothVersions(t, func(t *testing.T, tv int) {
		n := shared(t)
		c := dial(t, n)
		to, group := create(c, fmt.Sprint("line70-", tv), 2), t.Name()
		old := transactorOf(t, n, tv, t.Name())
		old.puts(to, 0, "a", "b")
		old.puts(to, 1, "c")
		old.moves(group, to, 0, 7)
		lso, next := stable(c, to, 0)
		require.Equal(t, []int64{0, 2}, []int64{lso, next})

		young := transactorOf(t, n, tv, t.Name())
		require.Equal(t, old.pid, young.pid)
		require.Greater(t, young.epoch, old.epoch)
		lso, next = stable(c, to, 0)
		require.Equal(t, []int64{3, 3}, []int64{lso, next}, "two records and a marker")
		lso, next = stable(c, to, 1)
		require.Equal(t, []int64{2, 2}, []int64{lso, next})
		require.Empty(t, committedValues(c, to, 0))
		require.Empty(t, committedValues(c, to, 1))
		require.EqualValues(t, -1, committed(c, group, to, 0).Offset)

		// Nothing of the first producer gets through any more.
		require.EqualValues(t, 47, old.writeAt(old.produceVersion(), to, 0, "late").ErrorCode)
		require.Equal(t, []int16{90}, old.register(to, 0))
		require.EqualValues(t, 90, old.addGroup(3, group))
		require.EqualValues(t, 47, commitOffset(old, old.offsetVersion(), old.offsetRequest(group, to, 0, 8)))
		require.EqualValues(t, 90, old.end(true))
		require.EqualValues(t, 90, old.end(false))

		require.EqualValues(t, 3, young.puts(to, 0, "d"))
		young.ends(true)
		require.Equal(t, []string{"d"}, committedValues(c, to, 0))
	})
}

// Semantics line 71: one start of a producer is one step of its epoch, under both kinds of client; an EndTxn of TV2 is
// one step, not two.
func TestLine71EpochsAreNotBurnt(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line71", 1)
	x := transactorOf(t, n, 2, "line71")
	require.EqualValues(t, 0, x.epoch)
	for i := range int16(3) {
		x.puts(to, 0, "v")
		x.ends(i%2 == 0)
		require.Equal(t, i+1, x.epoch)
	}
	for i := range int16(3) {
		x.init()
		require.Equal(t, 4+i, x.epoch)
	}
	y := transactorOf(t, n, 1, "line71-TV1")
	for range 3 {
		y.puts(to, 0, "v")
		y.ends(true)
		require.EqualValues(t, 0, y.epoch, "a TV1 client goes on with its epoch")
	}
	y.init()
	require.EqualValues(t, 1, y.epoch)
}

// Semantics line 71: when the epochs of a producer id are used up, its transactional id gets another one. Here many
// starts race for them: no two are told the same.
func TestLine71EpochsRunOut(t *testing.T) {
	t.Parallel()
	n := shared(t)
	const last, starters, each = 32_766, 64, 515
	type identity struct {
		pid   int64
		epoch int16
	}
	first := transactorOf(t, n, 2, "line71-run-out")
	got := make([][]identity, starters)
	var all sync.WaitGroup
	for i := range starters {
		c := dial(t, n)
		all.Go(func() {
			for range each {
				resp := initProducer(c, 5, initRequest(first.id, 60_000, -1, -1))
				require.Zero(t, resp.ErrorCode)
				got[i] = append(got[i], identity{resp.ProducerID, resp.ProducerEpoch})
			}
		})
	}
	all.Wait()
	seen := map[identity]bool{{first.pid, first.epoch}: true}
	pids := map[int64]int{first.pid: 1}
	for _, list := range got {
		for _, id := range list {
			require.False(t, seen[id], "%v was told twice", id)
			seen[id] = true
			pids[id.pid]++
		}
	}
	require.Len(t, pids, 2)
	require.Equal(t, last+1, pids[first.pid])
	for epoch := range int16(starters*each - last) {
		delete(pids, first.pid)
		for pid := range pids {
			require.True(t, seen[identity{pid, epoch}], "epoch %d was skipped", epoch)
		}
	}
}

// Semantics line 72: with the id and epoch that it has, a producer asks for a new epoch in one that others cannot have
// taken (KIP-360): the current one goes up, the one before gets the answer that was lost, and any other is fenced.
func TestLine72Resume(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	x := transactorOf(t, n, 2, "line72")
	resume := func(version int16, pid int64, epoch int16) (code, got int16) {
		t.Helper()
		resp := initProducer(c, version, initRequest("line72", 60_000, pid, epoch))
		if resp.ErrorCode == 0 {
			require.Equal(t, x.pid, resp.ProducerID)
		}
		return resp.ErrorCode, resp.ProducerEpoch
	}
	for version := int16(3); version <= 5; version++ {
		code, epoch := resume(version, x.pid, x.epoch)
		require.Zero(t, code)
		require.Equal(t, x.epoch+1, epoch)
		for range 2 { // the answer was lost, once and again
			code, epoch = resume(version, x.pid, x.epoch)
			require.Zero(t, code)
			require.Equal(t, x.epoch+1, epoch)
		}
		fenced := int16(90)
		if version == 3 {
			fenced = 47
		}
		for _, bad := range []int16{x.epoch + 2, x.epoch - 1, 30_000} {
			if bad < 0 {
				continue
			}
			code, epoch = resume(version, x.pid, bad)
			require.Equal(t, []int16{fenced, -1}, []int16{code, epoch}, "epoch %d after %d", bad, x.epoch+1)
		}
		code, _ = resume(version, x.pid+1_000_000, x.epoch+1)
		require.Equal(t, fenced, code, "another producer's id")
		x.epoch++
	}

	// A producer that gets a new epoch while its transaction is open has that aborted.
	to := create(c, "line72", 1)
	x.next = map[string]int32{}
	x.puts(to, 0, "lost")
	code, epoch := resume(5, x.pid, x.epoch)
	require.Zero(t, code)
	require.Equal(t, x.epoch+1, epoch)
	x.became(x.pid, epoch)
	require.Empty(t, committedValues(c, to, 0))
	x.puts(to, 0, "kept")
	x.ends(true)
	require.Equal(t, []string{"kept"}, committedValues(c, to, 0))

	// An id that nobody has: what the client names is of no importance.
	resp := initProducer(c, 5, initRequest("line72-new", 60_000, x.pid, 3))
	require.Zero(t, resp.ErrorCode)
	require.NotEqual(t, x.pid, resp.ProducerID)
	require.Zero(t, resp.ProducerEpoch)
}

// Semantics line 73: who comes with an epoch that is over hears PRODUCER_FENCED, in older versions INVALID_PRODUCER_EPOCH,
// which is also what Produce and TxnOffsetCommit say in all of theirs. A producer id that is not the transactional id's
// is another matter.
func TestLine73StaleEpochs(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line73", 1)
	old := transactorOf(t, n, 1, "line73")
	transactorOf(t, n, 1, "line73")
	since := func(version, renamed int16) int16 {
		if version < renamed {
			return 47
		}
		return 90
	}
	ahead := *old
	ahead.epoch += 5
	stranger := *old
	stranger.pid += 1_000_000
	nobody := *old
	nobody.id = "line73-nobody"
	for _, x := range []*transactor{old, &ahead} {
		for v := range int16(4) {
			require.Equal(t, []int16{since(v, 2)}, registered(x, v, x.addRequest(to, 0)), "AddPartitionsToTxn v%d", v)
		}
		for v := range int16(5) {
			require.Equal(t, since(v, 2), x.addGroup(v, "line73"), "AddOffsetsToTxn v%d", v)
		}
		for v := range int16(6) {
			require.Equal(t, since(v, 2), ended(x, v, x.endRequest(false)).ErrorCode, "EndTxn v%d", v)
			require.EqualValues(t, 47, commitOffset(x, v, x.offsetRequest("line73", to, 0, 1)), "TxnOffsetCommit v%d", v)
		}
		for v := int16(3); v <= 12; v++ {
			require.EqualValues(t, 47, x.writeAt(v, to, 0, "late").ErrorCode, "Produce v%d", v)
		}
	}
	for _, x := range []*transactor{&stranger, &nobody} {
		for v := range int16(4) {
			require.Equal(t, []int16{49}, registered(x, v, x.addRequest(to, 0)))
		}
		require.EqualValues(t, 49, x.addGroup(3, "line73"))
		for v := range int16(6) {
			require.EqualValues(t, 49, ended(x, v, x.endRequest(true)).ErrorCode)
			require.EqualValues(t, 49, commitOffset(x, v, x.offsetRequest("line73", to, 0, 1)), "TxnOffsetCommit v%d", v)
		}
	}
	require.Equal(t, int64(0), end(c, to))
	require.EqualValues(t, -1, committed(c, "line73", to, 0).Offset)
}
