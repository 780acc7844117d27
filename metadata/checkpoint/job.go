package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

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
	started time.Time

	mu struct {
		sync.Mutex
		core    *Core
		effects []func(context.Context)
		ctx     context.Context
		session layout.Session
		wg      sync.WaitGroup
	}
}

// Steps does what a core decides, one blocking call for each of its effects. It starts nothing and waits for nothing but
// its calls: Job runs it on goroutines, a simulator in virtual time. Observe must hear of every applied entry.
type Steps struct {
	o    JobOptions
	view View
	// Of the view's goroutine and the step under way, which follow each other.
	mark markState
	hold holding
}

// NewSteps starts nothing.
func NewSteps(o JobOptions) *Steps {
	j := &Steps{o: o}
	j.mark.taken = make(chan struct{})
	return j
}

// holding is what the holder knows of its job.
type holding struct {
	sync.Mutex
	revision int64   // create revision of the job's key
	trim     trimmer // of the step under way
	failed   int     // writes in a row
	resting  int     // how many more times not to ask for the job
}

// A holder whose writes fail that often in a row hands the job over, as its own way to the object store may be what
// fails, and lets the others ask first.
const (
	failuresToHandOver = 4
	restAfterHandOver  = 3
)

// handOver gives the job up if it is time; resting tells not to ask for it now.
func (j *Steps) handOver(ctx context.Context) (resting bool, err error) {
	guard := j.holds()
	j.hold.Lock()
	tired := j.hold.failed >= failuresToHandOver
	if resting = j.hold.resting > 0; resting {
		j.hold.resting--
	}
	j.hold.Unlock()
	if !tired {
		return resting, nil
	}
	_, err = j.o.KV.Txn(ctx, kv.Txn{If: []kv.Compare{guard}, Then: []kv.Op{kv.Delete(guard.Key)}})
	if err != nil {
		return true, fmt.Errorf("hand job over: %w", err)
	}
	j.hold.Lock()
	j.hold.failed, j.hold.resting = 0, restAfterHandOver
	j.hold.Unlock()
	return true, nil
}

// holds is true while the job's key is the one that this session found on its own lease, or put.
func (j *Steps) holds() kv.Compare {
	j.hold.Lock()
	defer j.hold.Unlock()
	return kv.Compare{Key: j.o.Keys.Job(jobName), Target: kv.CreateRevision, Want: j.hold.revision}
}

// markState is what was kept of the mark that this agent proposed last.
type markState struct {
	sync.Mutex
	wanted  bool // a mark of ours is on its way
	base    bool // with a snapshot
	entry   int64
	head    int64
	etcd    uint64
	digest  state.Digest
	frozen  *state.State // nil without base
	pending []int64      // State's pending marks at the mark
	atMs    int64        // of the mark's entry
	level   uint32
	id      string
	incarn  uint32
	session layout.Session
	taken   chan struct{} // closed and replaced when entry changes
}

// NewJob starts nothing; see Run.
func NewJob(o JobOptions) *Job {
	j := &Job{Steps: NewSteps(o), started: time.Now()}
	j.mu.core = NewCore(o.Limits, (*jobShell)(j))
	return j
}

// Follow tells which view is observed, before anything runs.
func (j *Steps) Follow(v View) { j.view = v }

