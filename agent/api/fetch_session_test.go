package api

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/fetchsession"
	"wadi/internal/batch"
	"wadi/metadata/view"
)

// standing follows by calling everything touched at every entry: what more than the contract asks for must do no harm.
type standing struct {
	c        *cluster
	mu       sync.Mutex
	followed map[uint32]view.PartitionRef
	touched  map[uint32]bool
}

func (c *cluster) Stand() Standing {
	s := &standing{c: c, followed: map[uint32]view.PartitionRef{}, touched: map[uint32]bool{}}
	c.set(func() { c.standing[s] = true })
	return s
}

func (s *standing) touchAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for tag := range s.followed {
		s.touched[tag] = true
	}
}

func (s *standing) Follow(refs []view.PartitionRef, tags []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, tag := range tags {
		if _, used := s.followed[tag]; used {
			panic("a tag is used twice")
		}
		s.followed[tag] = refs[i]
	}
}

func (s *standing) Unfollow(tags []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tag := range tags {
		delete(s.followed, tag)
		delete(s.touched, tag)
	}
}

func (s *standing) Take(dst []uint32) []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	dst = append(dst, slices.Sorted(maps.Keys(s.touched))...)
	clear(s.touched)
	return dst
}

func (s *standing) Wake(func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.touched) > 0
}

func (s *standing) Close() { s.c.set(func() { delete(s.c.standing, s) }) }

func (c *cluster) standings() (n int) {
	c.set(func() { n = len(c.standing) })
	return n
}

// partitions of topic t, by name, in a version.
func sessionFetchOf(version int16, id, epoch int32, offsets map[int32]int64, forget ...int32) *kmsg.FetchRequest {
	r := kmsg.NewPtrFetchRequest()
	r.SetVersion(version)
	r.MaxWaitMillis, r.MinBytes, r.MaxBytes, r.SessionID, r.SessionEpoch = 0, 1, 1<<20, id, epoch
	if len(offsets) > 0 {
		r.Topics = []kmsg.FetchRequestTopic{{Topic: "t"}}
		for _, p := range slices.Sorted(maps.Keys(offsets)) {
			part := kmsg.NewFetchRequestTopicPartition()
			part.Partition, part.FetchOffset, part.PartitionMaxBytes = p, offsets[p], 1<<20
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, part)
		}
	}
	if len(forget) > 0 {
		r.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "t", Partitions: forget}}
	}
	return r
}

func inReply(r *kmsg.FetchResponse) (list []int32) {
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			list = append(list, p.Partition)
		}
	}
	return list
}

// A session whose epoch goes on from another connection is that one's: who waits on the first is answered with 71 at
// once, and what it had looked at is not lost.
func TestTwoConnectionsOfOneSession(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 3)
	a, b := c.dial(), c.dial()
	r := a.ask(sessionFetchOf(12, 0, 0, map[int32]int64{0: 0, 1: 0, 2: 0})).(*kmsg.FetchResponse)
	require.Positive(t, r.SessionID)
	waiting := sessionFetchOf(12, r.SessionID, 1, nil)
	waiting.MaxWaitMillis = 15_000
	answered := make(chan *kmsg.FetchResponse, 1)
	go func() { answered <- a.ask(waiting).(*kmsg.FetchResponse) }()
	require.Eventually(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.fetched) == 2 }, 2*time.Minute, time.Millisecond)
	c.dial().ask(produceTo(9, -1, "t", [16]byte{}, map[int32][]byte{1: oneBatch(t, batch.None, "v")}))
	got := <-answered
	require.Equal(t, []int32{1}, inReply(got))
	again := b.ask(sessionFetchOf(12, r.SessionID, 2, nil)).(*kmsg.FetchResponse)
	require.Equal(t, []int32{1}, inReply(again), "a client that does not move on gets the same again")
	require.Equal(t, kerr.InvalidFetchSessionEpoch.Code, a.ask(sessionFetchOf(12, r.SessionID, 2, nil)).(*kmsg.FetchResponse).ErrorCode)
	require.Empty(t, inReply(b.ask(sessionFetchOf(12, r.SessionID, 3, map[int32]int64{1: 1})).(*kmsg.FetchResponse)))
	require.Equal(t, 1, c.standings())
}

