package semantics

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/busy"
)

// Semantics line 23: a repetition of any of a producer's last five batches is a success with the offset and the append
// time of the first, and appends nothing; at every agent, also after all of them were started anew.
func TestLine23DuplicatesKeepTheirOffset(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.start(t, nil), c.start(t, nil)
	ca, cb := dial(t, a), dial(t, b)
	to := create(ca, "line23", 1, "message.timestamp.type", "LogAppendTime")
	pid := producerID(ca)
	var first []produced
	for i := range int32(5) {
		p := produce(ca, to, idempotent(pid, 0, 2*i, fmt.Sprint("x", i), fmt.Sprint("y", i)))
		require.Zero(t, p.ErrorCode)
		require.Equal(t, int64(2*i), p.BaseOffset)
		first = append(first, p)
	}
	again := func(c *client) {
		t.Helper()
		for _, i := range []int32{4, 0, 2, 1, 3, 0} {
			p := produce(c, to, idempotent(pid, 0, 2*i, fmt.Sprint("x", i), fmt.Sprint("y", i)))
			require.Zero(t, p.ErrorCode, "sequence %d: %s", 2*i, text(p.ErrorMessage))
			require.Equal(t, first[i].BaseOffset, p.BaseOffset, "sequence %d", 2*i)
			require.Equal(t, first[i].LogAppendTime, p.LogAppendTime, "sequence %d", 2*i)
		}
		require.Equal(t, int64(10), end(c, to))
	}
	again(ca)
	again(cb)
	require.NoError(t, a.stop())
	require.NoError(t, b.stop())
	cc := dial(t, c.start(t, nil))
	again(cc)
	stored(cc, to, idempotent(pid, 0, 10, "next"), 10)
	got := everything(cc, to)
	require.Len(t, got, 11)
	require.Equal(t, held{3, "y1"}, got[3])
}

// Semantics line 24: a repetition that is older than the last five batches is answered with 45; of two copies that are
// under way at once, at one agent or at two, one is appended and both get its offset.
func TestLine24OldAndConcurrentDuplicates(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.start(t, nil), c.start(t, nil)
	ca := dial(t, a)
	to := create(ca, "line24", 1)
	pid := producerID(ca)
	for i := range int32(6) {
		stored(ca, to, idempotent(pid, 0, i, "v"), int64(i))
	}
	p := produce(ca, to, idempotent(pid, 0, 0, "v"))
	require.Equal(t, []int64{45, -1}, []int64{int64(p.ErrorCode), p.BaseOffset})
	stored(ca, to, idempotent(pid, 0, 1, "v"), 1)
	require.Equal(t, int64(6), end(ca, to))

	clients := []*client{dial(t, a), dial(t, a), dial(t, b), dial(t, b)}
	for round := range int32(20) {
		var wg sync.WaitGroup
		answers := make([]produced, len(clients))
		for i, c := range clients {
			wg.Go(func() { answers[i] = produce(c, to, idempotent(pid, 0, 6+round, fmt.Sprint("once ", round))) })
		}
		wg.Wait()
		for i, p := range answers {
			require.Zero(t, p.ErrorCode, "copy %d: %s", i, text(p.ErrorMessage))
			require.Equal(t, int64(6+round), p.BaseOffset, "copy %d", i)
		}
	}
	require.Len(t, everything(ca, to), 26)
}

// Semantics line 25: a gap is answered with 45. A producer that a partition does not know starts at 0, more strictly
// than in Apache Kafka, which takes any first sequence: an id that was given out and not expired cannot have been
// forgotten. A higher epoch starts at 0 too.
func TestLine25Gaps(t *testing.T) {
	t.Parallel()
	c := dial(t, shared(t))
	to := create(c, "line25", 1)
	pid, other := producerID(c), producerID(c)
	require.NotEqual(t, pid, other)
	stored(c, to, idempotent(pid, 0, 0, "a", "b"), 0)
	// Several at once: each gap is waited for, as another connection may bring what is missing.
	var wg sync.WaitGroup
	for name, sent := range map[string][]byte{
		"gap":               idempotent(pid, 0, 3, "v"),
		"far ahead":         idempotent(pid, 0, 1<<31-1, "v"),
		"new epoch, not 0":  idempotent(pid, 1, 2, "v"),
		"unknown, not 0":    idempotent(other, 0, 5, "v"),
		"inside a batch":    idempotent(pid, 0, 1, "v"),
		"other batch start": idempotent(pid, 0, 0, "v"),
	} {
		c := dial(t, shared(t))
		wg.Go(func() {
			if p := produce(c, to, sent); p.ErrorCode != 45 || p.BaseOffset != -1 {
				t.Errorf("%s: error %d, offset %d", name, p.ErrorCode, p.BaseOffset)
			}
		})
	}
	wg.Wait()
	stored(c, to, idempotent(pid, 0, 2, "c"), 2)
	stored(c, to, idempotent(pid, 1, 0, "d"), 3)
	stored(c, to, idempotent(other, 0, 0, "e"), 4)
	stored(c, to, plain("f"), 5)
	require.Equal(t, int64(6), end(c, to))
}

// Semantics line 26: an epoch below the known one is refused with 47, whatever its sequence; one above it is adopted.
func TestLine26Epochs(t *testing.T) {
	c := dial(t, shared(t))
	to := create(c, "line26", 1)
	pid := producerID(c)
	stored(c, to, idempotent(pid, 0, 0, "a"), 0)
	stored(c, to, idempotent(pid, 0, 1, "b"), 1)
	stored(c, to, idempotent(pid, 3, 0, "c"), 2)
	for _, old := range [][]byte{
		idempotent(pid, 0, 2, "next of the old epoch"), idempotent(pid, 0, 1, "b"), idempotent(pid, 2, 0, "between"),
	} {
		began, waited := time.Now(), busy.Since()
		p := produce(c, to, old)
		took := time.Since(began)
		require.Equal(t, []int64{47, -1}, []int64{int64(p.ErrorCode), p.BaseOffset})
		require.Less(t, took, time.Second+waited(), "it was held back like a batch that comes before its turn")
	}
	stored(c, to, idempotent(pid, 3, 1, "d"), 3)
	require.Equal(t, []held{{0, "a"}, {1, "b"}, {2, "c"}, {3, "d"}}, everything(c, to))
}

// A gap that another connection closes within a moment is no error: the batches are stored in their order. (Semantics
// line 25, as DESIGN section 4 holds batches back.)
func TestLine25GapsThatClose(t *testing.T) {
	const held = time.Second // for so long
	n := shared(t)
	for try := 1; ; try++ {
		one, two := dial(t, n), dial(t, n)
		to := create(one, fmt.Sprint("line25-closes-", try), 1)
		pid := producerID(one)
		late := produceRequest(idempotent(pid, 0, 1, "second"), to)
		late.SetVersion(11)
		began := time.Now()
		id := two.send(late)
		two.nc.SetReadDeadline(timeIn(50))
		_, err := two.r.Peek(1)
		peeked := time.Since(began)
		stored(one, to, idempotent(pid, 0, 0, "first"), 0)
		took := time.Since(began)
		p := receive[*kmsg.ProduceResponse](two, id, late).Topics[0].Partitions[0]
		if took >= held && try < 10 && (err == nil && peeked >= held || p.ErrorCode == 45) {
			continue // a busy machine took longer than the agent waits
		}
		require.Error(t, err, "the second batch was answered before the first came")
		require.Equal(t, []int64{0, 1}, []int64{int64(p.ErrorCode), p.BaseOffset})
		return
	}
}
