// Package fault decorates an objstore.Store with scripted faults, with the latency of a real service and with a
// transcript of every call. It belongs to tests and benchmarks: a fault fires on the nth call that matches an operation
// and a part of a key, before the call has had its effect or after it.
//
// Time passes in an injected sleeper only. The default waits on a timer, which is virtual inside testing/synctest; a
// simulation with its own event loop passes its own or leaves latency out.
package fault

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"wadi/objstore"
)

// ErrInjected is what a fault fails with unless it names another error.
var ErrInjected = errors.New("injected fault")

// Op is one of the calls of objstore.Store.
type Op string

// The calls. The empty Op of a Fault matches all of them.
const (
	Put    Op = "put"
	Get    Op = "get"
	List   Op = "list"
	Delete Op = "delete"
	Date   Op = "date"

	Begin    Op = "begin"
	PutPart  Op = "part"
	Complete Op = "complete"
	Abandon  Op = "abandon"
	Uploads  Op = "uploads"
)

func (o Op) writes() bool {
	switch o {
	case Get, List, Date, Uploads:
		return false
	}
	return true
}

// Call is one call as the caller made it.
type Call struct {
	N      int // in order of start, from 1
	Op     Op
	Key    string // the prefix of a List or Uploads, the first key of a Delete
	Keys   []string
	Off    int64 // of a Get
	Length int64 // of a Get: as asked for; of a Put or PutPart: the body's size
	Part   int   // of a PutPart: its number; of a Complete: how many there are
}

// Fault says what happens to which calls. The zero values of its conditions match every call.
type Fault struct {
	Op    Op
	Key   string // a part of the key, or of one of a Delete's keys
	Nth   int    // the first call it happens to, of those that match, from 1; 0 is 1
	Times int    // on how many calls in a row; 0 is once, negative is for ever
	Do    Effect
}

// Store is a decorated objstore.Store. Make it with New. Faults may be scripted at any time.
type Store struct {
	inner   objstore.Store
	latency *latency
	mu      struct {
		sync.Mutex
		calls      int
		faults     []*Armed
		transcript []Record
		limit      int
	}
}

var _ objstore.Store = (*Store)(nil)

// Option changes a new Store.
type Option func(*Store)

// New decorates inner. Without options and faults it changes nothing.
func New(inner objstore.Store, opts ...Option) *Store {
	s := &Store{inner: inner}
	for _, o := range opts {
		o(s)
	}
	return s
}

// Armed is a Fault at work.
type Armed struct {
	store *Store
	fault Fault
	seen  int // matching calls, guarded by store.mu
	fired int
}

// Script arms a fault. Of several that match one call all happen, in the order in which they were scripted.
func (s *Store) Script(f Fault) *Armed {
	a := &Armed{store: s, fault: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.faults = append(s.mu.faults, a)
	return a
}

// Fired is how often the fault has happened. Zero after a whole run means that there is no nth call any more.
func (a *Armed) Fired() int {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	return a.fired
}

// Disarm ends the fault. Calls that it has already reached keep it.
func (a *Armed) Disarm() {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	for i, other := range a.store.mu.faults {
		if other == a {
			a.store.mu.faults = append(a.store.mu.faults[:i:i], a.store.mu.faults[i+1:]...)
			return
		}
	}
}

// matchLocked counts the call and says whether it is the fault's turn.
func (a *Armed) matchLocked(c Call) bool {
	f := a.fault
	if f.Op != "" && f.Op != c.Op || !c.matches(f.Key) {
		return false
	}
	a.seen++
	first, times := max(f.Nth, 1), f.Times
	if times == 0 {
		times = 1
	}
	if a.seen < first || times > 0 && a.seen >= first+times {
		return false
	}
	a.fired++
	return true
}

func (c Call) matches(part string) bool {
	if strings.Contains(c.Key, part) {
		return true
	}
	for _, k := range c.Keys {
		if strings.Contains(k, part) {
			return true
		}
	}
	return false
}

// Put passes the body on.
func (s *Store) Put(ctx context.Context, key string, body objstore.Body) error {
	a := s.begin(Call{Op: Put, Key: key, Length: body.Size()})
	err := a.around(ctx, 0, func() (int64, error) { return body.Size(), s.inner.Put(ctx, key, body) })
	return a.end(err)
}

// Get passes the bytes on, or what the faults make of them.
func (s *Store) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	a := s.begin(Call{Op: Get, Key: key, Off: off, Length: length})
	var data []byte
	err := a.around(ctx, 1, func() (n int64, err error) {
		data, err = s.inner.Get(ctx, key, off, length)
		for _, e := range a.effects {
			if e.mangle != nil && err == nil {
				data = e.mangle(data)
			}
		}
		return int64(len(data)), err
	})
	if err != nil {
		data = nil
	}
	return data, a.end(err)
}

// List passes the objects on.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, error) {
	a := s.begin(Call{Op: List, Key: prefix})
	var infos []objstore.Info
	err := a.around(ctx, 1, func() (n int64, err error) {
		infos, err = s.inner.List(ctx, prefix, after, limit)
		return int64(len(infos)), err
	})
	if err != nil {
		infos = nil
	}
	return infos, a.end(err)
}

// Delete passes the keys on.
func (s *Store) Delete(ctx context.Context, keys []string) error {
	c := Call{Op: Delete, Keys: keys}
	if len(keys) > 0 {
		c.Key = keys[0]
	}
	a := s.begin(c)
	err := a.around(ctx, 0, func() (int64, error) { return int64(len(keys)), s.inner.Delete(ctx, keys) })
	return a.end(err)
}

// Date passes the date on.
func (s *Store) Date(ctx context.Context) (time.Time, error) {
	a := s.begin(Call{Op: Date})
	var date time.Time
	err := a.around(ctx, 1, func() (n int64, err error) {
		date, err = s.inner.Date(ctx)
		return 0, err
	})
	if err != nil {
		date = time.Time{}
	}
	return date, a.end(err)
}

// Close closes the inner store.
func (s *Store) Close() error { return objstore.Close(s.inner) }
