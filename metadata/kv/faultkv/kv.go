package faultkv

import (
	"context"
	"fmt"
	"sync"
	"time"

	"wadi/metadata/kv"
)

// KV is a kv.KV whose calls fail by rules and are written down.
type KV struct {
	inner     kv.KV
	closed    chan struct{} // closed by Close
	closeOnce sync.Once
	mu        struct {
		sync.Mutex
		rules []*Handle
		lines []string
		watch int // watches opened, to tell their lines apart
	}
}

var _ kv.KV = (*KV)(nil)

// New wraps inner. Close closes inner too.
func New(inner kv.KV) *KV { return &KV{inner: inner, closed: make(chan struct{})} }

// Add puts a rule in force. It panics on a rule that could never fire as meant.
func (k *KV) Add(r Rule) *Handle {
	if err := r.validate(); err != nil {
		panic(err)
	}
	h := &Handle{k: k, rule: r}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.rules = append(k.mu.rules, h)
	return h
}

// Clear takes all rules out of force.
func (k *KV) Clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.rules = nil
}

// decide finds the rule that c falls under. All rules count c, so that "the third" means the third call.
func (k *KV) decide(c Call) (Rule, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var fired *Handle
	for _, h := range k.mu.rules {
		if h.dueLocked(c) && fired == nil {
			fired = h
		}
	}
	if fired == nil {
		return Rule{}, false
	}
	fired.hits++
	return fired.rule, true
}

// fault is the error a rule answers with.
func (r Rule) fault(c Call) error {
	err := r.Err
	if err == nil {
		err = kv.ErrUnavailable
	}
	return fmt.Errorf("faultkv: %v: %v: %w", c.Op, r.Action, err)
}

// hang waits until ctx ends or the KV is closed and returns the error of the call that it held up.
func (k *KV) hang(ctx context.Context, c Call, r Rule) error { return k.wait(ctx, c, r, nil) }

// delay waits for the rule's time; an error means that the call is over.
func (k *KV) delay(ctx context.Context, c Call, r Rule) error {
	t := time.NewTimer(r.Delay)
	defer t.Stop()
	return k.wait(ctx, c, r, t.C)
}

func (k *KV) wait(ctx context.Context, c Call, r Rule, until <-chan time.Time) error {
	select {
	case <-until:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("faultkv: %v: %v: %w: %w", c.Op, r.Action, kv.ErrUnavailable, ctx.Err())
	case <-k.closed:
		return fmt.Errorf("faultkv: %v: %v: closed: %w", c.Op, r.Action, kv.ErrUnavailable)
	}
}

// through carries one call out under the rules and writes it down.
func through[T any](ctx context.Context, k *KV, c Call, f func() (T, error), outcome func(T) string) (T, error) {
	var zero, res T
	var err error
	r, hit := k.decide(c)
	if !hit {
		res, err = f()
		k.record(c, "", outcomeText(res, err, outcome))
		return res, err
	}
	fault := r.Action.String()
	switch r.Action {
	case FailBefore:
		err = r.fault(c)
	case LoseAnswer, HangAfter:
		res, err = f()
		fault += " (" + outcomeText(res, err, outcome) + ")"
		if err = r.fault(c); r.Action == HangAfter {
			err = k.hang(ctx, c, r)
		}
	case Delay:
		if err = k.delay(ctx, c, r); err == nil {
			res, err = f()
		}
	case Hang:
		err = k.hang(ctx, c, r)
	}
	k.record(c, fault, outcomeText(res, err, outcome))
	if err != nil {
		return zero, err
	}
	return res, nil
}

func outcomeText[T any](res T, err error, outcome func(T) string) string {
	if err != nil {
		return errorName(err)
	}
	return outcome(res)
}

// Txn implements kv.KV.
func (k *KV) Txn(ctx context.Context, t kv.Txn) (kv.TxnResult, error) {
	return through(ctx, k, Call{Op: Txn, Txn: t}, func() (kv.TxnResult, error) { return k.inner.Txn(ctx, t) }, txnOutcome)
}

// Range implements kv.KV.
func (k *KV) Range(ctx context.Context, r kv.RangeRequest) (kv.RangeResult, error) {
	return through(ctx, k, Call{Op: Range, Range: r}, func() (kv.RangeResult, error) { return k.inner.Range(ctx, r) }, rangeOutcome)
}

// Grant implements kv.KV.
func (k *KV) Grant(ctx context.Context, ttlSeconds int64) (lease int64, err error) {
	return through(ctx, k, Call{Op: Grant, TTL: ttlSeconds}, func() (int64, error) { return k.inner.Grant(ctx, ttlSeconds) },
		func(id int64) string { return fmt.Sprintf("lease %x", id) })
}

// KeepAlive implements kv.KV.
func (k *KV) KeepAlive(ctx context.Context, lease int64) (ttlSeconds int64, err error) {
	return through(ctx, k, Call{Op: KeepAlive, Lease: lease}, func() (int64, error) { return k.inner.KeepAlive(ctx, lease) },
		func(ttl int64) string { return fmt.Sprintf("ttl %d", ttl) })
}

// Revoke implements kv.KV.
func (k *KV) Revoke(ctx context.Context, lease int64) error {
	return k.plain(ctx, Call{Op: Revoke, Lease: lease}, func() error { return k.inner.Revoke(ctx, lease) })
}

// Compact implements kv.KV.
func (k *KV) Compact(ctx context.Context, revision int64) error {
	return k.plain(ctx, Call{Op: Compact, Revision: revision}, func() error { return k.inner.Compact(ctx, revision) })
}

func (k *KV) plain(ctx context.Context, c Call, f func() error) error {
	_, err := through(ctx, k, c, func() (struct{}, error) { return struct{}{}, f() }, func(struct{}) string { return "ok" })
	return err
}

// Status implements kv.KV.
func (k *KV) Status(ctx context.Context) (kv.Status, error) {
	// Sizes are an estimate that varies between implementations: a transcript of them would be noise.
	return through(ctx, k, Call{Op: Status}, func() (kv.Status, error) { return k.inner.Status(ctx) },
		func(kv.Status) string { return "ok" })
}

// Close closes the wrapped KV and ends what hangs.
func (k *KV) Close() error {
	k.closeOnce.Do(func() { close(k.closed) })
	return k.inner.Close()
}
