package semantics

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Semantics line 95: while objects are written faster than they are merged, replies to Produce say how long to wait, go
// out at once, and what the client sends next on that connection is not read before (KIP-219). Others are not held up. The
// agent has no compactor, so that nothing is merged.
func TestLine95Throttling(t *testing.T) {
	n := newCluster(t).start(t, settings{"inline.max.bytes": "0", "flush.interval": "1ms", "flush.puts.per.second": "0", "compactor.debt": "1000"})
	first := dial(t, n)
	to := create(first, "line95", 1)
	one := plain("v")
	send := func(c *client) time.Duration {
		resp := ask[*kmsg.ProduceResponse](c, 9, produceRequest(one, to))
		require.Zero(t, resp.Topics[0].Partitions[0].ErrorCode)
		return time.Duration(resp.ThrottleMillis) * time.Millisecond
	}
	// Each request makes an object. The first thousand cost nothing, then a quarter of a millisecond more for each.
	for i := range 1004 {
		require.Zero(t, send(first), "request %d", i)
	}
	var told time.Duration
	for range 400 {
		told = send(dial(t, n)) // connections of their own: nobody has told them to wait
	}
	require.Equal(t, 100*time.Millisecond, told)

	// The fastest of a few answers counts: a busy machine proves nothing.
	answer, after, other := time.Hour, time.Hour, time.Hour
	const soon = 100 * time.Millisecond
	for try := 0; try < 5 || try < 50 && max(answer, after, other) >= soon; try++ {
		c := dial(t, n)
		began := time.Now()
		told = send(c)
		answer = min(answer, time.Since(began))
		require.GreaterOrEqual(t, told, 100*time.Millisecond)
		quick := dial(t, n)
		asked := time.Now()
		quick.alive()
		other = min(other, time.Since(asked))
		c.alive()
		require.GreaterOrEqual(t, time.Since(began), told, "the next request was read at once")
		began = time.Now()
		c.alive()
		after = min(after, time.Since(began))
	}
	require.Less(t, answer, soon, "the reply came late")
	require.Less(t, other, soon, "another connection waited")
	require.Less(t, after, soon, "muted for longer than it was told")

	// Nobody is there to be told with acks=0; the connection waits all the same.
	c := dial(t, n)
	began := time.Now()
	silent := produceRequest(one, to)
	silent.Acks = 0
	silent.SetVersion(9)
	c.send(silent)
	for time.Since(began) < patience { // until it is taken and what follows waits
		asked := time.Now()
		c.alive()
		if time.Since(asked) > told/2 {
			return
		}
	}
	t.Error("a connection with acks=0 is not muted")
}
