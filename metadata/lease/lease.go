// Package lease gives jobs to sessions: a job's key in etcd lies on the lease of the session that holds it, so that one
// session has the job at a time and the job is free when that session ends. Holding a job saves others the work; what is
// right does not depend on it, State and guarded transactions see to that.
package lease

import (
	"context"
	"fmt"

	"wadi/internal/layout"
	"wadi/metadata/kv"
)

// Hold is a job's key as it was put once. The zero value holds nothing.
type Hold struct {
	Key      string
	Revision int64 // the key's create revision; 0 = not held
}

// Guard is true as long as the key is the one that was put then. It may guard any transaction.
func (h Hold) Guard() kv.Compare {
	return kv.Compare{Key: h.Key, Target: kv.CreateRevision, Want: h.Revision}
}

// Take puts the keys of jobs on own's lease, those that nobody has; own has those already that an earlier call put whose
// answer was lost. It returns a Hold for each job, without a revision where another session has it, and the answers to
// the gets that go with it, as of the same moment. Jobs that were free and taken by others meanwhile are not had: ask
// again. After an error any of them may be had, now or later.
//
// It reads first: whoever does not get a job asks again and again, and that must write nothing to etcd's log.
func Take(
	ctx context.Context, store kv.KV, keys layout.Etcd, own layout.Session, jobs []string, gets ...kv.Op,
) ([]Hold, [][]kv.KeyValue, error) {
	ops := make([]kv.Op, 0, len(jobs)+len(gets))
	for _, job := range jobs {
		ops = append(ops, kv.Get(keys.Job(job)))
	}
	ops = append(ops, gets...)
	res, err := store.Txn(ctx, kv.Txn{Then: ops})
	if err != nil {
		return nil, nil, fmt.Errorf("look at jobs: %w", err)
	}
	var free []kv.Compare
	var puts []kv.Op
	for i, job := range jobs {
		if len(res.Gets[i]) == 0 {
			free = append(free, Hold{Key: keys.Job(job)}.Guard())
			puts = append(puts, kv.Put(keys.Job(job), []byte(own.String()), int64(own)))
		}
	}
	if len(free) > 0 {
		if res, err = store.Txn(ctx, kv.Txn{If: free, Then: append(puts, ops...), Else: ops}); err != nil {
			return nil, nil, fmt.Errorf("take jobs: %w", err)
		}
	}
	return holds(keys, own, jobs, res.Gets), res.Gets[len(jobs):], nil
}

// Look returns what own holds of jobs, without taking any.
func Look(ctx context.Context, store kv.KV, keys layout.Etcd, own layout.Session, jobs []string) ([]Hold, error) {
	ops := make([]kv.Op, len(jobs))
	for i, job := range jobs {
		ops[i] = kv.Get(keys.Job(job))
	}
	res, err := store.Txn(ctx, kv.Txn{Then: ops})
	if err != nil {
		return nil, fmt.Errorf("look at jobs: %w", err)
	}
	return holds(keys, own, jobs, res.Gets), nil
}

func holds(keys layout.Etcd, own layout.Session, jobs []string, found [][]kv.KeyValue) []Hold {
	all := make([]Hold, len(jobs))
	for i, job := range jobs {
		all[i].Key = keys.Job(job)
		if len(found[i]) == 1 && found[i][0].Lease == int64(own) {
			all[i].Revision = found[i][0].CreateRevision
		}
	}
	return all
}

// GiveUp deletes a job's key. nil means that this hold is over, also when it was before. After an error it may still end
// later: the job must not be taken again by the same session before an answer is definite.
func GiveUp(ctx context.Context, store kv.KV, h Hold) error {
	if _, err := store.Txn(ctx, kv.Txn{If: []kv.Compare{h.Guard()}, Then: []kv.Op{kv.Delete(h.Key)}}); err != nil {
		return fmt.Errorf("give job up: %w", err)
	}
	return nil
}
