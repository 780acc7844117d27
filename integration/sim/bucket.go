package sim

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"wadi/objstore"
)

var errBucket = errors.New("the bucket does not answer")

// bucket is the objects of one object store, and the uploads that are not finished.
type bucket struct {
	objects map[string][]byte
	stored  map[string]time.Time
	uploads []*upload
	begun   int // uploads so far
}

func newBucket() *bucket {
	return &bucket{objects: map[string][]byte{}, stored: map[string]time.Time{}}
}

func (b *bucket) put(key string, data []byte, now time.Time) error {
	if old, ok := b.objects[key]; ok {
		if string(old) != string(data) {
			return fmt.Errorf("%s: %w", key, objstore.ErrExists)
		}
		return nil
	}
	b.objects[key], b.stored[key] = data, now
	return nil
}

func (b *bucket) get(key string, off, length int64) ([]byte, error) {
	data, ok := b.objects[key]
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: %w", key, objstore.ErrNotFound)
	case length < 0:
		length = int64(len(data)) - off
	}
	if off < 0 || length < 0 || off+length > int64(len(data)) {
		return nil, fmt.Errorf("%s: %w", key, objstore.ErrRange)
	}
	return append([]byte(nil), data[off:off+length]...), nil
}

func (b *bucket) list(prefix, after string, limit int) (list []objstore.Info) {
	for k, v := range b.objects {
		if strings.HasPrefix(k, prefix) && k > after {
			list = append(list, objstore.Info{Key: k, Size: int64(len(v)), Modified: b.stored[k]})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Key < list[j].Key })
	return list[:min(len(list), limit)]
}

func (b *bucket) delete(keys []string) {
	for _, k := range keys {
		delete(b.objects, k)
		delete(b.stored, k)
	}
}

// bucketClient is one agent's way to the bucket: objstore.Store for the coroutine that calls it.
type bucketClient struct{ a *agent }

var _ objstore.Store = bucketClient{}

// call sends a request as etcdClient.call does. What a failed call was to do may happen later.
func (c bucketClient) call(name, key string, effect func() error) error {
	a, w := c.a, c.a.w
	f := &w.faults
	result, answered := fmt.Errorf("%s %s: %w", name, key, errBucket), false
	w.await(func(done func()) {
		answer := func(err error) {
			if !answered {
				answered, result = true, err
				done()
			}
		}
		there, back := w.between(2*time.Millisecond, 40*time.Millisecond)+w.current.slow, w.latency()
		if w.chance(f.bucketSlow) {
			there += w.between(0, 4*ttl)
			if strings.HasPrefix(name, "put") { // the grace is longer than any write takes
				there = min(there, w.grace-50*time.Millisecond)
			}
		}
		limit := 2 * ttl
		if w.chance(f.bucketError) {
			limit = w.between(time.Millisecond, there+back)
		}
		if !w.chance(f.bucketLost) && w.bucketUp {
			w.after(there, func() {
				err := effect()
				w.note("bucket agent=%d %s %s err=%v", a.id, name, key, err)
				w.after(back, func() { a.deliver(func() { answer(err) }) })
			})
		}
		failed := result
		a.after(limit, func() { answer(failed) })
	})
	return result
}

func (c bucketClient) Put(_ context.Context, key string, body objstore.Body) error {
	var data []byte
	for _, chunk := range body.Chunks {
		data = append(data, chunk...)
	}
	return c.call("put", key, func() error { return c.a.w.bucket.put(key, data, c.a.w.wall()) })
}

func (c bucketClient) Get(_ context.Context, key string, off, length int64) (data []byte, err error) {
	err = c.call("get", key, func() (err error) { data, err = c.a.w.bucket.get(key, off, length); return err })
	return data, err
}

func (c bucketClient) List(_ context.Context, prefix, after string, limit int) (list []objstore.Info, err error) {
	err = c.call("list", prefix, func() error { list = c.a.w.bucket.list(prefix, after, limit); return nil })
	return list, err
}

func (c bucketClient) Delete(_ context.Context, keys []string) error {
	return c.call("delete", keys[0], func() error {
		c.a.w.bucket.delete(keys)
		c.a.w.oracle.compactions.deleted(keys)
		return nil
	})
}

func (c bucketClient) Date(context.Context) (time.Time, error) { return c.a.w.wall(), nil }

// plainBucket reads without faults and without time, for the checks.
type plainBucket struct {
	b   *bucket
	now time.Time // of the store
}

func (p plainBucket) Put(context.Context, string, objstore.Body) error { return errBucket }
func (p plainBucket) Delete(context.Context, []string) error           { return errBucket }
func (p plainBucket) Date(context.Context) (time.Time, error)          { return p.now, nil }
func (p plainBucket) Get(_ context.Context, key string, off, length int64) ([]byte, error) {
	return p.b.get(key, off, length)
}
func (p plainBucket) List(_ context.Context, prefix, after string, limit int) ([]objstore.Info, error) {
	return p.b.list(prefix, after, limit), nil
}
