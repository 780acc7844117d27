package api

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/fetchsession"
)

// fetchSessions are the fetch sessions of this agent (KIP-227). They end with it: clients open new ones.
type fetchSessions struct {
	mu struct {
		sync.Mutex
		cache     *fetchsession.Cache[*fetchSession]
		evictions uint64
	}
}

func newFetchSessions(l fetchsession.Limits) *fetchSessions {
	if l == (fetchsession.Limits{}) {
		l = fetchsession.DefaultLimits()
	}
	s := &fetchSessions{}
	s.mu.cache = fetchsession.NewCache[*fetchSession](l)
	return s
}

// FetchSessionStats are figures of the open fetch sessions; Evictions is a counter.
type FetchSessionStats struct {
	Sessions, Partitions int
	Evictions            uint64
}

// FetchSessions tells of the open fetch sessions.
func (a *API) FetchSessions() FetchSessionStats {
	s := a.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	return FetchSessionStats{s.mu.cache.Len(), s.mu.cache.Total().Partitions, s.mu.evictions}
}

func (s *fetchSessions) get(id int32) (*fetchSession, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.cache.Get(id)
}

func (s *fetchSessions) fits(size fetchsession.Size) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.cache.Fits(size, time.Now())
}

func (s *fetchSessions) add(x *fetchSession, size fetchsession.Size) (id int32, ok bool) {
	s.mu.Lock()
	id, evicted, ok := s.mu.cache.Add(rand.Int32, x, size, time.Now())
	s.mu.evictions += uint64(len(evicted))
	s.mu.Unlock()
	closeAll(evicted)
	return id, ok
}

func (s *fetchSessions) touch(id int32, size fetchsession.Size) (ok bool) {
	s.mu.Lock()
	evicted, ok := s.mu.cache.Touch(id, size, time.Now())
	s.mu.evictions += uint64(len(evicted))
	s.mu.Unlock()
	closeAll(evicted)
	return ok
}

func (s *fetchSessions) close(id int32) {
	s.mu.Lock()
	x, ok := s.mu.cache.Remove(id)
	s.mu.Unlock()
	if ok {
		x.close()
	}
}

func closeAll(list []*fetchSession) {
	for _, x := range list {
		x.close()
	}
}

// fetchSession is a session with what follows its partitions.
type fetchSession struct {
	standing Standing
	mu       struct {
		sync.Mutex
		core    *fetchsession.Session
		current *sessionFetch // the request that took it up last, until it is answered
		closed  bool          // not in the cache any more
		touched []uint32      // scratch
	}
}

// close ends the following, as soon as no request needs it: one under way is still answered (as Kafka does).
func (s *fetchSession) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closed = true
	if s.mu.current == nil {
		s.standing.Close()
	}
}

func (s *fetchSession) size() fetchsession.Size {
	return fetchsession.Size{Partitions: s.mu.core.Len(), Bytes: s.mu.core.Bytes()}
}

// errSessionClosed: another request closed the session, or it gave way to another.
var errSessionClosed = errors.New("fetch session closed")

// take makes f the session's request. One that is still under way, from another connection, has lost the session and is
// answered now: its epoch is over.
func (s *fetchSession) take(f *sessionFetch, body *kmsg.FetchRequest) (fetchsession.Size, error) {
	s.mu.Lock()
	if s.mu.closed { // since it was looked up: nothing follows its partitions any more
		s.mu.Unlock()
		return fetchsession.Size{}, errSessionClosed
	}
	if err := s.mu.core.Continue(body.SessionEpoch, f.reply.version >= 13, body.IsolationLevel == 1); err != nil {
		s.mu.Unlock()
		return fetchsession.Size{}, err
	}
	if forgotten := s.mu.core.Update(body); len(forgotten) > 0 {
		s.standing.Unfollow(forgotten)
	}
	var wake func()
	if s.mu.current != nil {
		wake = s.mu.current.wake
	}
	s.mu.current = f
	size := s.size()
	s.mu.Unlock()
	if wake != nil {
		wake()
	}
	return size, nil
}

// leave gives the session up before anything was read.
func (s *fetchSession) leave(f *sessionFetch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.current == f {
		s.mu.current = nil
	}
}
