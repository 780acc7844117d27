package fetchsession

import (
	"errors"
	"math"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Why a request cannot continue a session.
var (
	// ErrEpoch: the request is not the next one of the session.
	ErrEpoch = errors.New("not the next epoch of the fetch session")
	// ErrNaming: the session names topics by id and the request by name, or the other way round.
	ErrNaming = errors.New("the fetch session names topics in another way")
)

// Session is what an agent remembers between the polls of one reader. Each of its partitions has a tag, a small number
// that is its own until it is forgotten. A Session must be used by one goroutine at a time.
type Session struct {
	// ID is set when the session is cached. Until then it is 0, which is no session.
	ID   int32
	ByID bool // topics come by id, which is so from version 13 on

	epoch     int32 // of the request that comes next
	committed bool  // isolation of the last request

	topics     []Topic
	names      map[string]uint32
	ids        map[[16]byte]uint32
	freeTopics []uint32
	textBytes  int

	parts   []Partition // by tag
	index   map[place]uint32
	free    []uint32 // tags
	live    int
	unbound []uint32 // tags of those without a number, and of some that have one by now
	news    []uint32 // tags of those to look at, and of some that are not by now
	orders  uint64
}

// place is a partition's key: topics are numbered within the session, since names and ids are long.
type place struct {
	topic     uint32
	partition int32
}

// Topic is a topic as a session's requests name it.
type Topic struct {
	Name string // with ids the name that the id had when a partition was bound, "" before that
	ID   [16]byte

	partitions int
}

// New makes a session as a request opens it: the next request has epoch 1.
func New(byID, committed bool) *Session {
	s := &Session{ByID: byID, epoch: 1, committed: committed, index: map[place]uint32{}}
	if byID {
		s.ids = map[[16]byte]uint32{}
	} else {
		s.names = map[string]uint32{}
	}
	return s
}

// Continue takes up the session for a request, or says why it cannot (ErrEpoch, ErrNaming), which leaves it as it was.
// Another isolation level makes every partition news.
func (s *Session) Continue(epoch int32, byID, committed bool) error {
	switch {
	case epoch != s.epoch:
		return ErrEpoch
	case byID != s.ByID:
		return ErrNaming
	}
	if s.epoch++; epoch == math.MaxInt32 {
		s.epoch = 1
	}
	if committed != s.committed {
		s.committed = committed
		s.MarkAll()
	}
	return nil
}

// Len is the number of partitions, Bytes about what they take in memory, with what follows them in the view.
func (s *Session) Len() int { return s.live }

// Bytes: see Len. Forgotten partitions count as long as their room is kept.
func (s *Session) Bytes() int {
	return sessionBytes + len(s.parts)*partitionBytes + len(s.topics)*topicBytes + s.textBytes
}

// What one costs, with its map entries: measured, and rounded up.
const (
	sessionBytes   = 1 << 10
	topicBytes     = 128
	partitionBytes = 256
)

// Update takes over what a request says of its partitions; what it names twice counts as it comes last (Kafka does the
// same). Those that are new come behind the others. It returns the tags that were forgotten, whose following must end.
func (s *Session) Update(req *kmsg.FetchRequest) (forgotten []uint32) {
	for i := range req.Topics {
		in := &req.Topics[i]
		if len(in.Partitions) == 0 {
			continue
		}
		t := s.topic(in.Topic, in.TopicID)
		for j := range in.Partitions {
			s.put(t, &in.Partitions[j])
		}
	}
	for i := range req.ForgottenTopics {
		in := &req.ForgottenTopics[i]
		t, known := s.find(in.Topic, in.TopicID)
		for j := 0; known && j < len(in.Partitions); j++ {
			at := place{t, in.Partitions[j]}
			if tag, ok := s.index[at]; ok {
				s.forget(at, tag)
				forgotten = append(forgotten, tag)
			}
		}
	}
	return forgotten
}

func (s *Session) find(name string, id [16]byte) (t uint32, known bool) {
	if s.ByID {
		t, known = s.ids[id]
	} else {
		t, known = s.names[name]
	}
	return t, known
}

// topic returns the number of a topic within the session. Its name is copied, as the request's lies in its frame.
func (s *Session) topic(name string, id [16]byte) uint32 {
	t, known := s.find(name, id)
	if known {
		return t
	}
	if n := len(s.freeTopics); n > 0 {
		t, s.freeTopics = s.freeTopics[n-1], s.freeTopics[:n-1]
	} else {
		t = uint32(len(s.topics))
		s.topics = append(s.topics, Topic{})
	}
	if s.ByID {
		s.topics[t] = Topic{ID: id}
		s.ids[id] = t
	} else {
		s.topics[t] = Topic{Name: strings.Clone(name)}
		s.names[s.topics[t].Name] = t
		s.textBytes += len(name)
	}
	return t
}

func (s *Session) put(t uint32, in *kmsg.FetchRequestTopicPartition) {
	at := place{t, in.Partition}
	tag, known := s.index[at]
	if !known {
		tag = s.add(at)
	}
	p := &s.parts[tag]
	p.Offset, p.MaxBytes, p.LeaderEpoch = in.FetchOffset, in.PartitionMaxBytes, in.CurrentLeaderEpoch
	s.Mark(tag)
}

func (s *Session) add(at place) (tag uint32) {
	if n := len(s.free); n > 0 {
		tag, s.free = s.free[n-1], s.free[:n-1]
	} else {
		tag = uint32(len(s.parts))
		s.parts = append(s.parts, Partition{})
	}
	p := &s.parts[tag]
	*p = Partition{
		topic: at.topic, Index: at.partition, told: unknown, order: s.nextOrder(), live: true,
		listedNews: p.listedNews, listedUnbound: p.listedUnbound,
	}
	s.index[at] = tag
	s.live++
	s.topics[at.topic].partitions++
	s.unbind(tag)
	return tag
}

func (s *Session) forget(at place, tag uint32) {
	p := &s.parts[tag]
	p.live, p.news, p.Number = false, false, 0
	delete(s.index, at)
	s.free = append(s.free, tag)
	s.live--
	t := &s.topics[at.topic]
	if t.partitions--; t.partitions > 0 {
		return
	}
	if s.ByID {
		delete(s.ids, t.ID)
	} else {
		delete(s.names, t.Name)
		s.textBytes -= len(t.Name)
	}
	s.freeTopics = append(s.freeTopics, at.topic)
}

func (s *Session) nextOrder() uint64 {
	s.orders++
	return s.orders
}