// What does not fit leaves no session and nothing behind: id 0 is the legal way to have none. A session that outgrows
// the room is gone with 70.
func TestFetchSessionsAreBounded(t *testing.T) {
	one := fetchsession.New(false, false)
	one.Update(sessionFetchOf(12, 0, 0, map[int32]int64{0: 0, 1: 0}))
	c := newClusterWith(t, Config{FetchSessions: fetchsession.Limits{Sessions: 2, Bytes: 2*one.Bytes() + 10, Idle: time.Hour}})
	c.topic("t", 4)
	k := c.dial()
	open := func() *kmsg.FetchResponse {
		return k.ask(sessionFetchOf(12, 0, 0, map[int32]int64{0: 0, 1: 0})).(*kmsg.FetchResponse)
	}
	first, second, third := open(), open(), open()
	require.Positive(t, first.SessionID)
	require.Positive(t, second.SessionID)
	require.NotEqual(t, first.SessionID, second.SessionID)
	require.Zero(t, third.SessionID)
	require.Equal(t, []int32{0, 1}, inReply(third))
	require.Equal(t, 2, c.standings())
	grown := k.ask(sessionFetchOf(12, first.SessionID, 1, map[int32]int64{2: 0, 3: 0})).(*kmsg.FetchResponse)
	require.Equal(t, kerr.FetchSessionIDNotFound.Code, grown.ErrorCode)
	require.Equal(t, 1, c.standings())
	require.Positive(t, open().SessionID)
	// Closing makes room: with -1, with 0, and by forgetting everything.
	closed := k.ask(sessionFetchOf(12, second.SessionID, -1, nil)).(*kmsg.FetchResponse)
	require.Zero(t, closed.SessionID)
	require.Equal(t, 1, c.standings())
	fourth := open()
	reopened := k.ask(sessionFetchOf(12, fourth.SessionID, 0, map[int32]int64{0: 0})).(*kmsg.FetchResponse)
	require.Positive(t, reopened.SessionID)
	require.NotEqual(t, fourth.SessionID, reopened.SessionID)
	require.Equal(t, 2, c.standings())
	forgot := k.ask(sessionFetchOf(12, reopened.SessionID, 1, nil, 0)).(*kmsg.FetchResponse)
	require.Zero(t, forgot.SessionID)
	require.Zero(t, forgot.ErrorCode)
	require.Equal(t, 1, c.standings())
	require.Equal(t, kerr.FetchSessionIDNotFound.Code, k.ask(sessionFetchOf(12, reopened.SessionID, 2, nil)).(*kmsg.FetchResponse).ErrorCode)
}

// A client that goes before the answer which would tell it the id leaves no session behind.
func TestNoSessionForAClientThatIsGone(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 1)
	k := c.dial()
	open := sessionFetchOf(12, 0, 0, map[int32]int64{0: 0})
	open.MaxWaitMillis = 15_000
	k.send(open)
	require.Eventually(t, func() bool { return c.standings() == 1 }, 2*time.Minute, time.Millisecond)
	require.NoError(t, k.nc.Close())
	require.Eventually(t, func() bool { return c.standings() == 0 }, 2*time.Minute, time.Millisecond)
}

// Names in a session outlive the frame in which they came.
func TestSessionKeepsItsOwnNames(t *testing.T) {
	c := newCluster(t)
	name := strings.Repeat("n", 200)
	k := c.dial()
	req := sessionFetchOf(12, 0, 0, map[int32]int64{0: 0})
	req.Topics[0].Topic = name
	r := k.ask(req).(*kmsg.FetchResponse)
	require.Equal(t, kerr.UnknownTopicOrPartition.Code, r.Topics[0].Partitions[0].ErrorCode)
	c.topic(name, 1)
	for epoch := range int32(3) {
		next := k.ask(sessionFetchOf(12, r.SessionID, epoch+1, nil)).(*kmsg.FetchResponse)
		require.Zero(t, next.ErrorCode)
		if epoch > 0 {
			require.Empty(t, next.Topics)
			continue
		}
		require.Equal(t, name, next.Topics[0].Topic)
		require.Zero(t, next.Topics[0].Partitions[0].ErrorCode, "the topic is there by now")
	}
}

// A request that finds its session just before it is closed does not revive it.
func TestClosedSessionIsNotTakenUp(t *testing.T) {
	c := newCluster(t)
	s := &fetchSession{standing: c.Stand()}
	s.mu.core = fetchsession.New(false, false)
	s.close()
	_, err := s.take(&sessionFetch{reply: &fetchReply{version: 12}}, sessionFetchOf(12, 1, 1, map[int32]int64{0: 0}))
	require.ErrorIs(t, err, errSessionClosed)
	require.Equal(t, kerr.FetchSessionIDNotFound.Code, sessionCode(err))
	require.Zero(t, c.standings())
}
