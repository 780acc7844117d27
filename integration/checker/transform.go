package checker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	h "wadi/integration/history"
)

// oldVersions are those of a client of transaction version 1.
func oldVersions() *kversion.Versions { return kversion.V3_6_0() }

// transformGroup is the group that turns records of one topic into records of another.
const transformGroup = "transform"

// transform is one member of that group: it consumes, produces and commits offsets in one transaction, aborts some, and
// crashes at any moment.
type transform struct {
	r       *run
	id      string // transactional
	from    topic
	to      topic
	random  *rand.Rand
	calm    chan struct{} // closed: no more crashes and aborts, what is left is to be processed
	lives   int
	session *kgo.GroupTransactSession
	line    *line
	*sender
}

func (x *transform) open() error {
	x.lives++
	who := fmt.Sprintf("%s.%d", x.id, x.lives)
	l := x.r.net.line()
	r := x.r
	session, err := kgo.NewGroupTransactSession(append(r.options(who, l),
		kgo.TransactionalID(x.id), kgo.TransactionTimeout(limit), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumerGroup(transformGroup), kgo.ConsumeTopics(x.from.name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.RebalanceTimeout(10*time.Second), kgo.Balancers(kgo.RangeBalancer()),
		kgo.OnPartitionsAssigned(func(_ context.Context, cl *kgo.Client, got map[string][]int32) { r.owns(transformGroup, who, cl, got) }),
	)...)
	if err != nil {
		return fmt.Errorf("%s: %w", who, err)
	}
	x.session, x.line = session, l
	x.sender = &sender{r: r, who: who, random: x.random, large: 30}
	cl := session.Client()
	ref := r.rec.Add(h.Fact{Kind: h.InitAttempt, Who: who, Name: x.id})
	f := h.Fact{Kind: h.InitReply, Who: who, Name: x.id, Ref: ref, Outcome: h.OK}
	ctx, cancel := patient(x.r.making)
	defer cancel()
	if f.Producer, f.Epoch, err = cl.ProducerID(ctx); err != nil {
		f.Outcome, f.Error = h.Unknown, err.Error()
	}
	r.rec.Add(f)
	if err != nil {
		x.crash()
	}
	return err
}

// owns records what a member was given, and that it goes on anywhere.
func (r *run) owns(group, who string, cl *kgo.Client, got map[string][]int32) {
	member, generation := cl.GroupMetadata()
	for t, list := range got {
		r.rec.Add(h.Fact{Kind: h.Own, Who: who, Name: group, Topic: t, Member: member, Generation: generation, Partitions: list})
	}
	r.rec.Add(h.Fact{Kind: h.Seek, Who: who})
}

func (x *transform) crash() {
	x.line.cut()
	x.session.CloseAllowingRebalance()
	x.session = nil
}

func (x *transform) run(ctx context.Context) {
	for ctx.Err() == nil {
		if x.session == nil {
			if err := x.open(); err != nil {
				x.r.note(x.id, "open: %v", err)
				pause(ctx, 200*time.Millisecond)
				continue
			}
		}
		if err := x.step(ctx); err != nil {
			x.r.note(x.who, "given up: %v", err)
			x.crash()
		}
	}
	if x.session != nil {
		x.session.CloseAllowingRebalance()
		x.line.cut()
	}
}

func (x *transform) wild() bool {
	select {
	case <-x.calm:
		return false
	default:
		return true
	}
}

// step is one transaction over what one poll brings.
func (x *transform) step(ctx context.Context) error {
	poll, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	fetches := x.session.PollRecords(poll, 30)
	if fetches.IsClientClosed() {
		return kgo.ErrClientClosed
	}
	x.r.fetched(x.who, fetches)
	if fetches.NumRecords() == 0 {
		return nil
	}
	if err := x.session.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	txn := x.r.rec.NextTxn()
	begun := h.Fact{Kind: h.Begin, Who: x.who, Name: x.id, Txn: txn, Limit: int64(limit), Generation: 2}
	ask, done := patient(x.r.making)
	defer done()
	var err error
	if begun.Producer, begun.Epoch, err = x.session.Client().ProducerID(ask); err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	x.r.rec.Add(begun)
	s := &sent{}
	last := map[int32]int64{}
	fetches.EachRecord(func(rec *kgo.Record) {
		x.r.read(x.who, txn, txn, true, "", rec)
		last[rec.Partition] = rec.Offset + 1
		out := x.record(txn, x.to.name, x.random.Int32N(x.to.partitions), string(rec.Value))
		x.session.Produce(x.r.making, out, func(rec *kgo.Record, err error) {
			x.answered(txn, rec, err)
			s.Lock()
			defer s.Unlock()
			if err != nil {
				s.failed = err
			}
		})
	})
	if x.wild() && x.random.IntN(50) == 0 {
		x.crash()
		return nil
	}
	if err := x.session.Client().Flush(ask); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	s.Lock()
	commit := s.failed == nil && !(x.wild() && x.random.IntN(10) == 0)
	s.Unlock()
	if x.wild() && x.random.IntN(50) == 0 {
		x.crash()
		return nil
	}
	return x.end(txn, commit, last)
}

// end ends the transaction with the offsets of what it consumed. The session aborts by itself where its member lost its
// partitions meanwhile.
func (x *transform) end(txn int64, commit bool, last map[int32]int64) error {
	attempts := map[int32]int64{}
	if commit {
		for p, o := range last {
			attempts[p] = x.r.rec.Add(h.Fact{
				Kind: h.CommitAttempt, Who: x.who, Txn: txn, Name: transformGroup, Topic: x.from.name, Partition: p, Offset: o, Generation: -1,
			})
		}
	}
	x.r.rec.Add(h.Fact{Kind: h.EndAttempt, Who: x.who, Name: x.id, Txn: txn, Commit: commit})
	f := h.Fact{Kind: h.EndReply, Who: x.who, Name: x.id, Txn: txn, Commit: commit, Outcome: h.OK}
	ctx, cancel := patient(x.r.making)
	defer cancel()
	committed, err := x.session.End(ctx, kgo.TransactionEndTry(commit))
	switch {
	case err != nil:
		f.Outcome, f.Error = h.Unknown, err.Error()
	case commit && !committed:
		f.Outcome = h.Refused
	}
	x.r.rec.Add(f)
	for p, n := range attempts {
		x.r.rec.Add(h.Fact{
			Kind: h.CommitReply, Who: x.who, Txn: txn, Ref: n, Name: transformGroup, Topic: x.from.name, Partition: p, Offset: last[p], Outcome: f.Outcome,
		})
	}
	if err == nil && !committed {
		x.r.rec.Add(h.Fact{Kind: h.Seek, Who: x.who}) // it goes back to what is committed
	}
	return err
}
