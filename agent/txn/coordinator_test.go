package txn

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/agent/tenure"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

func newCoordinator(w *world, ended *[]string) *Coordinator {
	return New(Options{
		View: w, Session: w, Routing: w, Tenure: tenure.New(w),
		OnEnd: func(how string) { *ended = append(*ended, how) },
	})
}

func (c *Coordinator) ask(id string, command *pb.Command) Ask {
	return Ask{Command: command, Check: func() error { return c.Check(id) }}
}

// A command that meets another agent's change is judged again behind it, so often and no more; others are answered as
// State judges them.
func TestJudgedAgain(t *testing.T) {
	w := newWorld(t)
	var ended []string
	c := newCoordinator(w, &ended)
	w.init("t", time.Minute)
	w.begin("t")
	commit := w.end("t", true)
	w.before = func() { w.must(w.end("t", true)) } // by another coordinator: the same request came there
	r, err := c.Do(t.Context(), c.ask("t", commit))
	require.NoError(t, err)
	require.Equal(t, state.OK, r.Code)
	require.Equal(t, []string{"commit"}, ended)

	w.begin("t")
	abort := w.end("t", false)
	w.init("t", time.Minute) // between the request and its proposal
	w.set(func() { w.proposed = nil })
	r, err = c.Do(t.Context(), c.ask("t", abort))
	require.NoError(t, err)
	require.Equal(t, state.ProducerFenced, r.Code)

	w.set(func() { w.proposed = nil })
	var again func()
	again = func() { w.init("t", time.Minute); w.before = again }
	w.before = again
	r, err = c.Do(t.Context(), c.ask("t", &pb.Command{Base: w.position, Kind: &pb.Command_InitProducer{
		InitProducer: &pb.InitProducer{TransactionalId: "t", TimeoutMs: 1000}}}))
	require.NoError(t, err)
	require.Equal(t, state.Conflict, r.Code)
	require.Len(t, w.proposed, maxConflicts+1)
	w.before = nil

	w.rank["t"] = 1
	_, err = c.Do(t.Context(), c.ask("t", w.end("t", true)))
	require.ErrorIs(t, err, ErrNotCoordinator)
	require.Equal(t, []string{"commit"}, ended)
}

// KAFKA-17754: a repetition that lay somewhere while its client was told the end elsewhere, and began the next transaction
// under the same epoch, does nothing to that one, also when it is judged again. Clients of KIP-890 are told apart by their
// epochs and hear that.
func TestOvertaken(t *testing.T) {
	w := newWorld(t)
	c := newCoordinator(w, new([]string))
	w.init("t", time.Minute)
	ended := func() { w.must(w.end("t", true)); w.begin("t") } // at another coordinator
	for _, commit := range []bool{true, false} {
		w.begin("t")
		end := w.end("t", commit)
		w.before = ended
		r, err := c.Do(t.Context(), c.ask("t", end))
		require.NoError(t, err)
		require.Equal(t, state.Conflict, r.Code)
		require.Equal(t, state.TxnOngoing, w.status("t"))
	}
	offsets := func(implicit bool) *pb.Command {
		x := w.s.Txn("t")
		return &pb.Command{Base: w.position, Kind: &pb.Command_CommitTxnOffsets{CommitTxnOffsets: &pb.CommitTxnOffsets{
			ProducerId: x.ProducerID, ProducerEpoch: int32(x.Epoch), Implicit: implicit, Offsets: &pb.CommitOffsets{Group: "g", Generation: -1},
		}}}
	}
	w.before = ended
	r, err := c.Do(t.Context(), c.ask("t", offsets(false)))
	require.NoError(t, err)
	require.Equal(t, state.Conflict, r.Code)

	late := w.end("t", true)
	late.GetEndTxn().Bump = true
	w.before = func() {
		next := w.end("t", true)
		next.GetEndTxn().Bump = true
		w.must(next)
		w.begin("t")
	}
	r, err = c.Do(t.Context(), c.ask("t", late))
	require.NoError(t, err)
	require.Equal(t, state.ProducerFenced, r.Code)
	require.Equal(t, state.TxnOngoing, w.status("t"))
}

// F2: what a process read before it lost its session is not proposed in the next one.
func TestSessionLostInBetween(t *testing.T) {
	w := newWorld(t)
	c := newCoordinator(w, new([]string))
	w.init("t", time.Minute)
	ask := c.ask("t", w.end("t", true))
	check := ask.Check
	ask.Check = func() error {
		err := check()
		w.set(func() { w.id = 9 })
		return err
	}
	_, err := c.Do(t.Context(), ask)
	require.ErrorIs(t, err, session.ErrNotProposed)
	require.ErrorIs(t, c.Check("t"), ErrNotCoordinator, "the session is too young")
}

// F6: who waits for an etcd that does not answer is told that nobody knows once the lease may be over, or his time is.
func TestSilentEtcd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := newCoordinator(w, new([]string))
		w.init("t", time.Minute)
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- c.Run(ctx) }()
		w.set(func() { w.silent = true })
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Do(short, c.ask("t", w.end("t", true)))
		require.ErrorIs(t, err, session.ErrUnknown)
		answer := make(chan error, 1)
		began := time.Now()
		go func() {
			_, err := c.Do(t.Context(), c.ask("t", w.end("t", true)))
			answer <- err
		}()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Empty(t, answer)
		w.set(func() { w.dead = true })
		require.ErrorIs(t, <-answer, session.ErrUnknown)
		require.LessOrEqual(t, time.Since(began), 3*time.Second+watchEvery)
		_, err = c.Do(t.Context(), c.ask("t", w.end("t", true)))
		require.ErrorIs(t, err, ErrNotCoordinator)
		w.set(func() { w.dead = false })
		require.NoError(t, c.Check("t"))
		stop()
		require.NoError(t, <-ran)
		require.ErrorIs(t, c.Check("t"), ErrNotCoordinator, "the agent goes away")
	})
}
