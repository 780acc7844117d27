package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/fetchsession"
	"wadi/agent/server"
	"wadi/metadata/state"
	"wadi/metadata/view"
)

// sessionFetch is one request of a session on its way. It implements FetchSession.
type sessionFetch struct {
	api     *API
	ctx     context.Context
	session *fetchSession
	opening bool
	reply   *fetchReply

	// Of the last Parts, guarded by the session's lock.
	tags   []uint32 // news, in the order of service
	at     []int32  // where each is in parts; -1 = nowhere, its code is known
	codes  []int16  // only where at is -1
	parts  []FetchPart
	failed bool
	wake   func()
}

// openSession answers a full fetch that asks for a session. When there is no room for it, the answer says so with id 0.
func (a *API) openSession(ctx context.Context, req *server.Request, body *kmsg.FetchRequest) {
	core := fetchsession.New(req.Version >= 13, body.IsolationLevel == 1)
	core.Update(body)
	s := &fetchSession{}
	s.mu.core = core
	if !a.sessions.fits(s.size()) {
		a.fetchAlone(ctx, req, body)
		return
	}
	s.standing = a.d.View.Stand()
	f := &sessionFetch{api: a, ctx: ctx, session: s, opening: true, reply: &fetchReply{version: req.Version}}
	s.mu.current = f
	a.fetchInSession(ctx, req, body, f)
}

// continueSession answers an incremental fetch.
func (a *API) continueSession(ctx context.Context, req *server.Request, body *kmsg.FetchRequest) {
	s, ok := a.sessions.get(body.SessionID)
	if !ok {
		req.ReplyEncoded(&fetchReply{version: req.Version, code: kerr.FetchSessionIDNotFound.Code})
		return
	}
	f := &sessionFetch{api: a, ctx: ctx, session: s, reply: &fetchReply{version: req.Version}}
	size, err := s.take(f, body)
	switch {
	case err != nil:
		f.reply.code = sessionCode(err)
		req.ReplyEncoded(f.reply)
	case size.Partitions == 0:
		// Nothing is left in it: it ends, and the request is answered as one without a session (as Kafka does).
		s.leave(f)
		a.sessions.close(body.SessionID)
		a.fetchAlone(ctx, req, body)
	case !a.sessions.touch(body.SessionID, size):
		s.leave(f)
		s.close()
		f.reply.code = kerr.FetchSessionIDNotFound.Code
		req.ReplyEncoded(f.reply)
	default:
		a.fetchInSession(ctx, req, body, f)
	}
}

func sessionCode(err error) int16 {
	switch {
	case errors.Is(err, errSessionClosed):
		return kerr.FetchSessionIDNotFound.Code
	case errors.Is(err, fetchsession.ErrEpoch):
		return kerr.InvalidFetchSessionEpoch.Code
	case errors.Is(err, fetchsession.ErrNaming):
		return kerr.FetchSessionTopicIDError.Code
	}
	return kerr.UnknownServerError.Code
}

func (a *API) fetchInSession(ctx context.Context, req *server.Request, body *kmsg.FetchRequest, f *sessionFetch) {
	if !f.bind(nil) {
		a.readInSession(ctx, req, body, f)
		return
	}
	// A barrier may be needed to call a topic unknown. The reader does not wait for it.
	req.Go(func() {
		f.bind(a.barrier(ctx))
		a.readInSession(ctx, req, body, f)
	})
}

// bind looks up the topics of what is not bound yet, and follows what is found: before State is read for it.
func (f *sessionFetch) bind(barrier error) (missing bool) {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	var refs []view.PartitionRef
	var tags []uint32
	f.api.d.View.Read(func(st *state.State) {
		var last *fetchsession.Topic
		var topic *state.Topic
		var unknown error
		s.mu.core.Bind(func(tag uint32, t *fetchsession.Topic, partition int32, known bool) (uint64, string, int16) {
			if t != last || unknown != nil {
				last = t
				topic, unknown = s.find(st, t, known)
			}
			err := unknown
			if err == nil && topic.Partition(partition) == nil {
				err = ErrUnknownTopic
			}
			if err != nil {
				missing = true
				return 0, "", code(keyFetch, either(barrier, err))
			}
			refs = append(refs, view.PartitionRef{Topic: topic.Number, Partition: partition})
			tags = append(tags, tag)
			return topic.Number, topic.Name, 0
		})
	})
	if len(tags) > 0 {
		s.standing.Follow(refs, tags)
	}
	return missing
}

// find looks up a topic. An id under which a partition was known is told apart from one that was not, as Kafka does: its
// topic was deleted (UNKNOWN_TOPIC_OR_PARTITION), or created anew (INCONSISTENT_TOPIC_ID).
func (s *fetchSession) find(st *state.State, t *fetchsession.Topic, known bool) (*state.Topic, error) {
	topic, err := topicRef{name: t.Name, id: t.ID, byID: s.mu.core.ByID}.find(st)
	switch {
	case err == nil || !s.mu.core.ByID || !known:
		return topic, err
	case st.Topic(t.Name) != nil:
		return nil, errAnotherID
	}
	return nil, ErrUnknownTopic
}

// Parts implements FetchSession.
func (f *sessionFetch) Parts(all bool) (parts []FetchPart, wait bool) {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.current != f {
		return nil, false
	}
	core := s.mu.core
	if all {
		core.MarkAll()
	}
	s.mu.touched = s.standing.Take(s.mu.touched[:0])
	for _, tag := range s.mu.touched {
		core.Mark(tag)
	}
	f.tags, f.parts, f.at, f.codes, f.failed = core.News(), f.parts[:0], f.at[:0], f.codes[:0], false
	if cap(f.parts) < len(f.tags) {
		f.parts, f.at, f.codes = make([]FetchPart, 0, len(f.tags)), make([]int32, 0, len(f.tags)), make([]int16, 0, len(f.tags))
	}
	for _, tag := range f.tags {
		p := core.At(tag)
		c := p.Code
		if p.Number != 0 {
			c = code(keyFetch, checkFetchEpoch(p.LeaderEpoch))
		}
		f.codes = append(f.codes, c)
		if c != 0 {
			f.at, f.failed = append(f.at, -1), true
			continue
		}
		f.at = append(f.at, int32(len(f.parts)))
		f.parts = append(f.parts, FetchPart{
			Topic: p.Number, Partition: p.Index, Offset: p.Offset, MaxBytes: int(max(0, p.MaxBytes)),
			HighWatermark: -1, LastStable: -1, LogStart: -1,
		})
	}
	return f.parts, !f.failed && core.Len() > 0
}

// Wake implements FetchSession.
func (f *sessionFetch) Wake(wake func()) (now bool) {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	f.wake = wake
	if s.mu.current != f {
		return wake != nil // there is an answer: the session went on
	}
	return s.standing.Wake(wake)
}
