package differential

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Script is one run of a case: a conversation with one broker in one version. Its methods end the run by a panic that
// run catches, so that cases read as what they send.
type Script struct {
	Version int16

	broker *broker
	prefix string // of topic names
	conn   *conn
	names  naming
	said   []answer

	lag lag // see settle_test.go
}

// answer is what a step of the conversation showed.
type answer struct {
	label string
	shape *node
}

// topic is a topic that a Script created.
type topic struct {
	name string
	id   [16]byte
}

// trouble ends a run.
type trouble struct{ err error }

func (s *Script) fail(format string, args ...any) { panic(trouble{fmt.Errorf(format, args...)}) }

// run holds the conversation. The error is one of the harness or of what had to work first.
func (s *Script) run(talk func(*Script)) (err error) {
	defer func() {
		s.hangUp()
		if r := recover(); r != nil {
			t, ok := r.(trouble)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%s: %w", s.broker.name, t.err)
		}
	}()
	talk(s)
	return nil
}

func (s *Script) dialed() *conn {
	if s.conn == nil {
		c, err := dial(s.broker.address)
		if err != nil {
			s.fail("dial: %w", err)
		}
		s.conn = c
	}
	return s.conn
}

// hangUp ends the connection; the next request opens another.
func (s *Script) hangUp() {
	if s.conn != nil {
		s.conn.nc.Close()
		s.conn = nil
	}
}

// Ask sends req in the version of the run and records the answer. It returns nil when the broker closed.
func (s *Script) Ask(req kmsg.Request) kmsg.Response { return s.AskAs(s.Version, req) }

// AskAs is Ask in another version.
func (s *Script) AskAs(version int16, req kmsg.Request) kmsg.Response {
	resp := s.exchange(version, req)
	s.note(kmsg.NameForKey(req.Key()), resp)
	return resp
}

// Do sends what must be answered for the case to make sense. The answer is not compared.
func (s *Script) Do(version int16, req kmsg.Request) kmsg.Response {
	s.behind(req)
	return s.must(version, req)
}

func (s *Script) must(version int16, req kmsg.Request) kmsg.Response {
	resp := s.roundTrip(version, req)
	if resp == nil {
		s.fail("%T v%d: the connection was closed", req, version)
	}
	return resp
}

// exchange returns nil when the broker closed instead of answering. Apache Kafka is asked again while it loads the partition
// of an internal topic that the answer comes from: alone, it coordinates everything in the end.
func (s *Script) exchange(version int16, req kmsg.Request) kmsg.Response {
	s.behind(req)
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		resp := s.roundTrip(version, req)
		if resp == nil || !s.broker.twoSteps || time.Now().After(deadline) || !holds(reflect.ValueOf(resp), loading) {
			return resp
		}
	}
}

var loading = []int64{int64(kerr.CoordinatorLoadInProgress.Code), int64(kerr.NotCoordinator.Code)}

func (s *Script) roundTrip(version int16, req kmsg.Request) kmsg.Response {
	req.SetVersion(version)
	c := s.dialed()
	id, err := c.send(req)
	if err == nil {
		var resp kmsg.Response
		if resp, err = c.receive(id, req); err == nil {
			return resp
		}
	} else {
		err = errClosed
	}
	s.hangUp()
	if !errors.Is(err, errClosed) {
		s.fail("%w", err)
	}
	return nil
}

// Silent sends a request that gets no answer (Produce with acks 0) and records whether the connection goes on.
func (s *Script) Silent(req kmsg.Request) {
	s.behind(req)
	req.SetVersion(s.Version)
	if _, err := s.dialed().send(req); err != nil {
		s.hangUp()
		s.Note("silent", "closed")
		return
	}
	s.alive()
}

func (s *Script) alive() {
	if s.exchange(0, kmsg.NewPtrApiVersionsRequest()) == nil {
		s.Note("silent", "closed")
	} else {
		s.Note("silent", "goes on")
	}
}

// Frame sends the bytes of a frame behind its length and records whether the broker answered or closed. It tells an answer
// from silence by a request behind.
func (s *Script) Frame(label string, frame []byte) {
	const probe = 77777
	c := s.dialed()
	behind := kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), probe)
	err := errClosed
	var id int32
	if c.write(slices.Concat(sized(len(frame)), frame, behind)) == nil {
		id, _, err = c.read()
	}
	what := "answered"
	if err == nil && id == probe {
		what = "silence"
	} else if err == nil {
		if id, _, err = c.read(); err == nil && id != probe {
			s.fail("%s: the frame was answered twice", label)
		}
	}
	if err != nil {
		what = "closed"
		s.hangUp()
		if !errors.Is(err, errClosed) {
			s.fail("%s: %w", label, err)
		}
	}
	s.Note(label, what)
}

