package sim

import (
	"context"
	"fmt"
	"time"

	"wadi/metadata/kv"
)

// etcdClient is one agent's way to etcd: kv.KV for the coroutine that calls it. Its requests take time both ways, and are
// lost, late or refused as the faults of the moment want.
type etcdClient struct{ a *agent }

var _ kv.KV = etcdClient{}

// call sends a request. effect runs when etcd takes it, if it does; that may be long after the caller gave up, which it
// does at limit at the latest.
func (c etcdClient) call(name string, limit time.Duration, effect func() error) error {
	a, w := c.a, c.a.w
	f := &w.faults
	result, answered := fmt.Errorf("%s: %w: no answer in time", name, kv.ErrUnavailable), false
	w.await(func(done func()) {
		answer := func(err error) {
			if !answered {
				answered, result = true, err
				done()
			}
		}
		if (!w.etcdUp || a.cut) && w.chance(0.5) {
			err := fmt.Errorf("%s: %w: connection refused", name, kv.ErrUnavailable)
			a.after(w.latency(), func() { answer(err) })
			return
		}
		there, back, late := w.latency()+w.current.slow, w.latency(), w.chance(f.late)
		if late { // it lies in a buffer somewhere
			there += w.between(0, 3*ttl)
		}
		if !w.chance(f.requestLost) {
			mute := w.chance(f.answerLost)
			w.after(there, func() {
				if !w.etcdUp || a.cut && !late {
					return
				}
				w.expireLeases()
				err := effect()
				w.note("etcd agent=%d %s rev=%d err=%v", a.id, name, w.etcd.Revision(), err)
				w.afterEtcd()
				if mute {
					return
				}
				w.after(back, func() {
					if w.etcdUp && !a.cut {
						a.deliver(func() { answer(err) })
					}
				})
			})
		}
		// A broken connection shows early, silence at the deadline.
		if w.chance(0.3) {
			limit = w.between(min(limit, there+back), limit+there+back)
		}
		timeout := result
		a.after(limit, func() { answer(timeout) })
	})
	return result
}

func (c etcdClient) Txn(_ context.Context, t kv.Txn) (res kv.TxnResult, err error) {
	err = c.call("txn", ttl, func() (err error) { res, err = c.a.w.etcd.Txn(t); return err })
	return res, err
}

func (c etcdClient) Range(_ context.Context, r kv.RangeRequest) (res kv.RangeResult, err error) {
	err = c.call("range", ttl, func() (err error) { res, err = c.a.w.etcd.Range(r); return err })
	return res, err
}

func (c etcdClient) Grant(_ context.Context, seconds int64) (lease int64, err error) {
	w := c.a.w
	err = c.call("grant", ttl, func() (err error) { lease, err = w.etcd.Grant(w.wall(), seconds); return err })
	return lease, err
}

func (c etcdClient) KeepAlive(_ context.Context, lease int64) (seconds int64, err error) {
	w := c.a.w
	err = c.call("keepalive", ttl/3, func() (err error) { seconds, err = w.etcd.KeepAlive(w.wall(), lease); return err })
	return seconds, err
}

func (c etcdClient) Revoke(_ context.Context, lease int64) error {
	return c.call("revoke", ttl, func() error { return c.a.w.etcd.Revoke(lease) })
}

func (c etcdClient) Compact(_ context.Context, revision int64) error {
	return c.call("compact", ttl, func() error { return c.a.w.etcd.Compact(revision) })
}

func (c etcdClient) Status(context.Context) (kv.Status, error) { return c.a.w.etcd.Status(), nil }
func (c etcdClient) Close() error                              { return nil }

// Watch is not used: the simulator reads the store's history itself (watch.go).
func (c etcdClient) Watch(context.Context, kv.WatchRequest) <-chan kv.WatchResponse {
	panic("sim: watches do not go through the client")
}

// expireLeases ends what is over, as etcd does by itself.
func (w *World) expireLeases() {
	for _, id := range w.etcd.Expire(w.wall()) {
		w.note("lease %x expired", id)
		w.afterEtcd()
	}
}
