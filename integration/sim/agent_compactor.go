package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wadi/compactor/fold"
	"wadi/compactor/gc"
	"wadi/compactor/job"
	"wadi/compactor/keycompact"
	"wadi/compactor/merge"
	"wadi/compactor/retention"
	"wadi/internal/kafkaconfig"
	"wadi/internal/layout"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// sharing is how the compactors of a run divide their work. Leases save work and nothing else, so runs must hold without.
type sharing int

const (
	together sharing = iota // everybody works on everything
	turns                   // a partition is one agent's, as its lease has it, and another's after a while
	atRandom                // whatever an agent believes to be its own
	ways
)

// clockError is why an agent has no clock for a while.
var errNoClock = errors.New("the clock is off")

// startCompactor gives the process the tasks of a compactor, which take turns.
func (a *agent) startCompactor() {
	w := a.w
	a.tasks = w.tasks(a, &job.Env{
		Session: worker{a}, Store: workerStore{bucketClient{a}}, Archives: a.archives, Objects: a.objects,
		Barrier: func(context.Context) error { return a.passWithin(2 * ttl) },
		Read:    func(f func(*state.State)) { f(a.view.State()) },
		Inline:  func(position int64) []byte { return a.inline[position] },
		Log:     discard,
	})
	var round func()
	round = func() {
		a.spawn(func() {
			a.compact()
			a.after(w.between(50*time.Millisecond, 400*time.Millisecond), round)
		})
	}
	a.after(w.between(0, 400*time.Millisecond), round)
}

// tasks are those of one process.
func (w *World) tasks(a *agent, env *job.Env) []job.Task {
	return []job.Task{
		merge.New(env, w.merges),
		keycompact.New(env, w.cleans),
		fold.New(env, fold.Config{Keep: 4, Least: 2, Folds: 4, Bytes: 1 << 20}),
		retention.New(env, retention.Config{Parallel: 1}),
		gc.New(env, gc.Config{
			Grace: w.grace, KV: workerKV{etcdClient{a}}, Keys: w.keys, Elapsed: a.mono,
			Pause: func(_ context.Context, d time.Duration) error { w.sleep(d); return nil },
		}),
	}
}

// compact lets each task that the agent holds do a pass or some. A snapshot may be an old one by the time it is used.
func (a *agent) compact() {
	w := a.w
	if !a.caughtUp || !a.opened {
		return
	}
	a.ambushed(1)
	view := job.View{Mine: a.owns(), Configs: func(t *state.Topic) *kafkaconfig.Effective { return effective(t) }}
	if a.clockless = w.chance(w.faults.clockless); a.clockless {
		view.Clock = errNoClock
	}
	for _, t := range a.tasks {
		if t.Name() == "gc" && !view.Mine(0, 0) {
			continue
		}
		for range 3 {
			if view.State == nil || w.chance(0.8) {
				view.State = a.view.State().Freeze()
			}
			view.Now = w.wall().UnixMilli() + min(a.skew, 0) // never before the snapshot
			in := view
			more, err := t.Pass(background, &in)
			w.note("compactor agent=%d %s more=%t err=%v", a.id, t.Name(), more, err)
			w.stats.Passes++
			if err != nil {
				w.stats.Failed++
			}
			if err != nil || !more {
				break
			}
		}
	}
}

// owns tells which partitions an agent believes to be its own, for one round.
func (a *agent) owns() func(topic uint64, partition uint32) bool {
	w := a.w
	switch w.sharing {
	case turns:
		turn := uint64(w.now / (2 * time.Second))
		return func(topic uint64, partition uint32) bool {
			return (topic+uint64(partition)+turn)%uint64(len(w.agents)) == uint64(a.id)
		}
	case atRandom:
		mask := w.rng.Uint64()
		return func(topic uint64, partition uint32) bool { return mask>>((topic*7+uint64(partition))%64)&1 == 1 }
	default:
		return func(uint64, uint32) bool { return true }
	}
}

// worker is the way of a task's proposals, for the coroutine that makes them: Propose comes back when there is an outcome,
// or none for long.
type worker struct{ a *agent }

func (x worker) Current() (layout.Session, int32, bool) { return x.a.sess.Session() }

func (x worker) Propose(p *session.Proposal) {
	a, w, done := x.a, x.a.w, p.Done
	if k := p.Command.GetTrimPartitions(); a.clockless && k != nil {
		for _, topic := range k.Topics {
			if t := w.oracle.st.TopicByNumber(topic); t != nil && effective(t).RetentionBytes < 0 {
				w.violated("agent %d trims logs by time without a clock", a.id)
			}
		}
	}
	ended := false
	end := func(o session.Outcome) {
		if !ended {
			ended = true
			done(o)
		}
	}
	unknown := session.Outcome{Err: fmt.Errorf("%w: no answer in time", session.ErrUnknown)}
	lost := w.opts.Hit == Hit{w.stats.Calls + 1, LosesAnswer}
	err := a.hit("proposal", func() error {
		w.await(func(goOn func()) {
			a.after(4*ttl, func() {
				end(unknown)
				goOn()
			})
			p.Done = func(o session.Outcome) {
				if lost {
					o = unknown
				}
				end(o)
				a.after(0, goOn) // the caller goes on later: the outcome comes in the middle of an apply
			}
			a.sessStep(func(c *session.Core) { c.Propose(a.instant(), p) })
		})
		return nil
	})
	if err != nil {
		end(unknown)
	}
}
