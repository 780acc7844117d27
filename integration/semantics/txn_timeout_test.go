package semantics

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// txnSettings let a test see the timeouts of transactions pass.
var txnSettings = settings{
	"kafka.transaction.abort.timed.out.transaction.cleanup.interval.ms": "100",
	"kafka.transaction.remove.expired.transaction.cleanup.interval.ms":  "1000",
	"session.ttl": "2s",
}

// settles waits until no transaction is open on the partition.
func settles(c *client, of topic, partition int32) {
	c.t.Helper()
	eventually(c.t, "the last stable offset moves", func() bool {
		lso, next := stable(c, of, partition)
		return lso == next
	})
}

// Semantics line 79: a transaction that takes longer than its timeout is aborted, and its epoch ends with it. A producer
// that commits it then is fenced; one of TV2 that aborts it may go on.
func TestLine79Timeout(t *testing.T) {
	t.Parallel()
	n := newCluster(t).start(t, txnSettings)
	bothVersions(t, func(t *testing.T, tv int) {
		c := dial(t, n)
		to := create(c, fmt.Sprint("line79-", tv), 2)
		slow := func(id string) *transactor {
			x := newTransactor(t, n, tv, t.Name()+id)
			x.timeout = 2000
			x.init()
			began := time.Now()
			x.puts(to, 0, "a")
			x.puts(to, 1, "b")
			x.moves("line79", to, 0, 5)
			settles(c, to, 0)
			settles(c, to, 1)
			require.GreaterOrEqual(t, time.Since(began), 2*time.Second, "it was aborted before its time")
			return x
		}
		x := slow("commits")
		require.EqualValues(t, 47, x.writeAt(x.produceVersion(), to, 0, "late").ErrorCode)
		require.Equal(t, []int16{90}, x.register(to, 0))
		require.EqualValues(t, 47, commitOffset(x, x.offsetVersion(), x.offsetRequest("line79", to, 0, 6)))
		require.EqualValues(t, 90, x.end(true), "a commit")
		require.EqualValues(t, 90, x.end(true), "a commit, again")

		was := x.epoch
		resp := initProducer(c, 5, initRequest(x.id, x.timeout, x.pid, x.epoch)) // as clients do after that
		require.Zero(t, resp.ErrorCode)
		require.Equal(t, was+1, resp.ProducerEpoch)
		x.became(resp.ProducerID, resp.ProducerEpoch)
		x.puts(to, 0, "kept")
		x.ends(true)

		y := slow("aborts")
		was = y.epoch
		if tv == 1 {
			require.EqualValues(t, 90, y.end(false))
		} else {
			require.Zero(t, y.end(false))
			require.Equal(t, was+1, y.epoch)
			y.puts(to, 0, "kept too")
			y.ends(true)
		}
		want := []string{"kept", "kept too"}
		require.Equal(t, want[:tv], committedValues(c, to, 0))
		require.Empty(t, committedValues(c, to, 1))
		require.EqualValues(t, -1, committed(c, "line79", to, 0).Offset)
	})
}

