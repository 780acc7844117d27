package txn

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/agent/tenure"
	"wadi/internal/wallclock"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// keep runs a Keeper for as long as the test does something.
func (w *world) keep(do func(k *Keeper, overdue *int)) {
	overdue := 0
	k := NewKeeper(KeeperOptions{
		View: w, Session: w, Routing: w, Tenure: tenure.New(w), Date: w.Date, Log: slog.New(slog.DiscardHandler),
		Janitor: DefaultJanitor(5*time.Second, 10*time.Second), Every: 10 * time.Second,
		ForgetEvery: time.Hour, IDExpiration: 7 * 24 * time.Hour,
		ProducerExpiration: func(*state.State) time.Duration { return 24 * time.Hour },
		OnOverdue:          func() { overdue++ },
	})
	ctx, stop := context.WithCancel(w.t.Context())
	ran := make(chan error, 1)
	go func() { ran <- k.Run(ctx) }()
	synctest.Wait()
	do(k, &overdue)
	stop()
	require.NoError(w.t, <-ran)
}

// sleep lets virtual time pass, the Keeper's goroutine resting at its end.
func (w *world) sleep(d time.Duration) {
	w.set(func() {})
	time.Sleep(d)
	synctest.Wait()
}

// Semantics line 79: what is overdue is aborted, its producer shut out; what is not, or what another agent coordinates
// and is not late with, is left alone.
func TestKeeperAborts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.keep(func(k *Keeper, overdue *int) {
			for _, id := range []string{"short", "long", "other"} {
				w.init(id, map[string]time.Duration{"short": 30 * time.Second, "long": time.Hour, "other": 30 * time.Second}[id])
				w.begin(id)
			}
			w.set(func() { w.rank["other"] = 1 })
			late := w.end("short", true)
			w.sleep(30 * time.Second)
			require.Equal(t, state.TxnOngoing, w.status("short"))
			w.sleep(15 * time.Second)
			require.Equal(t, state.TxnAborted, w.status("short"))
			require.Equal(t, int16(1), w.s.Txn("short").Epoch)
			require.Equal(t, state.TxnOngoing, w.status("long"))
			require.Equal(t, state.TxnOngoing, w.status("other"))
			require.Equal(t, 1, *overdue)
			late.Base = w.position
			require.Equal(t, state.ProducerFenced, w.apply(9, late).Commands[0].Code)
			w.sleep(30 * time.Second)
			require.Equal(t, state.TxnAborted, w.status("other"), "its coordinator did not")
			require.InDelta(t, 70*time.Second, k.Oldest(), float64(15*time.Second))
			w.begin("short")
			w.sleep(20 * time.Second)
			require.Equal(t, state.TxnOngoing, w.status("short"), "each transaction has its own time")
		})
	})
}

// An agent that finds an old transaction ends it at its first look, unless it cannot trust its clock; an agent without a
// session looks at nothing.
func TestKeeperFindsOpenOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, id := range []string{"a", "b"} {
			w.init(id, 30*time.Second)
			w.begin(id)
		}
		w.sleep(40 * time.Second)
		w.set(func() { w.skew = wallclock.MaxSkew + time.Second })
		w.keep(func(*Keeper, *int) {
			require.Equal(t, state.TxnOngoing, w.status("a"))
			w.sleep(25 * time.Second)
			require.Equal(t, state.TxnOngoing, w.status("a"))
			w.sleep(15 * time.Second)
			require.Equal(t, state.TxnAborted, w.status("a"))
			w.begin("b")
		})
		w.set(func() { w.skew = 0 })
		w.sleep(40 * time.Second)
		w.set(func() { w.dead = true })
		w.keep(func(*Keeper, *int) {
			w.sleep(time.Minute)
			require.Equal(t, state.TxnOngoing, w.status("b"))
			w.set(func() { w.dead = false })
			w.sleep(time.Second)
			require.Equal(t, state.TxnAborted, w.status("b"))
		})
	})
}

// More than one look may end go on at once, at a pace.
func TestKeeperEndsMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 450 {
			id := fmt.Sprintf("t%d", i)
			w.init(id, time.Second)
			w.begin(id)
		}
		w.sleep(time.Minute)
		w.keep(func(k *Keeper, overdue *int) {
			require.Equal(t, 200, *overdue)
			w.sleep(2 * pace)
			require.Equal(t, 450, *overdue)
			w.sleep(time.Minute)
			require.Zero(t, k.Oldest())
		})
	})
}

// Semantics line 80: a transactional id is forgotten when nobody has used it for long, never with an open transaction.
func TestKeeperForgetsIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, id := range []string{"idle", "open", "used", "other"} {
			w.init(id, 1<<30*time.Millisecond)
		}
		w.begin("open")
		w.set(func() { w.rank["other"] = 1 })
		w.keep(func(*Keeper, *int) {
			w.sleep(6 * 24 * time.Hour)
			w.init("used", time.Minute)
			require.NotNil(t, w.s.Txn("idle"))
			w.sleep(25 * time.Hour)
			require.Nil(t, w.s.Txn("idle"))
			for _, id := range []string{"open", "used", "other"} {
				require.NotNil(t, w.s.Txn(id), id)
			}
		})
	})
}

// Producers that were silent for long are forgotten, partition by partition, unless they have a transactional id.
func TestKeeperForgetsProducers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.must(&pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: "a", Partitions: 130}}})
		w.must(&pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: "gone", Partitions: 1}}})
		w.must(&pb.Command{Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: 2}}})
		w.must(&pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: "b", Partitions: 1}}})
		txn, _ := w.init("t", time.Minute)
		write := func(topic uint64, partition uint32, producer int64) {
			w.must(&pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: &pb.AppendBatches{
				Topics: []uint64{topic}, Partitions: []uint32{partition}, Offsets: []uint64{0}, Runs: []uint32{1},
				ProducerIds: []int64{producer}, ProducerEpochs: []int32{0}, Sequences: []int32{0},
				Batches: []uint32{1}, Records: []uint32{1}, Bytes: []uint32{100}, MaxTimestamps: []int64{0},
			}}})
		}
		known := func() (n int) {
			w.s.EachTopic(func(x *state.Topic) {
				for i := range x.Partitions() {
					n += x.Partition(int32(i)).ProducerCount()
				}
			})
			return n
		}
		idle := w.must(&pb.Command{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}}).ID
		busy := w.must(&pb.Command{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}}).ID
		for i := range uint32(130) {
			write(1, i, idle)
		}
		write(3, 0, idle)
		write(3, 0, txn)
		w.keep(func(*Keeper, *int) {
			w.sleep(23 * time.Hour)
			write(3, 0, busy)
			require.Equal(t, 133, known())
			w.set(func() { w.proposed = nil })
			w.sleep(75 * time.Minute)
			require.Equal(t, 2, known())
			require.Len(t, w.proposed, 2, "of 100 partitions at most")
			w.sleep(24 * time.Hour)
			require.Equal(t, 1, known())
		})
	})
}
