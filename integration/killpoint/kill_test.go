package killpoint

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"syscall"

	"wadi/internal/layout"
	"wadi/metadata/kv"
	"wadi/objstore"
)

// killer ends the process at the step of its plan.
type killer struct {
	plan plan
	seen atomic.Int64
}

// around makes a call that is part of steps. A kill after a call comes only when it succeeded: that is the moment at
// which what it did is there and its answer is not.
func (k *killer) around(steps []step, call func() error) error {
	if k.plan.Flaky > 0 && slices.ContainsFunc(steps, step.compacts) {
		return k.flaky(steps, call)
	}
	if k.plan.Step == "" || !slices.Contains(steps, k.plan.Step) {
		return call()
	}
	n := k.seen.Add(1)
	if !k.plan.After && n >= int64(k.plan.Nth) {
		die()
	}
	err := call()
	if k.plan.After && err == nil && n >= int64(k.plan.Nth) {
		die()
	}
	return err
}

// errFlaky is what a call has that failed, or whose answer was lost: its caller cannot tell which.
var errFlaky = fmt.Errorf("%w: no answer", kv.ErrUnavailable)

// flaky lets every so many calls fail, and as many others lose their answers.
func (k *killer) flaky(steps []step, call func() error) error {
	n := k.seen.Add(1) % int64(2*k.plan.Flaky+1) // odd: calls come in pairs
	if n == 0 {
		fmt.Fprintln(os.Stderr, "failed", steps[0])
		return errFlaky
	}
	err := call()
	if err == nil && n == int64(k.plan.Flaky) {
		fmt.Fprintln(os.Stderr, "lost", steps[0])
		err = errFlaky
	}
	return err
}

// die returns never: the caller must not do one thing more until the signal has arrived.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // to oneself it cannot fail
	select {}
}

// killKV and killStore let every call pass that is no step of the plan.
type killKV struct {
	kv.KV
	k    *killer
	keys layout.Etcd
}

func (x killKV) Txn(ctx context.Context, t kv.Txn) (res kv.TxnResult, err error) {
	err = x.k.around(stepsOfTxn(x.keys, t), func() error {
		res, err = x.KV.Txn(ctx, t)
		return err
	})
	return res, err
}

func (x killKV) Grant(ctx context.Context, ttl int64) (lease int64, err error) {
	err = x.k.around([]step{grant}, func() error {
		lease, err = x.KV.Grant(ctx, ttl)
		return err
	})
	return lease, err
}

func (x killKV) KeepAlive(ctx context.Context, lease int64) (ttl int64, err error) {
	err = x.k.around([]step{keepAlive}, func() error {
		ttl, err = x.KV.KeepAlive(ctx, lease)
		return err
	})
	return ttl, err
}

func (x killKV) Revoke(ctx context.Context, lease int64) error {
	return x.k.around([]step{revoke}, func() error { return x.KV.Revoke(ctx, lease) })
}

func (x killKV) Compact(ctx context.Context, revision int64) error {
	return x.k.around([]step{compact}, func() error { return x.KV.Compact(ctx, revision) })
}

type killStore struct {
	objstore.Store
	k       *killer
	keys    layout.Objects
	cluster string
}

func (x killStore) Put(ctx context.Context, key string, body objstore.Body) error {
	return x.k.around(stepsOfPut(x.keys, x.cluster, key), func() error { return x.Store.Put(ctx, key, body) })
}

func (x killStore) Delete(ctx context.Context, keys []string) error {
	return x.k.around(stepsOfDelete(x.keys, keys), func() error { return x.Store.Delete(ctx, keys) })
}
