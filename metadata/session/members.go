package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
)

// relist is how often all registrations are read again: a watch that has died without a word is not believed for longer.
const (
	relist      = 15 * time.Second
	listTimeout = 5 * time.Second
)

// Members follows the registrations of all agents. While etcd does not answer it keeps the last it saw.
type Members struct {
	kv      kv.KV
	keys    layout.Etcd
	log     *slog.Logger
	current atomic.Pointer[map[layout.Session]Member]
	onEvent func()
}

// Member is one registration.
type Member struct {
	Session layout.Session
	Info    *pb.SessionInfo // shared, read-only
	Since   time.Time       // when this process first saw it
}

// NewMembers follows nothing before Run. onChange, which may be nil, is called after each change and must not block.
func NewMembers(store kv.KV, keys layout.Etcd, log *slog.Logger, onChange func()) *Members {
	m := &Members{kv: store, keys: keys, log: log, onEvent: onChange}
	m.current.Store(&map[layout.Session]Member{})
	return m
}

// All are the registrations by session. The map is shared, read-only.
func (m *Members) All() map[layout.Session]Member { return *m.current.Load() }

// Run follows until ctx ends. What fails is tried again, with pauses.
func (m *Members) Run(ctx context.Context) error {
	for pause := 100 * time.Millisecond; ctx.Err() == nil; {
		began := time.Now()
		err := m.follow(ctx)
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, kv.ErrCompacted) {
			m.log.Warn("members: watch ended", "error", err)
		}
		if time.Since(began) > 10*time.Second {
			pause = 100 * time.Millisecond
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, 3*time.Second)
	}
	return nil
}

func (m *Members) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	prefix := m.keys.SessionsPrefix()
	end := kv.PrefixEnd(prefix)
	listing, done := context.WithTimeout(ctx, listTimeout)
	res, err := m.kv.Range(listing, kv.RangeRequest{Key: prefix, End: end})
	done()
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	next := map[layout.Session]Member{}
	for _, x := range res.KVs {
		m.put(next, x)
	}
	m.publish(next)
	events := m.kv.Watch(ctx, kv.WatchRequest{Key: prefix, End: end, From: res.Header.Revision + 1})
	refresh := time.NewTimer(relist)
	defer refresh.Stop()
	for {
		var r kv.WatchResponse
		var ok bool
		select {
		case r, ok = <-events:
		case <-refresh.C:
			return nil
		}
		switch {
		case !ok:
			return kv.ErrUnavailable
		case r.Err != nil:
			return r.Err
		}
		if len(r.Events) == 0 {
			continue
		}
		next := make(map[layout.Session]Member, len(m.All())+1)
		for k, v := range m.All() {
			next[k] = v
		}
		for _, e := range r.Events {
			if e.Delete {
				if id, err := m.keys.ParseSessionKey(e.KV.Key); err == nil {
					delete(next, id)
				}
			} else {
				m.put(next, e.KV)
			}
		}
		m.publish(next)
	}
}

func (m *Members) put(to map[layout.Session]Member, x kv.KeyValue) {
	id, err := m.keys.ParseSessionKey(x.Key)
	if err != nil {
		m.log.Error("members: foreign key", "key", x.Key, "error", err)
		return
	}
	info := &pb.SessionInfo{}
	if err := proto.Unmarshal(x.Value, info); err != nil {
		m.log.Error("members: registration cannot be read", "session", id.String(), "error", err)
		return
	}
	since := time.Now()
	if old, ok := m.All()[id]; ok {
		since = old.Since
	}
	to[id] = Member{Session: id, Info: info, Since: since}
}

func (m *Members) publish(next map[layout.Session]Member) {
	m.current.Store(&next)
	if m.onEvent != nil {
		m.onEvent()
	}
}

// Gone reports, by a linearizable read, that a session's key is absent. Only then may its end be proposed.
func (m *Members) Gone(ctx context.Context, id layout.Session) (bool, error) {
	res, err := m.kv.Range(ctx, kv.RangeRequest{Key: m.keys.SessionKey(id)})
	if err != nil {
		return false, fmt.Errorf("read session %s: %w", id, err)
	}
	return len(res.KVs) == 0, nil
}
