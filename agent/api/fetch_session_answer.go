package api

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"wadi/agent/fetchsession"
	"wadi/metadata/state"
)

// finish makes the answer of what was found, unless the session went on without this request.
func (f *sessionFetch) finish(call *FetchCall) {
	s := f.session
	s.mu.Lock()
	f.reply.sessionID = s.mu.core.ID
	if s.mu.current != f {
		s.mu.Unlock()
		f.reply.code = kerr.InvalidFetchSessionEpoch.Code
		return
	}
	s.mu.current = nil
	f.tell(call)
	closed, size := s.mu.closed, s.size()
	s.mu.Unlock()
	switch {
	case closed:
		s.standing.Close()
	case f.opening:
		f.open(size)
	}
}

// open caches the session, now that its first answer is on its way. Nobody else knows of it yet.
func (f *sessionFetch) open(size fetchsession.Size) {
	s := f.session
	if f.ctx.Err() == nil { // else its client is gone
		if id, ok := f.api.sessions.add(s, size); ok {
			s.mu.Lock()
			s.mu.core.ID = id
			s.mu.Unlock()
			f.reply.sessionID = id
			return
		}
	}
	s.close()
}

// tell lists in the reply what the client does not know. It is called with the session's lock.
func (f *sessionFetch) tell(call *FetchCall) {
	core := f.session.mu.core
	listed := make([]fetchedPartition, 0, len(f.tags))
	var last uint32
	var lost []uint32
	for i, tag := range f.tags {
		p := core.At(tag)
		slot := fetchedPartition{index: p.Index, highWatermark: -1, lastStable: -1, logStart: -1, code: f.codes[i], listAborted: p.Number == 0}
		found := fetchsession.Found{Failed: true}
		if at := f.at[i]; at >= 0 {
			part := &call.Parts[at]
			slot.fill(part, call.ReadCommitted, f.reply.version)
			end := part.HighWatermark
			if call.ReadCommitted {
				end = part.LastStable
			}
			found.Failed, found.Records, found.More = slot.code != 0, len(slot.records) > 0, part.Offset < end
			if errors.Is(part.Err, ErrUnknownTopic) {
				slot.code = f.lost(tag)
				core.Unbind(tag)
				lost = append(lost, tag)
			}
		}
		found.Bounds = fetchsession.Bounds{High: slot.highWatermark, Stable: slot.lastStable, Start: slot.logStart}
		if !core.Tell(tag, found, f.opening) {
			continue
		}
		listed = append(listed, slot)
		if n := len(f.reply.topics); n == 0 || !core.SameTopic(tag, last) {
			t := core.Topic(tag)
			f.reply.topics = append(f.reply.topics, fetchedTopic{name: t.Name, id: t.ID, parts: listed[len(listed)-1:]})
		} else {
			t := &f.reply.topics[n-1]
			t.parts = t.parts[:len(t.parts)+1]
		}
		last = tag
	}
	if len(lost) > 0 {
		f.session.standing.Unfollow(lost)
	}
}

// lost is the code for a partition whose topic is gone.
func (f *sessionFetch) lost(tag uint32) (c int16) {
	f.api.d.View.Read(func(st *state.State) {
		_, err := f.session.find(st, f.session.mu.core.Topic(tag), true)
		if err == nil { // by name: there is another one. Its records are not what was asked for; the next poll reads them.
			err = ErrUnknownTopic
		}
		c = code(keyFetch, err)
	})
	return c
}
