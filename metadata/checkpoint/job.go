package checkpoint

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
)

// View is the live State.
type View interface {
	Read(func(*state.State))
	// Freeze and EtcdCluster may be called from an observer only: the snapshot is that of the entry being observed.
	Freeze() *state.State
	EtcdCluster() uint64
}

// Proposer appends commands.
type Proposer interface {
	Current() (id layout.Session, node int32, open bool)
	Do(ctx context.Context, cmd *pb.Command, take func(session.Outcome)) error
}

// JobOptions of a Job.
type JobOptions struct {
	KV      kv.KV
	Keys    layout.Etcd
	Store   objstore.Store
	Objects layout.Objects
	Cluster string
	Journal *journal.Journal
	Session Proposer
	Log     *slog.Logger
	TTL     time.Duration
	Limits  Limits
}

const (
	jobName   = "checkpoint"
	stepLimit = 5 * time.Minute // of writing and cleaning; the other steps take one TTL
)

// Job is an agent's part in checkpoints: it records digests at marks, and holds the job when nobody else does. It is an
// observer of the view.
type Job struct {
	*Steps
	started  time.Time
	diverged chan error

	mu struct {
		sync.Mutex
		core    *Core
		effects []func(context.Context)
		ctx     context.Context
		session layout.Session
		wg      sync.WaitGroup
	}
}

// NewJob starts nothing; see Run.
func NewJob(o JobOptions) *Job {
	j := &Job{Steps: NewSteps(o), started: time.Now(), diverged: make(chan error, 1)}
	j.mu.core = NewCore(o.Limits, (*jobShell)(j))
	return j
}

// Run takes part until ctx ends. It returns ErrDiverged when this agent's State is not what the others have: then the
// agent must stop.
func (j *Job) Run(ctx context.Context) error {
	j.mu.Lock()
	j.mu.ctx = ctx
	j.mu.Unlock()
	tick := time.NewTicker(max(j.o.Limits.TrimPause, 10*time.Millisecond))
	defer tick.Stop()
	var looked time.Time // at State's garbage
	for {
		select {
		case <-tick.C:
			if time.Since(looked) >= garbageEvery {
				looked = time.Now()
				j.lookForGarbage()
			}
			id, _, open := j.o.Session.Current()
			if !open {
				id = 0
			}
			j.step(func(c *Core, now time.Duration) {
				if j.mu.session != id {
					if j.mu.session != 0 {
						c.Lost(now)
						j.Forget()
					}
					if j.mu.session = id; open {
						c.Opened(now)
					}
				}
				c.Tick(now)
			})
		case err := <-j.diverged:
			return err
		case <-ctx.Done():
			j.mu.wg.Wait()
			return nil
		}
	}
}

// garbageEvery is how often State is looked at for garbage: what waits for minutes may wait a second more.
const garbageEvery = time.Second

func (j *Job) lookForGarbage() {
	var lost int64
	j.view.Read(func(s *state.State) { lost = s.LastLost() })
	j.step(func(c *Core, now time.Duration) { c.Garbage(now, lost, time.Now().UnixMilli()) })
}

func (j *Job) step(f func(*Core, time.Duration)) {
	j.mu.Lock()
	f(j.mu.core, time.Since(j.started))
	effects, ctx := j.mu.effects, j.mu.ctx
	j.mu.effects = nil
	j.mu.wg.Add(len(effects))
	j.mu.Unlock()
	for _, e := range effects {
		go func() {
			defer j.mu.wg.Done()
			e(ctx)
		}()
	}
}

// Applied implements view.Observer.
func (j *Job) Applied(e journal.Entry, body *pb.Entry, res *state.Results) {
	seen, digest := j.Observe(e, body, res)
	if digest != nil {
		j.mu.Lock()
		ctx := j.mu.ctx
		if ctx != nil && ctx.Err() == nil {
			j.mu.wg.Add(1)
			go func() {
				defer j.mu.wg.Done()
				j.putDigest(ctx, digest)
			}()
		}
		j.mu.Unlock()
	}
	j.step(func(c *Core, now time.Duration) { c.Seen(now, seen) })
}

// Replaced implements view.Observer.
func (j *Job) Replaced(*state.State) {}

