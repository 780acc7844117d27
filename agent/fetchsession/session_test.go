package fetchsession

import (
	"errors"
	"math"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func requestOf(topic string, id [16]byte, partitions ...int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	in := kmsg.NewFetchRequestTopic()
	in.Topic, in.TopicID = topic, id
	for _, p := range partitions {
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition = p
		in.Partitions = append(in.Partitions, part)
	}
	req.Topics = append(req.Topics, in)
	return req
}

// Semantics lines 37, 40: epochs rise by one and wrap from the largest number to 1; a request of another one, or that names
// topics the other way, leaves the session as it is.
func TestEpochs(t *testing.T) {
	s := New(true, false)
	for _, e := range []struct {
		epoch int32
		byID  bool
		want  error
	}{
		{2, true, ErrEpoch}, {1, false, ErrNaming}, {1, true, nil}, {1, true, ErrEpoch}, {2, true, nil}, {-2, true, ErrEpoch},
	} {
		if err := s.Continue(e.epoch, e.byID, false); !errors.Is(err, e.want) {
			t.Errorf("epoch %d: %v, not %v", e.epoch, err, e.want)
		}
	}
	s.epoch = math.MaxInt32
	if err := s.Continue(math.MaxInt32, true, false); err != nil {
		t.Error(err)
	}
	if err := s.Continue(1, true, false); err != nil {
		t.Error("it does not wrap to 1:", err)
	}
}

// What comes twice counts as it comes last; forgetting wins over adding in one request, as in Kafka.
func TestUpdate(t *testing.T) {
	s := New(false, false)
	req := requestOf("t", [16]byte{}, 4, 5, 4)
	req.Topics[0].Partitions[0].FetchOffset, req.Topics[0].Partitions[2].FetchOffset = 1, 9
	s.Update(req)
	if s.Len() != 2 || s.At(s.News()[0]).Offset != 9 || s.At(s.News()[0]).Index != 4 {
		t.Errorf("%d partitions, %+v", s.Len(), s.At(s.News()[0]))
	}
	req = requestOf("u", [16]byte{}, 1)
	req.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "u", Partitions: []int32{1, 2}}, {Topic: "t", Partitions: []int32{4}}, {Topic: "v"}}
	if gone := s.Update(req); len(gone) != 2 || s.Len() != 1 {
		t.Errorf("%v forgotten, %d left", gone, s.Len())
	}
}

// Bytes must not be less than what a session really takes: it bounds memory. The view's share is not in this measure.
func TestBytesIsNoUnderstatement(t *testing.T) {
	const sessions, partitions = 20, 1000
	var numbers []int32
	for p := range int32(partitions) {
		numbers = append(numbers, p)
	}
	req := requestOf("", [16]byte{1}, numbers...)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var all []*Session
	for range sessions {
		s := New(true, false)
		s.Update(req)
		s.News()
		all = append(all, s)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	real, said := int(after.HeapAlloc-before.HeapAlloc)/sessions, all[0].Bytes()
	t.Logf("%d bytes a partition, %d said", real/partitions, said/partitions)
	const viewsShare = 48 + 8 + 32 // node, pointer by tag, slot in a map when nobody else follows
	if real+partitions*viewsShare > said {
		t.Errorf("a session of %d partitions takes %d bytes and says %d", partitions, real, said)
	}
	runtime.KeepAlive(all)
}

// What lies between the last stable offset and the high watermark is news to a reader that no longer minds.
func TestIsolationMakesNews(t *testing.T) {
	s := New(true, true)
	s.Update(requestOf("", [16]byte{1}, 0, 1, 2))
	for _, tag := range s.News() {
		s.Tell(tag, Found{}, true)
	}
	for i, e := range []struct {
		committed bool
		news      int
	}{{true, 0}, {false, 3}, {true, 3}} {
		if err := s.Continue(int32(i+1), true, e.committed); err != nil || len(s.News()) != e.news {
			t.Errorf("%v, %d are news, not %d", err, len(s.News()), e.news)
		}
	}
}

// A tag that is used again while it is still among the news comes once.
func TestTagsAreUsedAgain(t *testing.T) {
	s := New(false, false)
	s.Update(requestOf("t", [16]byte{}, 0))
	for p := int32(1); p < 5; p++ {
		req := requestOf("t", [16]byte{}, p)
		req.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "t", Partitions: []int32{p - 1}}}
		s.Update(req)
	}
	calls := 0
	s.Bind(func(uint32, *Topic, int32, bool) (uint64, string, int16) { calls++; return 0, "", 3 })
	if len(s.News()) != 1 || calls != 1 {
		t.Fatalf("%d are news, %d to bind", len(s.News()), calls)
	}
	if len(s.parts) != 2 {
		t.Errorf("room for %d", len(s.parts))
	}
}
