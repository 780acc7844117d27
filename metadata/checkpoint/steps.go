package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"wadi/metadata/kv"
	"wadi/metadata/lease"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// Steps does what a core decides, one blocking call for each of its effects. It starts nothing and waits for nothing but
// its calls: Job runs it on goroutines, a simulator in virtual time. Observe must hear of every applied entry.
type Steps struct {
	o    JobOptions
	view View
	// Of the view's goroutine and the step under way, which follow each other.
	mark  markState
	hold  holding
	known knownRoots

	digests ownDigests
}

// NewSteps starts nothing.
func NewSteps(o JobOptions) *Steps {
	j := &Steps{o: o}
	j.mark.taken = make(chan struct{})
	j.hold.job.Key = o.Keys.Job(jobName)
	return j
}

// holding is what the holder knows of its job.
type holding struct {
	sync.Mutex
	job     lease.Hold
	trim    trimmer // of the step under way
	failed  int     // writes in a row
	resting int     // how many more times not to ask for the job
}

// A holder whose writes fail that often in a row hands the job over, as its own way to the object store may be what
// fails, and lets the others ask first.
const (
	failuresToHandOver = 4
	restAfterHandOver  = 3
)

// handOver gives the job up if it is time; resting tells not to ask for it now.
func (j *Steps) handOver(ctx context.Context) (resting bool, err error) {
	j.hold.Lock()
	job, tired := j.hold.job, j.hold.failed >= failuresToHandOver
	if resting = j.hold.resting > 0; resting {
		j.hold.resting--
	}
	j.hold.Unlock()
	if !tired {
		return resting, nil
	}
	if err := lease.GiveUp(ctx, j.o.KV, job); err != nil {
		return true, err
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
	return j.hold.job.Guard()
}

// Follow tells which view is observed, before anything runs.
func (j *Steps) Follow(v View) { j.view = v }

// Acquire puts the job's key on this session's lease unless another session has it. Whoever asks also compares its own
// digest with the pointer's: ErrDiverged.
func (j *Steps) Acquire(ctx context.Context) (Last, error) {
	own, _, open := j.o.Session.Current()
	if !open {
		return Last{}, ErrHeld
	}
	if resting, err := j.handOver(ctx); err != nil || resting {
		return Last{}, errors.Join(err, ErrHeld)
	}
	holds, gets, err := lease.Take(ctx, j.o.KV, j.o.Keys, own, []string{jobName}, kv.Get(j.o.Keys.Checkpoint()))
	if err != nil {
		return Last{}, err
	}
	found := gets[0]
	last := Last{}
	if len(found) == 1 {
		last = Last{Pointer: &pb.Pointer{}, Revision: found[0].ModRevision}
		if err := proto.Unmarshal(found[0].Value, last.Pointer); err != nil {
			return Last{}, fmt.Errorf("checkpoint pointer: %w", err)
		}
		if err := j.digests.compare(last.Pointer); err != nil {
			return Last{}, err
		}
	}
	if holds[0].Revision == 0 {
		return Last{}, ErrHeld
	}
	j.hold.Lock()
	j.hold.job = holds[0]
	j.hold.Unlock()
	if last.Pointer == nil {
		return last, nil
	}
	last.Root, err = ReadRoot(ctx, j.o.Store, last.Pointer.Root)
	return last, err
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