// Run takes part until ctx ends.
func (j *Job) Run(ctx context.Context) error {
	j.mu.Lock()
	j.mu.ctx = ctx
	j.mu.Unlock()
	tick := time.NewTicker(max(j.o.Limits.TrimPause, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
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
		case <-ctx.Done():
			j.mu.wg.Wait()
			return nil
		}
	}
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

// Observe takes what a checkpoint needs of an entry that was just applied: what the core is to hear of it, and after a
// mark the digest to show, if this agent has a session.
func (j *Steps) Observe(e journal.Entry, body *pb.Entry, res *state.Results) (seen Entry, digest *OwnDigest) {
	seen = Entry{Position: e.Position, Size: len(e.Value)}
	for i, c := range body.Commands {
		ok := i < len(res.Commands) && res.Commands[i].Code == state.OK
		switch k := c.GetKind().(type) {
		case *pb.Command_Mark:
			seen.Mark = seen.Mark || ok
		case *pb.Command_Archived:
			if ok {
				seen.Archived = k.Archived.To
			}
		default:
			seen.Dirty = true
		}
	}
	if seen.Mark {
		digest = j.marked(e, body)
	}
	return seen, digest
}

// Forget lets go of the snapshot of a checkpoint that will not be.
func (j *Steps) Forget() {
	j.mark.Lock()
	defer j.mark.Unlock()
	j.mark.frozen = nil
}

// OwnDigest is what a session shows of State at a mark.
type OwnDigest struct {
	Session  layout.Session
	Position int64
	Digest   state.Digest
}

// Replaced implements view.Observer.
func (j *Job) Replaced(*state.State) {}

// marked records the digest at a mark and, when it is ours, what the checkpoint needs of State there.
func (j *Steps) marked(e journal.Entry, body *pb.Entry) *OwnDigest {
	own, _, open := j.o.Session.Current()
	m := &j.mark
	m.Lock()
	defer m.Unlock()
	ours := m.wanted && e.Session == own
	var digest state.Digest
	j.view.Read(func(s *state.State) {
		digest = s.Digest()
		if ours {
			m.pending, m.level, m.id, m.incarn = s.PendingMarks(), s.FeatureLevel(), s.ClusterID(), s.Incarnation()
		}
	})
	if ours {
		m.entry, m.head, m.digest, m.session, m.atMs, m.frozen = e.Position, e.Head, digest, own, body.AtMs, nil
		m.etcd = j.view.EtcdCluster()
		if m.base {
			m.frozen = j.view.Freeze() // only then: what is shared with a snapshot is copied at its next change
		}
		close(m.taken)
		m.taken = make(chan struct{})
	}
	if !open {
		return nil
	}
	return &OwnDigest{Session: own, Position: e.Position, Digest: digest}
}

// putDigest shows this agent's digest at a mark to the others.
func (j *Job) putDigest(ctx context.Context, d *OwnDigest) {
	ctx, cancel := context.WithTimeout(ctx, j.o.TTL)
	defer cancel()
	if err := j.PutDigest(ctx, d); err != nil && !errors.Is(err, kv.ErrLeaseNotFound) && ctx.Err() == nil {
		j.o.Log.Warn("digest not recorded", "position", d.Position, "error", err)
	}
}

// PutDigest shows an agent's digest at a mark to the others.
func (j *Steps) PutDigest(ctx context.Context, d *OwnDigest) error {
	value, err := proto.Marshal(&pb.MarkDigest{Position: d.Position, Digest: d.Digest[:]})
	if err == nil {
		_, err = j.o.KV.Txn(ctx, kv.Txn{Then: []kv.Op{kv.Put(j.o.Keys.Digest(d.Session), value, int64(d.Session))}})
	}
	if err != nil {
		return fmt.Errorf("record digest: %w", err)
	}
	return nil
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
		return func(c *Core, now time.Duration) { c.Acquired(now, last, err) }, err
	})
}

// Acquire puts the job's key on this session's lease unless another session has it.
func (j *Steps) Acquire(ctx context.Context) (Last, error) {
	own, _, open := j.o.Session.Current()
	if !open {
		return Last{}, ErrHeld
	}
	if resting, err := j.handOver(ctx); err != nil || resting {
		return Last{}, errors.Join(err, ErrHeld)
	}
	job, pointer := j.o.Keys.Job(jobName), j.o.Keys.Checkpoint()
	gets := []kv.Op{kv.Get(job), kv.Get(pointer)}
	// A plain read first: whoever does not get the job asks every few seconds, and this writes nothing to etcd's log.
	res, err := j.o.KV.Txn(ctx, kv.Txn{Then: gets})
	if err == nil && len(res.Gets[0]) == 0 {
		res, err = j.o.KV.Txn(ctx, kv.Txn{
			If:   []kv.Compare{{Key: job, Target: kv.CreateRevision, Want: 0}},
			Then: append([]kv.Op{kv.Put(job, []byte(own.String()), int64(own))}, gets...),
			Else: gets,
		})
	}
	if err != nil {
		return Last{}, fmt.Errorf("acquire job: %w", err)
	}
	holder, found := res.Gets[0], res.Gets[1]
	if len(holder) != 1 || holder[0].Lease != int64(own) {
		return Last{}, ErrHeld
	}
	j.hold.Lock()
	j.hold.revision = holder[0].CreateRevision
	j.hold.Unlock()
	if len(found) == 0 {
		return Last{}, nil
	}
	last := Last{Pointer: &pb.Pointer{}, Revision: found[0].ModRevision}
	if err := proto.Unmarshal(found[0].Value, last.Pointer); err != nil {
		return Last{}, fmt.Errorf("checkpoint pointer: %w", err)
	}
	last.Root, err = ReadRoot(ctx, j.o.Store, last.Pointer.Root)
	return last, err
}

func (x *jobShell) Mark(base bool) {
	j := (*Job)(x)
	x.do(j.o.TTL, "mark", func(ctx context.Context) (func(*Core, time.Duration), error) {
		err := j.Steps.Mark(ctx, base)
		return func(c *Core, now time.Duration) { c.Marked(now, err) }, err
	})
}

