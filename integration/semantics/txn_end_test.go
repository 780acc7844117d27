package semantics

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Semantics line 76: an end that was answered, and asked for again, is answered again as it was: success in the same
// direction, INVALID_TXN_STATE in the other. Apache Kafka has the states between, in which it says
// CONCURRENT_TRANSACTIONS; here the markers are there when the answer comes.
func TestLine76EndAgain(t *testing.T) {
	t.Parallel()
	bothVersions(t, func(t *testing.T, tv int) {
		n := shared(t)
		c := dial(t, n)
		to := create(c, fmt.Sprint("line76-", tv), 1)
		x := transactorOf(t, n, tv, t.Name())
		next := int64(0)
		for i, commit := range []bool{true, false, true, true, false, false} {
			x.puts(to, 0, fmt.Sprint(i))
			before := x.twin(n)
			x.ends(commit)
			next += 2 // the record and its marker
			lso, end := stable(c, to, 0)
			require.Equal(t, []int64{next, next}, []int64{lso, end})
			for range 2 {
				again := ended(before, before.endVersion(), before.endRequest(commit))
				require.Zero(t, again.ErrorCode)
				if tv == 2 {
					require.Equal(t, []int64{x.pid, int64(x.epoch)}, []int64{again.ProducerID, int64(again.ProducerEpoch)})
				}
				require.EqualValues(t, 48, ended(before, before.endVersion(), before.endRequest(!commit)).ErrorCode)
			}
			_, end = stable(c, to, 0)
			require.Equal(t, next, end, "a repetition writes no marker")
		}
		require.Equal(t, []string{"0", "2", "3"}, committedValues(c, to, 0))
	})
}

// Semantics line 76, in an old version: a producer that has not begun has nothing to end.
func TestLine76NothingToEnd(t *testing.T) {
	t.Parallel()
	n := shared(t)
	for version := range int16(5) {
		x := transactorOf(t, n, 1, fmt.Sprint("line76-empty-", version))
		require.EqualValues(t, 48, ended(x, version, x.endRequest(true)).ErrorCode)
		resp := ended(x, version, x.endRequest(false))
		require.EqualValues(t, 48, resp.ErrorCode)
	}
}

// Semantics line 77: a transaction of registrations alone ends well, in both directions.
func TestLine77WithoutRecords(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line77", 2)
	for i, commit := range []bool{true, false} {
		x := transactorOf(t, n, 1, fmt.Sprint("line77-", commit))
		require.Equal(t, []int16{0, 0}, x.register(to, 0, 1))
		x.ends(commit)
		require.Zero(t, x.addGroup(3, "line77"))
		x.ends(commit)
		require.Equal(t, []int16{0}, x.register(to, 0))
		require.Zero(t, x.addGroup(3, "line77"))
		x.ends(commit)

		y := transactorOf(t, n, 2, fmt.Sprint("line77-TV2-", commit))
		y.moves("line77", to, 0, int64(i))
		y.ends(commit)
	}
	require.Empty(t, committedValues(c, to, 0))
	require.EqualValues(t, 0, committed(c, "line77", to, 0).Offset, "the second was aborted")
	for p := range int32(2) {
		lso, next := stable(c, to, p)
		require.Equal(t, next, lso)
	}
}

// Semantics line 78: what EndTxn 5 answers, in all the states in which it can come.
func TestLine78EndOfTV2(t *testing.T) {
	t.Parallel()
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line78", 1)
	x := transactorOf(t, n, 2, "line78")
	end := func(epoch int16, commit bool) (code int16, next int16) {
		t.Helper()
		req := x.endRequest(commit)
		req.ProducerEpoch = epoch
		resp := ended(x, 5, req)
		if resp.ErrorCode != 0 {
			require.EqualValues(t, -1, resp.ProducerID)
		} else {
			require.Equal(t, x.pid, resp.ProducerID)
		}
		return resp.ErrorCode, resp.ProducerEpoch
	}
	type result struct{ code, epoch int16 }
	check := func(commit bool, epoch int16, want result) {
		t.Helper()
		code, next := end(epoch, commit)
		require.Equal(t, want, result{code, next})
		if code == 0 {
			x.became(x.pid, next)
		}
	}
	const yes, no = true, false
	invalid, fenced := result{48, -1}, result{90, -1}
	check(yes, 0, invalid) // nothing was begun
	check(no, 1, fenced)
	check(no, 0, result{0, 1}) // an empty abort is a step
	check(no, 0, result{0, 1}) // its answer was lost
	check(yes, 0, invalid)
	check(yes, 1, invalid)
	check(no, 1, result{0, 2})

	x.puts(to, 0, "a")
	check(yes, 1, fenced) // a transaction is open: an epoch that is over is just that
	check(no, 1, fenced)
	check(yes, 2, result{0, 3})
	check(yes, 2, result{0, 3})
	check(no, 2, invalid)
	check(yes, 3, invalid)
	check(no, 3, result{0, 4})
	check(yes, 2, fenced) // two steps ago
	require.Equal(t, []string{"a"}, committedValues(c, to, 0))

	x.puts(to, 0, "b")
	check(no, 4, result{0, 5})
	check(no, 4, result{0, 5})
	check(yes, 4, invalid)
	x.init()
	require.EqualValues(t, 6, x.epoch)
	check(no, 5, fenced)
	check(yes, 5, fenced)
	require.Equal(t, []string{"a"}, committedValues(c, to, 0))
	_, next := stable(c, to, 0)
	require.EqualValues(t, 4, next, "two records, two markers")
}

// EndTxn is one entry of the journal, however many partitions and groups it ends. Now and then the agent has an entry of its
// own to append, as for a checkpoint; then another transaction shows it.
func TestEndTxnIsOneEntry(t *testing.T) {
	t.Parallel()
	n := newCluster(t).start(t, nil)
	c := dial(t, n)
	const partitions = 200
	to := create(c, "one-entry", partitions)
	var want []string
	others := 0
	bothVersions(t, func(t *testing.T, tv int) {
		for i := 0; i < 2; i++ {
			commit := i == 0
			x := transactorOf(t, n, tv, fmt.Sprint("one-entry-", tv, commit, len(want)))
			var all []int32
			for p := range int32(partitions) {
				all = append(all, p)
			}
			if tv == 1 {
				require.Equal(t, make([]int16, partitions), x.register(to, all...))
			}
			for _, p := range all {
				require.Zero(t, x.write(to, p, "v").ErrorCode)
			}
			for g := range 5 {
				x.moves(fmt.Sprint("one-entry-", g), to, int32(g), 1)
			}
			before := n.figure(t, "wadi_journal_appends_total")
			x.ends(commit)
			entries := n.figure(t, "wadi_journal_appends_total") - before
			if commit {
				want = append(want, "v")
			}
			if entries == 2 && others < 3 {
				others++
				i--
			} else {
				require.EqualValues(t, 1, entries)
			}
			for _, p := range all {
				lso, next := stable(x.client, to, p)
				require.Equal(t, next, lso)
			}
		}
	})
	require.Equal(t, want, committedValues(c, to, partitions-1))
}
