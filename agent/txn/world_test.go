package txn

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// world is a State with one agent's session and another's. Proposals are applied at once, unless etcd is silent.
type world struct {
	mu       sync.Mutex // the test's changes are seen by what runs beside it
	t        *testing.T
	s        *state.State
	position int64
	seq      map[layout.Session]uint64
	proposed []*pb.Command

	silent bool           // proposals get no answer
	dead   bool           // the lease may be over
	id     layout.Session // the agent's
	before func()         // runs once before the next proposal is applied
	rank   map[string]int // of the agent; 0 where nothing is said
	skew   time.Duration  // of the store's clock
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, s: state.New(), seq: map[layout.Session]uint64{}, id: 7, rank: map[string]int{}}
	w.apply(7, &pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}}, opening())
	w.apply(9, opening())
	return w
}

func opening() *pb.Command {
	return &pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}}
}

// set changes how the world behaves.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) apply(id layout.Session, commands ...*pb.Command) *state.Results {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.position += 2
	w.seq[id]++
	r := w.s.Apply(state.Entry{Position: w.position, Session: id, Seq: w.seq[id], Body: &pb.Entry{
		AtMs: time.Now().UnixMilli(), Commands: commands, Inline: make([]byte, 4096),
	}})
	require.Equal(w.t, state.OK, r.Refused)
	return r
}

// must applies a command of the other agent.
func (w *world) must(c *pb.Command) state.Result {
	w.t.Helper()
	c.Base = w.position
	r := w.apply(9, c).Commands[0]
	require.Equal(w.t, state.OK, r.Code)
	return r
}

func (w *world) Read(f func(*state.State)) { w.set(func() { f(w.s) }) }

func (w *world) Alive() (alive bool) {
	w.set(func() { alive = !w.dead })
	return alive
}

func (w *world) Current() (id layout.Session, _ int32, _ bool) {
	w.set(func() { id = w.id })
	return id, 0, true
}

func (w *world) Rank(id string) (rank int) {
	w.set(func() { rank = w.rank[id] })
	return rank
}

func (w *world) Many() func(string) bool { return func(id string) bool { return w.Rank(id) == 0 } }

func (w *world) Date(context.Context) (now time.Time, _ error) {
	w.set(func() { now = time.Now().Add(w.skew) })
	return now, nil
}

func (w *world) Propose(p *session.Proposal) {
	var f func()
	var silent bool
	var id layout.Session
	w.set(func() {
		w.proposed = append(w.proposed, p.Command)
		f, silent, w.before = w.before, w.silent, nil
	})
	if silent {
		return
	}
	if f != nil {
		f()
	}
	w.set(func() { id = w.id })
	if p.Session != 0 && p.Session != id {
		p.Done(session.Outcome{Err: session.ErrNotProposed})
		return
	}
	r := w.apply(7, p.Command)
	p.Done(session.Outcome{Position: r.Position, Result: &r.Commands[0]})
}

func (w *world) Do(_ context.Context, c *pb.Command, take func(session.Outcome)) error {
	var err error
	w.Propose(&session.Proposal{Command: c, Done: func(o session.Outcome) {
		if err = o.Err; err == nil {
			take(o)
		}
	}})
	return err
}

func (w *world) init(id string, timeout time.Duration) (producer int64, epoch int16) {
	w.t.Helper()
	r := w.must(&pb.Command{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{
		TransactionalId: id, TimeoutMs: int32(timeout.Milliseconds()),
	}}})
	return r.ID, r.Epoch
}

// begin opens a transaction that will have one group.
func (w *world) begin(id string) {
	w.t.Helper()
	t := w.s.Txn(id)
	w.must(&pb.Command{Kind: &pb.Command_AddToTxn{AddToTxn: &pb.AddToTxn{
		ProducerId: t.ProducerID, ProducerEpoch: int32(t.Epoch), Groups: []string{"g"},
	}}})
}

func (w *world) end(id string, commit bool) *pb.Command {
	t := w.s.Txn(id)
	return &pb.Command{Base: w.position, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
		ProducerId: t.ProducerID, ProducerEpoch: int32(t.Epoch), Commit: commit,
	}}}
}

func (w *world) status(id string) state.TxnStatus { return w.s.Txn(id).Status }