func sized(n int) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }

// Note records something that is no answer of a request.
func (s *Script) Note(label, what string) {
	s.said = append(s.said, answer{label, leaf(what)})
}

func (s *Script) note(label string, resp kmsg.Response) {
	if resp == nil {
		s.Note(label, "closed")
		return
	}
	s.noteAny(label, resp)
}

// noteAny records part of an answer.
func (s *Script) noteAny(label string, v any) {
	s.said = append(s.said, answer{label, s.names.shape(v)})
}

// Brief is Ask for what Apache Kafka may never answer. Wadi answers, however long a busy machine takes.
func (s *Script) Brief(req kmsg.Request) {
	s.behind(req)
	req.SetVersion(s.Version)
	c := s.dialed()
	defer s.hangUp()
	_, err := c.send(req)
	if err == nil {
		wait := patience
		if s.broker.twoSteps {
			wait = 4 * time.Second
		}
		err = c.nc.SetReadDeadline(time.Now().Add(wait))
	}
	if err != nil {
		s.fail("%w", err)
	}
	var b [1]byte
	if n, err := c.nc.Read(b[:]); n == 0 {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.Note("brief", "no answer")
			return
		}
		s.Note("brief", "closed")
		return
	}
	s.Note("brief", "answered")
}

// Unused is a name of the run's own that no topic has; in what is compared it stands as short.
func (s *Script) Unused(short string) string {
	name := s.prefix + "-" + short
	s.names.name(name, short)
	return name
}

// Topic creates a topic, with configs as name, value, name, value, and waits until it is served.
func (s *Script) Topic(short string, partitions int32, configs ...string) topic {
	name := s.Unused(short)
	req := createTopics(name, partitions, configs...)
	got := s.must(7, req).(*kmsg.CreateTopicsResponse).Topics[0]
	if got.ErrorCode != 0 {
		s.fail("create %s: %w", name, kerr.ErrorForCode(got.ErrorCode))
	}
	t := topic{name, got.TopicID}
	s.names.id(t.id, short)
	s.await(t, partitions)
	s.lag = max(s.lag, created)
	return t
}

// await waits until every partition of a topic is served: Apache Kafka answers CreateTopics a moment earlier.
func (s *Script) await(t topic, partitions int32) {
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		req := listOffsets(t.name, -1, partitions)
		ready := true
		for _, p := range s.must(7, req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			ready = ready && p.ErrorCode == 0
		}
		if ready {
			return
		}
		if time.Now().After(deadline) {
			s.fail("topic %s is not served", t.name)
		}
	}
}

// ProducerID asks for a fresh producer id.
func (s *Script) ProducerID() int64 {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		resp := s.Do(4, kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse)
		switch {
		case resp.ErrorCode == 0:
			s.names.producer(resp.ProducerID)
			return resp.ProducerID
		case !kerr.IsRetriable(kerr.ErrorForCode(resp.ErrorCode)) || time.Now().After(deadline):
			s.fail("InitProducerId: %w", kerr.ErrorForCode(resp.ErrorCode))
		}
	}
}

// Stored produces a batch that must be stored in a partition.
func (s *Script) Stored(t topic, partition int32, batch []byte) {
	resp := s.Do(11, produce(-1, t, part{partition, batch})).(*kmsg.ProduceResponse)
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 {
		s.fail("produce to %s: %w", t.name, kerr.ErrorForCode(p.ErrorCode))
	}
}

// slug makes part of a topic name of a case's name. It has no '.' and no '_', which would make names collide.
func slug(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r >= 'A' && r <= 'Z':
			return r
		default:
			return '-'
		}
	}, name)
}

// Answer sends a frame and records what comes back, read as the answer to req in version 0.
func (s *Script) Answer(label string, frame []byte, req kmsg.Request) {
	c := s.dialed()
	var resp kmsg.Response
	err := c.write(append(sized(len(frame)), frame...))
	if err == nil {
		var b []byte
		if _, b, err = c.read(); err == nil {
			resp, err = decode(req, b)
		}
	}
	if err != nil {
		s.hangUp()
		if !errors.Is(err, errClosed) {
			s.fail("%s: %w", label, err)
		}
	}
	s.note(label, resp)
}

// Until repeats what a broker does in its own time.
func (s *Script) Until(done func() bool) {
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.fail("still not after %v", patience)
		}
	}
}

// AskFor is Ask with a label that tells many alike requests apart.
func (s *Script) AskFor(label string, req kmsg.Request) {
	s.note(label, s.exchange(s.Version, req))
}
