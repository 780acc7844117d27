package etcd

import (
	"context"
	"errors"
	"slices"
	"time"

	"wadi/metadata/kv"
)

// Patient is a KV for tests that look at an etcd on a machine that may be busy: what only reads is sent again for as long as
// there is no answer, for two minutes at most. The product's client hangs up a connection that leaves a call without an answer
// for two seconds, and leaves it to the caller to ask again; a test that asks once would fail. Writes are sent once, as ever.
func Patient(k kv.KV) kv.KV { return patient{k} }

type patient struct{ kv.KV }

// Range implements kv.KV.
func (p patient) Range(ctx context.Context, r kv.RangeRequest) (kv.RangeResult, error) {
	return again(ctx, func() (kv.RangeResult, error) { return p.KV.Range(ctx, r) })
}

// Status implements kv.KV.
func (p patient) Status(ctx context.Context) (kv.Status, error) {
	return again(ctx, func() (kv.Status, error) { return p.KV.Status(ctx) })
}

// Txn implements kv.KV.
func (p patient) Txn(ctx context.Context, t kv.Txn) (kv.TxnResult, error) {
	writes := func(op kv.Op) bool { return op.Kind != kv.OpGet }
	if slices.ContainsFunc(t.Then, writes) || slices.ContainsFunc(t.Else, writes) {
		return p.KV.Txn(ctx, t)
	}
	return again(ctx, func() (kv.TxnResult, error) { return p.KV.Txn(ctx, t) })
}

func again[R any](ctx context.Context, ask func() (R, error)) (R, error) {
	for deadline := time.Now().Add(patience); ; {
		got, err := ask()
		if !errors.Is(err, kv.ErrUnavailable) || ctx.Err() != nil || time.Now().After(deadline) {
			return got, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