// Mark proposes a mark and waits until Observe has taken what the checkpoint needs there: with base, a snapshot.
func (j *Steps) Mark(ctx context.Context, base bool) error {
	m := &j.mark
	m.Lock()
	m.wanted, m.base, m.entry = true, base, 0
	m.Unlock()
	var position int64
	err := j.o.Session.Do(ctx, &pb.Command{Kind: &pb.Command_Mark{Mark: &pb.Mark{}}}, func(o session.Outcome) {
		position = o.Position
	})
	if err == nil {
		err = m.wait(ctx, position)
	}
	m.Lock()
	m.wanted = false
	m.Unlock()
	return err
}

// wait waits until the observer has taken what it needs at the mark: it hears of the entry right after the proposer.
func (m *markState) wait(ctx context.Context, position int64) error {
	for {
		m.Lock()
		entry, taken := m.entry, m.taken
		m.Unlock()
		if entry == position {
			return nil
		}
		select {
		case <-taken:
		case <-ctx.Done():
			return fmt.Errorf("mark at position %d: %w", position, ctx.Err())
		}
	}
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

// Point moves the pointer. An unknown outcome is an error: the next attempt reads what is there.
func (j *Steps) Point(ctx context.Context, last Last, next Written) (int64, error) {
	value, err := proto.Marshal(next.Pointer)
	if err != nil {
		return 0, fmt.Errorf("move pointer: %w", err)
	}
	pointer := j.o.Keys.Checkpoint()
	res, err := j.o.KV.Txn(ctx, kv.Txn{
		If:   []kv.Compare{{Key: pointer, Target: kv.ModRevision, Want: last.Revision}, j.holds()},
		Then: []kv.Op{kv.Put(pointer, value, 0)},
	})
	if err != nil {
		return 0, fmt.Errorf("move pointer: %w", err)
	}
	if !res.Succeeded {
		return 0, fmt.Errorf("move pointer: %w", ErrHeld)
	}
	return res.Header.Revision, nil
}

func (x *jobShell) Record(root *pb.Root) {
	j := (*Job)(x)
	x.do(j.o.TTL, "record archives", func(ctx context.Context) (func(*Core, time.Duration), error) {
		err := j.Steps.Record(ctx, root)
		return func(c *Core, now time.Duration) { c.Recorded(now, err) }, err
	})
}

// Record proposes the archives of a root that State lacks.
func (j *Steps) Record(ctx context.Context, root *pb.Root) error {
	var done int64
	j.view.Read(func(s *state.State) { done = s.ArchivedTo() })
	for _, a := range root.Archives {
		if a.To <= done {
			continue
		}
		code := state.OK
		err := j.o.Session.Do(ctx, &pb.Command{Kind: &pb.Command_Archived{Archived: &pb.Archived{
			From: a.From, To: a.To, Session: a.Session, Head: a.Head, Size: a.Object.Size,
		}}}, func(o session.Outcome) { code = o.Result.Code })
		if err != nil {
			return err
		}
		if code != state.OK && code != state.Stale {
			return fmt.Errorf("archive up to position %d: %s", a.To, code)
		}
	}
	return nil
}

func (x *jobShell) Trim(position int64) {
	j := (*Job)(x)
	x.do(j.o.TTL, "trim", func(ctx context.Context) (func(*Core, time.Duration), error) {
		more, err := j.Steps.Trim(ctx, position)
		return func(c *Core, now time.Duration) { c.Trimmed(now, more, err) }, err
	})
}

// Trim deletes some entries at or before a position, if the job is still held.
func (j *Steps) Trim(ctx context.Context, position int64) (more bool, err error) {
	guard := j.holds()
	j.hold.Lock()
	t := j.hold.trim
	j.hold.Unlock()
	more, err = t.step(ctx, j.o.KV, j.o.Keys, position, guard)
	j.hold.Lock()
	j.hold.trim = t
	j.hold.Unlock()
	return more, err
}

func (x *jobShell) Compact(revision int64) {
	j := (*Job)(x)
	x.do(j.o.TTL, "compact", func(ctx context.Context) (func(*Core, time.Duration), error) {
		err := j.Steps.Compact(ctx, revision)
		return func(c *Core, now time.Duration) { c.Compacted(now, err) }, err
	})
}

// Compact discards etcd's history below a revision; 0 = nothing.
func (j *Steps) Compact(ctx context.Context, revision int64) error {
	if revision == 0 {
		return nil
	}
	if err := j.o.KV.Compact(ctx, revision); err != nil && !errors.Is(err, kv.ErrCompacted) {
		return fmt.Errorf("compact: %w", err)
	}
	return nil
}

func (x *jobShell) Clean(dropped []*pb.KeptRoot, next Written, sweep bool) {
	j := (*Job)(x)
	x.do(stepLimit, "clean", func(ctx context.Context) (func(*Core, time.Duration), error) {
		again, err := j.Steps.Clean(ctx, dropped, next, sweep)
		return func(c *Core, now time.Duration) { c.Cleaned(now, again, err) }, err
	})
}
