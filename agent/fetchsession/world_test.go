package fetchsession

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// world is what sessions read from: topics that come and go, of partitions in which every record is one byte long.
type world struct {
	topics map[uint64]*topicIn // by number
	next   uint64
	blind  bool // nobody knows whether there is something new
}

type topicIn struct {
	name  string
	id    [16]byte
	parts []Bounds
}

func (w *world) create(name string, partitions int) {
	if w.named(name) != 0 {
		return
	}
	w.next++
	t := &topicIn{name: name, id: [16]byte{byte(w.next)}, parts: make([]Bounds, partitions)}
	w.topics[w.next] = t
}

func (w *world) named(name string) uint64 {
	for n, t := range w.topics {
		if t.name == name {
			return n
		}
	}
	return 0
}

func (w *world) withID(id [16]byte) uint64 {
	for n, t := range w.topics {
		if t.id == id {
			return n
		}
	}
	return 0
}

// Codes of Kafka that the edge would choose.
const (
	outOfRange   = 1
	unknownTopic = 3
	notLeader    = 6
	unknownID    = 100
	anotherID    = 103
)

// resolve finds the topic of a request's or a session's entry. known is the name that its id once had.
func (w *world) resolve(byID bool, name string, id [16]byte, partition int32, known string) (number uint64, code int16) {
	if byID {
		if number, code = w.withID(id), unknownID; number == 0 && known != "" {
			if code = unknownTopic; w.named(known) != 0 {
				code = anotherID
			}
		}
	} else {
		number, code = w.named(name), unknownTopic
	}
	switch {
	case number == 0:
		return 0, code
	case partition < 0 || int(partition) >= len(w.topics[number].parts):
		return 0, unknownTopic
	}
	return number, 0
}

// request is what the answers depend on beside the partitions.
type request struct {
	committed bool
	max       int64
}

// found is one partition of an answer.
type found struct {
	topic     string // the name, or the id's first byte
	partition int32
	code      int16
	Bounds
	records int64
}

// reading is the making of one answer: partitions share its limit, and the first with records has one in any case.
type reading struct {
	w    *world
	r    request
	left int64
	got  bool
}

// at looks at one partition that is bound. gone says that its topic is not there any more.
func (x *reading) at(number uint64, partition int32, offset, limit int64) (f found, more, gone bool) {
	f = found{partition: partition, Bounds: unknown}
	t := x.w.topics[number]
	if t == nil {
		return f, false, true
	}
	f.Bounds = t.parts[partition]
	end := f.High
	if x.r.committed {
		end = f.Stable
	}
	switch {
	case offset < f.Start || offset > f.High:
		f.code = outOfRange
	case offset < end:
		f.records = max(0, min(end-offset, limit, x.left))
		if f.records == 0 && !x.got {
			f.records = 1
		}
		x.left -= f.records
		x.got = x.got || f.records > 0
		return f, true, false
	case x.w.blind:
		f.code = notLeader
	}
	return f, false, false
}

// twin is a session that looks at everything at every poll, as Apache Kafka's does.
type twin struct {
	byID  bool
	parts []*cachedPart // in the order of service
}

type cachedPart struct {
	name      string
	id        [16]byte
	partition int32
	offset    int64
	max       int32
	number    uint64
	known     string // the name when it was bound
	told      Bounds
}

func (s *twin) clone() *twin {
	c := &twin{byID: s.byID}
	for _, p := range s.parts {
		same := *p
		c.parts = append(c.parts, &same)
	}
	return c
}

func (s *twin) find(name string, id [16]byte, partition int32) int {
	for i, p := range s.parts {
		if p.partition == partition && (s.byID && p.id == id || !s.byID && p.name == name) {
			return i
		}
	}
	return -1
}

func (s *twin) update(req *kmsg.FetchRequest) {
	for _, t := range req.Topics {
		for _, in := range t.Partitions {
			i := s.find(t.Topic, t.TopicID, in.Partition)
			if i < 0 {
				i = len(s.parts)
				s.parts = append(s.parts, &cachedPart{name: t.Topic, id: t.TopicID, partition: in.Partition, told: unknown})
			}
			s.parts[i].offset, s.parts[i].max = in.FetchOffset, in.PartitionMaxBytes
		}
	}
	for _, t := range req.ForgottenTopics {
		for _, partition := range t.Partitions {
			if i := s.find(t.Topic, t.TopicID, partition); i >= 0 {
				s.parts = append(s.parts[:i:i], s.parts[i+1:]...)
			}
		}
	}
}

// answer looks at every partition and lists those with news.
func (s *twin) answer(w *world, r request, opening bool) (list []found) {
	x := &reading{w: w, r: r, left: r.max}
	var order, last []*cachedPart
	for _, p := range s.parts {
		f := found{partition: p.partition, Bounds: unknown}
		if p.number == 0 {
			p.number, f.code = w.resolve(s.byID, p.name, p.id, p.partition, p.known)
			if p.number != 0 {
				p.known = w.topics[p.number].name
			}
		}
		if p.number != 0 {
			var gone bool
			if f, _, gone = x.at(p.number, p.partition, p.offset, int64(p.max)); gone {
				p.number = 0
				if _, f.code = w.resolve(s.byID, p.name, p.id, p.partition, p.known); f.code == 0 {
					f.code = unknownTopic
				}
			}
		}
		if f.topic = p.name; s.byID {
			f.topic = fmt.Sprint(p.id[0])
		}
		if opening || f.code != 0 || f.records > 0 || f.Bounds != p.told {
			list = append(list, f)
		}
		if p.told = f.Bounds; f.code != 0 {
			p.told.High = -1
		}
		if f.records > 0 && !opening {
			last = append(last, p)
		} else {
			order = append(order, p)
		}
	}
	s.parts = append(order, last...)
	return list
}
