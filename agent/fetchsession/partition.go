package fetchsession

import (
	"cmp"
	"slices"
	"strings"
)

// Partition is what a session remembers of one. The epoch that a client fetched last and a follower's log start are not
// kept: history is never truncated, and there are no followers.
type Partition struct {
	Index       int32 // within its topic
	MaxBytes    int32
	LeaderEpoch int32
	Offset      int64  // where the client reads
	Number      uint64 // of the topic in State; 0 = not bound
	Code        int16  // why it is not bound, as Kafka says it

	topic uint32
	order uint64 // of service: rises
	told  Bounds // what the client knows

	live, news                bool
	known                     bool // it was bound once
	listedNews, listedUnbound bool // in these lists of the session
}

// Bounds of a partition: high watermark, last stable offset, log start; -1 where one is not known.
type Bounds struct{ High, Stable, Start int64 }

var unknown = Bounds{-1, -1, -1}

// At is the partition of a tag, Topic its topic. Both are valid until the next Update.
func (s *Session) At(tag uint32) *Partition { return &s.parts[tag] }

// Topic is the topic of a tag.
func (s *Session) Topic(tag uint32) *Topic { return &s.topics[s.parts[tag].topic] }

// SameTopic reports whether two tags are of one topic.
func (s *Session) SameTopic(a, b uint32) bool { return s.parts[a].topic == s.parts[b].topic }

// Bind calls find for every partition that is not bound; known tells that it once was. With a number the partition is
// bound, and its caller must follow it before State is read for it; else code is what the client gets. name is the
// topic's, for sessions with ids.
func (s *Session) Bind(find func(tag uint32, t *Topic, partition int32, known bool) (number uint64, name string, code int16)) {
	kept := s.unbound[:0]
	for _, tag := range s.unbound {
		p := &s.parts[tag]
		if !p.live || p.Number != 0 {
			p.listedUnbound = false
			continue
		}
		t := &s.topics[p.topic]
		var name string
		if p.Number, name, p.Code = find(tag, t, p.Index, p.known); p.Number == 0 {
			kept = append(kept, tag)
			continue
		}
		p.listedUnbound, p.known = false, true
		if s.ByID && t.Name != name {
			s.textBytes += len(name) - len(t.Name)
			t.Name = strings.Clone(name)
		}
	}
	s.unbound = kept
}

// Unbind says that a partition's topic is not in State any more. Its following must end.
func (s *Session) Unbind(tag uint32) { s.unbind(tag) }

func (s *Session) unbind(tag uint32) {
	p := &s.parts[tag]
	p.Number = 0
	if !p.listedUnbound {
		p.listedUnbound = true
		s.unbound = append(s.unbound, tag)
	}
}

// Mark makes a partition news: something touched it. Tags that are not in use are ignored.
func (s *Session) Mark(tag uint32) {
	if int(tag) >= len(s.parts) || !s.parts[tag].live {
		return
	}
	p := &s.parts[tag]
	p.news = true
	if !p.listedNews {
		p.listedNews = true
		s.news = append(s.news, tag)
	}
}

// MarkAll makes every partition news.
func (s *Session) MarkAll() {
	for tag := range s.parts {
		s.Mark(uint32(tag))
	}
}

// News are the tags of the partitions to look at, in the order of service. The slice is valid until the next Mark, News
// or Update.
func (s *Session) News() []uint32 {
	kept := s.news[:0]
	for _, tag := range s.news {
		if p := &s.parts[tag]; p.news {
			kept = append(kept, tag)
		} else {
			p.listedNews = false
		}
	}
	s.news = kept
	slices.SortFunc(kept, func(a, b uint32) int { return cmp.Compare(s.parts[a].order, s.parts[b].order) })
	return kept
}

// Found is what a look found at a partition.
type Found struct {
	Bounds
	Failed  bool // the client gets an error
	Records bool // the answer holds some
	More    bool // the look saw something to read at the client's offset, in the answer or not
}

// Tell takes note of what the answer says of a partition that is among the news, and reports whether it must be listed:
// when there are records, an error, or bounds that the client does not know. What has records comes last next time,
// except in the answer that opens the session, which lists everything and whose order stays (Kafka's rules both).
// What failed or has more to read stays news: a client that does not move on gets the same again.
func (s *Session) Tell(tag uint32, f Found, opening bool) (list bool) {
	p := &s.parts[tag]
	list = opening || f.Failed || f.Records || f.Bounds != p.told
	if p.told = f.Bounds; f.Failed {
		p.told.High = -1 // so that the client hears when it is over
	}
	if f.Records && !opening {
		p.order = s.nextOrder()
	}
	p.news = f.Failed || f.More
	return list
}
