package sim

import (
	"context"
	"time"

	"wadi/metadata/kv"
	"wadi/objstore"
)

// Hit is what befalls one call of a compactor, of all that a run makes.
type Hit struct {
	Call int // which one, from 1; 0 = none
	How  Harm
}

// Harm is how a call is hit.
type Harm int

const (
	KilledBefore Harm = iota // its process ends before the call
	KilledAfter              // and before it hears of the answer
	Fails
	LosesAnswer
	Harms // how many there are
)

func (h Harm) String() string {
	return [...]string{"killed before", "killed after", "fails", "loses its answer"}[h]
}

// hit makes a call of an agent's compactor, unless it is the one that is hit.
func (a *agent) hit(name string, call func() error) error {
	w := a.w
	w.stats.Calls++
	if w.stats.Calls != w.opts.Hit.Call {
		return call()
	}
	w.note("agent=%d %s is hit: %s", a.id, name, w.opts.Hit.How)
	w.stats.Hits++
	switch how := w.opts.Hit.How; how {
	case Fails:
		return errBucket
	case KilledBefore, KilledAfter:
		if how == KilledAfter {
			_ = call() // nobody hears of it
		}
		life := a.life
		w.after(0, func() {
			if life == a.life {
				a.crash()
				w.after(w.between(0, ttl), a.start)
			}
		})
		w.await(func(func()) {})
	}
	if err := call(); err != nil {
		return err
	}
	return errBucket
}

// workerStore is the bucket as tasks have it.
type workerStore struct{ bucketClient }

func (s workerStore) Put(ctx context.Context, key string, body objstore.Body) error {
	return s.a.hit("put", func() error { return s.bucketClient.Put(ctx, key, body) })
}

func (s workerStore) Get(ctx context.Context, key string, off, length int64) (data []byte, err error) {
	err = s.a.hit("get", func() error { data, err = s.bucketClient.Get(ctx, key, off, length); return err })
	return data, err
}

func (s workerStore) List(ctx context.Context, prefix, after string, limit int) (list []objstore.Info, err error) {
	err = s.a.hit("list", func() error { list, err = s.bucketClient.List(ctx, prefix, after, limit); return err })
	return list, err
}

func (s workerStore) Delete(ctx context.Context, keys []string) error {
	if s.a.clockless {
		s.a.w.violated("agent %d deletes objects without a clock", s.a.id)
	}
	return s.a.hit("delete", func() error { return s.bucketClient.Delete(ctx, keys) })
}

func (s workerStore) Date(ctx context.Context) (at time.Time, err error) {
	err = s.a.hit("date", func() error { at, err = s.bucketClient.Date(ctx); return err })
	return at, err
}

// workerKV is etcd as tasks have it.
type workerKV struct{ etcdClient }

func (x workerKV) Range(ctx context.Context, r kv.RangeRequest) (res kv.RangeResult, err error) {
	err = x.a.hit("range", func() error { res, err = x.etcdClient.Range(ctx, r); return err })
	return res, err
}
