package txn

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"wadi/agent/tenure"
	"wadi/internal/wallclock"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// View is the live State.
type View interface {
	Read(func(*state.State))
}

// Doer proposes a command and waits for its outcome; session.Session is one.
type Doer interface {
	Do(ctx context.Context, c *pb.Command, take func(session.Outcome)) error
}

// KeeperOptions of a Keeper.
type KeeperOptions struct {
	View    View
	Session Doer
	Routing Routing
	Tenure  *tenure.Tenure
	// Date is the object store's clock; see package wallclock.
	Date func(ctx context.Context) (time.Time, error)
	Log  *slog.Logger

	Janitor JanitorConfig
	Every   time.Duration // between looks for overdue transactions
	// ForgetEvery is the time between looks for transactional ids that nobody has used for IDExpiration.
	ForgetEvery, IDExpiration time.Duration
	// ProducerExpiration is how long partitions remember a silent producer, by what is set in State and otherwise.
	ProducerExpiration func(*state.State) time.Duration
	// OnOverdue is told of each transaction that this agent ended; nil = nobody.
	OnOverdue func()
}

// Keeper ends overdue transactions, and forgets transactional ids and producers that nobody has used for long.
type Keeper struct {
	o      KeeperOptions
	oldest atomic.Int64 // nanoseconds
}

// NewKeeper starts nothing; see Run.
func NewKeeper(o KeeperOptions) *Keeper { return &Keeper{o: o} }

const (
	// lookStep is how many transactional ids, or open transactions, are looked at while State is held.
	lookStep = 1000
	// proposeTimeout bounds one proposal.
	proposeTimeout = 5 * time.Second
	// pace is the pause between proposals where there are many.
	pace = 100 * time.Millisecond
	// producersEvery is how often partitions are looked through for silent producers.
	producersEvery = 10 * time.Minute
)

// Oldest is for how long the oldest open transaction has been open, as far as this agent knows; 0 when none is.
func (k *Keeper) Oldest() time.Duration { return time.Duration(k.oldest.Load()) }

// Run looks until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	loops.Go(func() { k.abortOverdue(ctx) })
	loops.Go(func() { k.forget(ctx) }) // may take long where there is much to forget
	loops.Wait()
	return nil
}

func (k *Keeper) abortOverdue(ctx context.Context) {
	janitor, clock, began := NewJanitor(k.o.Janitor), wallclock.New(k.o.Date), time.Now()
	timer := time.NewTimer(0) // what was open when this agent came is timed from its first look on
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		next := k.o.Every
		switch {
		case !k.o.Tenure.Holds(): // State may not be what it is elsewhere, and nothing could be proposed
			next = min(next, time.Second)
		case k.sweep(ctx, janitor, clock, began):
			next = min(next, pace)
		}
		timer.Reset(next)
	}
}

func (k *Keeper) report(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		k.o.Log.Warn(what, "error", err)
	}
}

// sweep is one look of the janitor, and ends what it says. more tells that there is more to end.
func (k *Keeper) sweep(ctx context.Context, j *Janitor, clock *wallclock.Clock, began time.Time) (more bool) {
	open := 0
	k.o.View.Read(func(s *state.State) { open = s.OpenTxnCount() })
	var wall time.Time
	if open > 0 && j.WantsWall() {
		now, err := clock.Now(ctx)
		if err != nil {
			k.report(ctx, "transactions that were open before this agent came are timed from now on", err)
		}
		wall = now
	}
	j.Look(time.Since(began), wall)
	if open > 0 {
		k.look(ctx, j)
	}
	due, more := j.Due()
	k.oldest.Store(int64(j.Oldest()))
	for i, o := range due {
		err := k.end(ctx, o)
		j.Done(time.Since(began), o)
		if err != nil {
			k.report(ctx, "an overdue transaction was not aborted", err)
			for _, o := range due[i+1:] {
				j.Done(time.Since(began), o)
			}
			return false
		}
	}
	return more
}

// look shows the janitor every open transaction.
func (k *Keeper) look(ctx context.Context, j *Janitor) {
	for next, first := 0, true; (first || next != 0) && ctx.Err() == nil; first = false {
		var seen []Open
		k.o.View.Read(func(s *state.State) {
			next = s.SomeOpenTxns(next, lookStep, func(t *state.Txn) {
				seen = append(seen, Open{
					Number: t.Number, ID: t.Name, ProducerID: t.ProducerID, Epoch: t.Epoch, Began: t.Began,
					BeganAt: time.UnixMilli(t.BeganMs), Timeout: time.Duration(t.TimeoutMs) * time.Millisecond,
					Base: s.Position(),
				})
			})
		})
		for _, o := range seen {
			o.Rank = k.o.Routing.Rank(o.ID)
			j.See(o)
		}
	}
}

// end aborts a transaction in its producer's place, who is shut out (Semantics line 79). Who came first, if not this
// agent, is State's to say; nothing was done then.
func (k *Keeper) end(ctx context.Context, o Open) error {
	var verdict state.Code
	err := k.propose(ctx, &pb.Command{Base: o.Base, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
		ProducerId: o.ProducerID, ProducerEpoch: int32(o.Epoch), Fence: true,
	}}}, func(r session.Outcome) { verdict = r.Result.Code })
	switch {
	case err != nil:
		return fmt.Errorf("transactional id %q: %w", o.ID, err)
	case verdict == state.OK:
		k.o.Log.Info("overdue transaction aborted", "transactional.id", o.ID, "producer", o.ProducerID, "epoch", o.Epoch, "timeout", o.Timeout)
		if k.o.OnOverdue != nil {
			k.o.OnOverdue()
		}
	default:
		k.o.Log.Debug("overdue transaction not aborted", "transactional.id", o.ID, "verdict", verdict.String())
	}
	return nil
}

func (k *Keeper) propose(ctx context.Context, c *pb.Command, take func(session.Outcome)) error {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	return k.o.Session.Do(ctx, c, take)
}