// Semantics line 79: commits that race with the timeout: each transaction is there as a whole, or not at all and its
// producer was told that it is fenced.
func TestLine79CommitsRaceWithTimeouts(t *testing.T) {
	t.Parallel()
	n := newCluster(t).start(t, txnSettings)
	c := dial(t, n)
	to := create(c, "line79-race", 2)
	const timeout, racers = 3000, 40
	var transactors []*transactor
	for i := range racers {
		x := newTransactor(t, n, 1+i%2, fmt.Sprint("line79-race-", i))
		x.timeout = timeout
		x.init()
		transactors = append(transactors, x)
	}
	codes, took := make([]int16, racers), make([]time.Duration, racers)
	var all sync.WaitGroup
	for i, x := range transactors {
		all.Go(func() {
			began := time.Now()
			x.puts(to, 0, x.id)
			x.puts(to, 1, x.id)
			wait := time.Duration(timeout-100+8*i) * time.Millisecond
			switch i {
			case 0:
				wait = 0
			case racers - 1:
				wait = (timeout + 3000) * time.Millisecond
			}
			time.Sleep(wait - time.Since(began))
			// The last one is too late, however long a busy machine takes to end its transaction.
			for i == racers-1 && time.Since(began) < patience {
				if s := describeTxn(x.client, x.id); s.ErrorCode == 0 && s.State != "Ongoing" {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			for codes[i] = 16; codes[i] == 16 && time.Since(began) < patience; { // 16: a busy machine has ended the agent's session
				if codes[i] = x.end(true); codes[i] == 16 {
					time.Sleep(10 * time.Millisecond)
				}
			}
			took[i] = time.Since(began)
		})
	}
	all.Wait()
	var want []string
	for i, x := range transactors {
		if codes[i] == 0 {
			want = append(want, x.id)
			continue
		}
		require.EqualValues(t, 90, codes[i])
	}
	if took[0] < timeout*time.Millisecond {
		require.Zero(t, codes[0])
	}
	require.EqualValues(t, 90, codes[racers-1])
	t.Logf("%d of %d were in time", len(want), racers)
	require.ElementsMatch(t, want, committedValues(c, to, 0))
	require.ElementsMatch(t, want, committedValues(c, to, 1))
}

// Semantics line 80: a transactional id that nobody has used for transactional.id.expiration.ms is forgotten, and its
// producer is told INVALID_PRODUCER_ID_MAPPING; one with an open transaction never is.
func TestLine80Expiry(t *testing.T) {
	t.Parallel()
	with := settings{"kafka.transactional.id.expiration.ms": "3000"}
	for k, v := range txnSettings {
		with[k] = v
	}
	n := newCluster(t).start(t, with)
	c := dial(t, n)
	to := create(c, "line80", 1)
	open := transactorOf(t, n, 2, "line80-open")
	open.puts(to, 0, "a")
	idle := transactorOf(t, n, 2, "line80-idle")
	idle.puts(to, 0, "b")
	used := time.Now()
	idle.ends(true)
	eventually(t, "the id is forgotten", func() bool {
		time.Sleep(20 * time.Millisecond)
		code := ended(idle, 5, idle.endRequest(true)).ErrorCode
		require.Contains(t, []int16{48, 49, 16}, code) // 16: a busy machine has ended the agent's session
		return code == 49
	})
	require.GreaterOrEqual(t, time.Since(used), 3*time.Second, "it was forgotten before its time")
	require.Equal(t, []int16{49}, idle.register(to, 0))
	require.EqualValues(t, 49, idle.writeAt(12, to, 0, "late").ErrorCode)
	require.EqualValues(t, 49, commitOffset(idle, 5, idle.offsetRequest("line80", to, 0, 1)))

	// Who has the id made anew gets another producer id, and its records are there.
	was := idle.pid
	idle.init()
	require.NotEqual(t, was, idle.pid)
	require.Zero(t, idle.epoch)
	idle.puts(to, 0, "c")
	idle.ends(true)
	open.ends(true)
	require.Equal(t, []string{"a", "b", "c"}, committedValues(c, to, 0))
}

// Semantics line 81: what was answered is the outcome, whichever agents live and die; a transaction that its producer has
// left open does not keep what follows it from readers for good, also when every agent is started anew before its timeout
// is over.
func TestLine81HangingTransactions(t *testing.T) {
	t.Parallel()
	cl := newCluster(t)
	a, b := cl.start(t, txnSettings), cl.start(t, txnSettings)
	to := create(dial(t, a), "line81", 1)
	done := transactorOf(t, coordinator(t, "line81-done", a, b), 2, "line81-done")
	done.puts(to, 0, "committed")
	before := *done
	done.ends(true)

	left := newTransactor(t, coordinator(t, "line81-left", a, b), 2, "line81-left")
	left.timeout = 3000
	left.init()
	left.puts(to, 0, "aborted")
	began := time.Now()
	left.nc.Close()
	stored(dial(t, b), to, plain("behind it"), 3)
	nodes := []*node{a, b}
	for i := 0; time.Since(began) < 3*time.Second; i++ {
		require.NoError(t, nodes[i%2].stop())
		nodes[i%2] = cl.start(t, txnSettings)
		time.Sleep(200 * time.Millisecond)
	}
	c := dial(t, nodes[0])
	settles(c, to, 0)
	require.Equal(t, []string{"committed", "behind it"}, committedValues(c, to, 0))

	// The first one's answer may have been lost: it is what it was.
	again := before.twin(coordinator(t, done.id, nodes...))
	resp := ended(again, 5, again.endRequest(true))
	require.Zero(t, resp.ErrorCode)
	require.Equal(t, done.epoch, resp.ProducerEpoch)
	require.EqualValues(t, 48, ended(again, 5, again.endRequest(false)).ErrorCode)
	lso, next := stable(c, to, 0)
	require.Equal(t, []int64{5, 5}, []int64{lso, next}, "three records, two markers")
}