// putDigest shows this agent's digest at a mark to the others.
func (j *Job) putDigest(ctx context.Context, d *OwnDigest) {
	ctx, cancel := context.WithTimeout(ctx, j.o.TTL)
	defer cancel()
	if err := j.PutDigest(ctx, d); err != nil && !errors.Is(err, kv.ErrLeaseNotFound) && ctx.Err() == nil {
		j.o.Log.Warn("digest not recorded", "position", d.Position, "error", err)
	}
}

// jobShell carries effects out for the Job it is; its methods are called under the lock, what they queue runs on
// goroutines of its own.
type jobShell Job

// do queues an effect with a deadline; its answer goes to the core, unless the session that it was for is over: then the
// core has given the step up, and may be waiting for another one of the kind.
func (x *jobShell) do(limit time.Duration, name string, f func(ctx context.Context) (answer func(*Core, time.Duration), err error)) {
	j, asked := (*Job)(x), x.mu.session
	x.mu.effects = append(x.mu.effects, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		answer, err := f(ctx)
		if err != nil && !errors.Is(err, ErrHeld) && !errors.Is(err, context.Canceled) {
			j.o.Log.Warn("checkpoint step failed", "step", name, "error", err)
		}
		j.step(func(c *Core, now time.Duration) {
			if j.mu.session == asked {
				answer(c, now)
			}
		})
	})
}

func (x *jobShell) Acquire() {
	j := (*Job)(x)
	x.do(j.o.TTL, "acquire", func(ctx context.Context) (func(*Core, time.Duration), error) {
		last, err := j.Steps.Acquire(ctx)
		if errors.Is(err, ErrDiverged) {
			select {
			case j.diverged <- err:
			default: // said already
			}
		}
		return func(c *Core, now time.Duration) { c.Acquired(now, last, err) }, err
	})
}

func (x *jobShell) Mark(base bool) {
	j := (*Job)(x)
	x.do(j.o.TTL, "mark", func(ctx context.Context) (func(*Core, time.Duration), error) {
		err := j.Steps.Mark(ctx, base)
		return func(c *Core, now time.Duration) { c.Marked(now, err) }, err
	})
}

func (x *jobShell) Write(last Last) {
	j := (*Job)(x)
	x.do(stepLimit, "write", func(ctx context.Context) (func(*Core, time.Duration), error) {
		w, err := j.Steps.Write(ctx, last)
		return func(c *Core, now time.Duration) { c.Wrote(now, w, err) }, err
	})
}

func (x *jobShell) Point(last Last, next Written) {
	j := (*Job)(x)
	x.do(j.o.TTL, "point", func(ctx context.Context) (func(*Core, time.Duration), error) {
		rev, err := j.Steps.Point(ctx, last, next)
		return func(c *Core, now time.Duration) { c.Pointed(now, rev, err) }, err
	})
}

func (x *jobShell) Record(root *pb.Root) {
	j := (*Job)(x)
	x.do(j.o.TTL, "record archives", func(ctx context.Context) (func(*Core, time.Duration), error) {
		err := j.Steps.Record(ctx, root)
		return func(c *Core, now time.Duration) { c.Recorded(now, err) }, err
	})
}

func (x *jobShell) Trim(position int64) {
	j := (*Job)(x)
	x.do(j.o.TTL, "trim", func(ctx context.Context) (func(*Core, time.Duration), error) {
		more, err := j.Steps.Trim(ctx, position)
		return func(c *Core, now time.Duration) { c.Trimmed(now, more, err) }, err
	})
}

func (x *jobShell) Compact(revision int64) {
	j := (*Job)(x)
	x.do(j.o.TTL, "compact", func(ctx context.Context) (func(*Core, time.Duration), error) {
		err := j.Steps.Compact(ctx, revision)
		return func(c *Core, now time.Duration) { c.Compacted(now, err) }, err
	})
}

func (x *jobShell) Clean(dropped []*pb.KeptRoot, next Written, sweep bool) {
	j := (*Job)(x)
	x.do(stepLimit, "clean", func(ctx context.Context) (func(*Core, time.Duration), error) {
		again, err := j.Steps.Clean(ctx, dropped, next, sweep)
		return func(c *Core, now time.Duration) { c.Cleaned(now, again, err) }, err
	})
}
