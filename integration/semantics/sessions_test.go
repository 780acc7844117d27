package semantics

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// inSession is a request of a session that says something of partition 0 of the topics, without waiting.
func inSession(id, epoch int32, offset int64, topics ...topic) *kmsg.FetchRequest {
	req := fetchRequest(offset, topics...)
	req.SessionID, req.SessionEpoch = id, epoch
	return req
}

func forgetting(req *kmsg.FetchRequest, topics ...topic) *kmsg.FetchRequest {
	for _, of := range topics {
		req.ForgottenTopics = append(req.ForgottenTopics, kmsg.FetchRequestForgottenTopic{
			Topic: of.name, TopicID: of.id, Partitions: []int32{0},
		})
	}
	return req
}

// said is what a reply says of a partition.
type said struct {
	topic   string // the name; with ids what the test calls it
	code    int16
	high    int64
	start   int64
	records int // bytes
}

func saidBy(resp *kmsg.FetchResponse, named ...topic) (list []said) {
	for _, t := range resp.Topics {
		name := t.Topic
		for _, n := range named {
			if n.id == t.TopicID && name == "" {
				name = n.name
			}
		}
		for _, p := range t.Partitions {
			list = append(list, said{name, p.ErrorCode, p.HighWatermark, p.LogStartOffset, len(p.RecordBatches)})
		}
	}
	return list
}

// polls sends the requests of one session by epoch, in a version.
type polls struct {
	c         *client
	version   int16
	id, epoch int32
}

// open opens a session on partition 0 of the topics and returns what the reply says of them.
func open(c *client, version int16, offset int64, topics ...topic) (*polls, []said) {
	c.t.Helper()
	resp := ask[*kmsg.FetchResponse](c, version, inSession(0, 0, offset, topics...))
	require.Zero(c.t, resp.ErrorCode)
	require.Positive(c.t, resp.SessionID)
	return &polls{c, version, resp.SessionID, 1}, saidBy(resp, topics...)
}

// poll sends the next request; change may alter it.
func (p *polls) poll(change func(*kmsg.FetchRequest), named ...topic) []said {
	p.c.t.Helper()
	req := inSession(p.id, p.epoch, 0)
	if change != nil {
		change(req)
	}
	p.epoch++
	resp := ask[*kmsg.FetchResponse](p.c, p.version, req)
	require.Zero(p.c.t, resp.ErrorCode)
	require.Equal(p.c.t, p.id, resp.SessionID)
	return saidBy(resp, named...)
}

// seek moves on to offsets of partition 0.
func seek(offset int64, topics ...topic) func(*kmsg.FetchRequest) {
	return func(req *kmsg.FetchRequest) {
		req.Topics = append(req.Topics, fetchRequest(offset, topics...).Topics...)
	}
}

// Semantics line 37 (KIP-227): what the pairs of session id and epoch mean, in every version that has them.
func TestLine37SessionsOfFetch(t *testing.T) {
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line37", 1)
	batch := plain("v")
	stored(c, to, batch, 0)
	refused := func(version int16, id, epoch int32, code int16) {
		t.Helper()
		resp := ask[*kmsg.FetchResponse](c, version, inSession(id, epoch, 0, to))
		require.Equal(t, code, resp.ErrorCode, "session %d, epoch %d", id, epoch)
		require.Zero(t, resp.SessionID)
		require.Empty(t, resp.Topics, "an error of the session says nothing of partitions")
	}
	for version := int16(4); version <= 17; version++ {
		// (0, -1), and every version below 7: no session.
		resp := ask[*kmsg.FetchResponse](c, version, fetchRequest(0, to))
		require.Zero(t, resp.SessionID)
		require.Equal(t, len(batch), sizes(resp)[0])
		if version < 7 {
			continue
		}
		// (0, 0) opens one, (id, n) continues it with n+1 next, on any connection.
		s, first := open(c, version, 0, to)
		require.Equal(t, []said{{"line37", 0, 1, 0, len(batch)}}, first[:1])
		s.c = dial(t, n)
		require.Empty(t, s.poll(seek(1, to)))
		require.Empty(t, s.poll(nil))
		// An epoch that is not the next one is refused, and leaves the session as it is; so is a session that is not there.
		refused(version, s.id, 2, 71)
		refused(version, s.id, 4, 71)
		refused(version, s.id, -2, 71)
		refused(version, s.id^1, 3, 70)
		refused(version, 0, 1, 70)
		require.Empty(t, s.poll(nil))
		// (id, 0) closes it and opens another, (id, -1) closes it; both say everything, as do those that close nothing.
		resp = ask[*kmsg.FetchResponse](c, version, inSession(s.id, 0, 0, to))
		require.Positive(t, resp.SessionID)
		require.NotEqual(t, s.id, resp.SessionID)
		require.Equal(t, len(batch), sizes(resp)[0])
		refused(version, s.id, 4, 70)
		last := resp.SessionID
		for range 2 {
			resp = ask[*kmsg.FetchResponse](c, version, inSession(last, -1, 1, to))
			require.Zero(t, resp.SessionID)
			require.Equal(t, []int{0}, sizes(resp))
		}
		refused(version, last, 1, 70)
		// One that has no partitions left ends, and the reply says so.
		s, _ = open(c, version, 1, to)
		resp = ask[*kmsg.FetchResponse](c, version, forgetting(inSession(s.id, 1, 0), to))
		require.Zero(t, resp.ErrorCode)
		require.Zero(t, resp.SessionID)
		require.Empty(t, resp.Topics)
		refused(version, s.id, 2, 70)
		// One can be opened without any, and filled later.
		s, first = open(c, version, 0)
		require.Empty(t, first)
		require.Len(t, s.poll(seek(0, to)), 1)
	}
}

// Semantics line 37: a session is its agent's. Another one, or the same after a restart, does not know it, and says so
// in the way that makes clients open a new one.
func TestLine37SessionsAreAnAgentsOwn(t *testing.T) {
	t.Parallel()
	cl := newCluster(t)
	first, second := cl.start(t, nil), cl.start(t, nil)
	c := dial(t, first)
	to := create(c, "line37-own", 1)
	s, _ := open(c, 12, 0, to)
	elsewhere := dial(t, second)
	resp := ask[*kmsg.FetchResponse](elsewhere, 12, inSession(s.id, s.epoch, 0))
	require.Equal(t, int16(70), resp.ErrorCode)
	require.Empty(t, s.poll(nil))
	eventually(t, "the topic at the other agent", func() bool { return fetch(elsewhere, to, 0).ErrorCode == 0 })
	stored(elsewhere, to, plain("from elsewhere"), 0)
	eventually(t, "what another agent wrote", func() bool { return len(s.poll(nil)) == 1 })
}

// Semantics line 38: an incremental reply lists a partition when it has records, an error, or bounds that the client does
// not know; what is left out is unchanged. What has records goes behind the others, so that all get their turn.
func TestLine38WhatAnIncrementalReplyLists(t *testing.T) {
	c := dial(t, shared(t))
	a, b, d := create(c, "line38-a", 1), create(c, "line38-b", 1), create(c, "line38-c", 1)
	batch := plain("v")
	n := len(batch)
	s, all := open(c, 12, 0, a, b, d)
	require.Equal(t, []said{{a.name, 0, 0, 0, 0}, {b.name, 0, 0, 0, 0}, {d.name, 0, 0, 0, 0}}, all)
	require.Empty(t, s.poll(nil))
	require.Empty(t, s.poll(seek(0, b)), "a position that was told again is no news")
	// Records.
	stored(c, b, batch, 0)
	require.Equal(t, []said{{b.name, 0, 1, 0, n}}, s.poll(nil))
	require.Equal(t, []said{{b.name, 0, 1, 0, n}}, s.poll(nil), "a client that does not move on gets the same again")
	require.Empty(t, s.poll(seek(1, b)))
	// A high watermark without records, as there is no room for them; then the turn is that one's.
	stored(c, a, batch, 0)
	stored(c, b, batch, 1)
	tight := func(req *kmsg.FetchRequest) { req.MaxBytes = 1 }
	require.Equal(t, []said{{a.name, 0, 1, 0, n}, {b.name, 0, 2, 0, 0}}, s.poll(tight))
	require.Equal(t, []said{{b.name, 0, 2, 0, n}}, s.poll(tight))
	require.Equal(t, []said{{a.name, 0, 1, 0, n}}, s.poll(tight))
	require.Empty(t, s.poll(func(req *kmsg.FetchRequest) { seek(1, a)(req); seek(2, b)(req) }))
	// A log start without records.
	deleteRecords(c, d, 0, 0)
	require.Empty(t, s.poll(nil))
	stored(c, d, batch, 0)
	require.Len(t, s.poll(seek(1, d)), 1)
	deleteRecords(c, d, 0, 1)
	require.Equal(t, []said{{d.name, 0, 1, 1, 0}}, s.poll(nil))
	require.Empty(t, s.poll(nil))
	// An error is told until it is over, and its end is told too.
	require.Equal(t, int16(1), s.poll(seek(9, a))[0].code)
	require.Equal(t, int16(1), s.poll(nil)[0].code)
	require.Equal(t, []said{{a.name, 0, 1, 0, 0}}, s.poll(seek(1, a)))
	require.Empty(t, s.poll(nil))
	// What is forgotten is not told of; what is added comes last, also what is added again.
	stored(c, a, batch, 1)
	stored(c, d, batch, 1)
	require.Equal(t, []said{{d.name, 0, 2, 1, n}}, s.poll(func(req *kmsg.FetchRequest) { forgetting(req, a) }))
	require.Equal(t, []said{{d.name, 0, 2, 1, n}, {a.name, 0, 2, 0, n}}, s.poll(seek(1, a)))
}

// Semantics lines 34, 38: an agent looks at what was touched alone; nothing that is touched while a poll waits, or between
// two polls, is missed, min_bytes counts over the whole session, and an error answers at once.
func TestLine38QuietPartitionsWake(t *testing.T) {
	n := shared(t)
	c, writer := dial(t, n), dial(t, n)
	const long = 240_000
	a, b := create(c, "line38-wake-a", 1), create(c, "line38-wake-b", 1)
	batch := plain("v")
	size := len(batch)
	s, _ := open(c, 12, 0, a, b)
	began := time.Now()
	while := func(minBytes int, what func(), changes ...func(*kmsg.FetchRequest)) []said {
		t.Helper()
		req := inSession(s.id, s.epoch, 0)
		req.SetVersion(12)
		req.MaxWaitMillis, req.MinBytes = long, int32(minBytes)
		for _, change := range changes {
			change(req)
		}
		s.epoch++
		id := c.send(req)
		time.Sleep(10 * time.Millisecond) // so that it waits, most of the time; it is right either way
		what()
		return saidBy(receive[*kmsg.FetchResponse](c, id, req))
	}
	require.Equal(t, []said{{a.name, 0, 1, 0, size}}, while(1, func() { stored(writer, a, batch, 0) }))
	require.Equal(t, []said{{b.name, 0, 1, 0, size}, {a.name, 0, 1, 0, size}}, while(2*size, func() { stored(writer, b, batch, 0) }))
	require.Empty(t, s.poll(seek(1, a, b)))
	require.Equal(t, []said{{b.name, 0, 3, 0, 2 * size}}, while(2*size, func() {
		stored(writer, b, batch, 1)
		stored(writer, b, batch, 2)
	}))
	require.Empty(t, s.poll(seek(3, b)))
	require.Less(t, time.Since(began), long*time.Millisecond)
	moved := while(1, func() { deleteRecords(writer, a, 0, 1) }, func(req *kmsg.FetchRequest) { req.MaxWaitMillis = 200 })
	if len(moved) == 0 { // the deletion took longer than that
		moved = s.poll(nil)
	}
	require.Equal(t, []said{{a.name, 0, 1, 1, 0}}, moved)
	began = time.Now()
	require.Equal(t, []said{{a.name, 3, -1, -1, 0}}, while(1, func() { remove(writer, a.name) }))
	require.Less(t, time.Since(began), long*time.Millisecond/2)
}

// Semantics line 39 (KAFKA-9338): a session remembers of each partition the offset, the limit and the leader epoch, so
// that a request need not say them again.
func TestLine39WhatASessionRemembers(t *testing.T) {
	c := dial(t, shared(t))
	a, b := create(c, "line39-a", 1), create(c, "line39-b", 1)
	batch := plain("v")
	n := len(batch)
	for offset := range int64(3) {
		stored(c, a, batch, offset)
		stored(c, b, batch, offset)
	}
	s, _ := open(c, 12, 1, a, b)
	require.Equal(t, []said{{a.name, 0, 3, 0, 2 * n}, {b.name, 0, 3, 0, 2 * n}}, s.poll(nil))
	limited := func(req *kmsg.FetchRequest) {
		seek(0, a)(req)
		req.Topics[0].Partitions[0].PartitionMaxBytes = int32(n)
	}
	require.Equal(t, []said{{a.name, 0, 3, 0, n}, {b.name, 0, 3, 0, 2 * n}}, s.poll(limited))
	require.Equal(t, []said{{a.name, 0, 3, 0, n}, {b.name, 0, 3, 0, 2 * n}}, s.poll(nil))
	fenced := func(req *kmsg.FetchRequest) {
		seek(3, a, b)(req)
		req.Topics[0].Partitions[0].CurrentLeaderEpoch = 7
	}
	require.Equal(t, []said{{a.name, 75, -1, -1, 0}}, s.poll(fenced))
	require.Equal(t, []said{{a.name, 75, -1, -1, 0}}, s.poll(nil))
	require.Equal(t, []said{{a.name, 0, 3, 0, 0}}, s.poll(seek(3, a)))
	// The isolation level is each request's own.
	require.Empty(t, s.poll(func(req *kmsg.FetchRequest) { req.IsolationLevel = 1 }))
}

// Semantics line 39: at most a thousand sessions. None that is younger than two minutes gives way, so the next client has
// none, which id 0 says, until one is closed.
func TestLine39AThousandSessions(t *testing.T) {
	t.Parallel()
	c := dial(t, newCluster(t).start(t, nil))
	to := create(c, "line39-slots", 1)
	ids := map[int32]bool{}
	var last int32
	for range 1000 {
		s, _ := open(c, 12, 0, to)
		ids[s.id], last = true, s.id
	}
	require.Len(t, ids, 1000)
	resp := ask[*kmsg.FetchResponse](c, 12, inSession(0, 0, 0, to))
	require.Zero(t, resp.SessionID)
	require.Zero(t, only(c, resp).ErrorCode)
	require.Zero(t, ask[*kmsg.FetchResponse](c, 12, inSession(last, -1, 0, to)).SessionID)
	open(c, 12, 0, to)
}

// Semantics line 40 (KIP-516): an id that is not known in a session is 100 in its partition until it is; one that was
// known and whose topic is gone is 3, or 103 when the name has another id by now. Topics are named one way in a session.
func TestLine40TopicIDsInASession(t *testing.T) {
	n := shared(t)
	c, admin := dial(t, n), dial(t, n)
	for version := int16(13); version <= 17; version++ {
		to := create(admin, "line40-session", 1)
		batch := plain("old")
		stored(admin, to, batch, 0)
		never := topic{"never", [16]byte{4, 0, byte(version)}}
		s, all := open(c, version, 0, to, never)
		require.Equal(t, []said{{to.name, 0, 1, 0, len(batch)}, {"never", 100, -1, -1, 0}}, all)
		require.Equal(t, []said{{"never", 100, -1, -1, 0}}, s.poll(seek(1, to), never))
		require.Empty(t, s.poll(func(req *kmsg.FetchRequest) { forgetting(req, never) }))
		for _, other := range []int16{7, 12} {
			resp := ask[*kmsg.FetchResponse](c, other, inSession(s.id, s.epoch, 0))
			require.Equal(t, int16(106), resp.ErrorCode)
			require.Empty(t, resp.Topics)
		}
		remove(admin, to.name)
		require.Equal(t, []said{{to.name, 3, -1, -1, 0}}, s.poll(nil, to))
		require.Equal(t, []said{{to.name, 3, -1, -1, 0}}, s.poll(nil, to))
		again := create(admin, to.name, 1)
		stored(admin, again, plain("new", "new"), 0)
		require.Equal(t, []said{{to.name, 103, -1, -1, 0}}, s.poll(seek(0, to), to))
		require.Equal(t, int16(100), only(c, ask[*kmsg.FetchResponse](c, version, fetchRequest(0, to))).ErrorCode)
		require.Equal(t, int64(2), s.poll(func(req *kmsg.FetchRequest) { forgetting(req, to); seek(0, again)(req) })[0].high)
		remove(admin, to.name)
	}
	by, _ := open(c, 12, 0, create(admin, "line40-by-name", 1))
	for _, other := range []int16{13, 17} {
		require.Equal(t, int16(106), ask[*kmsg.FetchResponse](c, other, inSession(by.id, by.epoch, 0)).ErrorCode)
	}
	require.Empty(t, by.poll(nil))
}

// Semantics line 91: a session that reads a topic by name hears that it is gone before it reads the one that was created
// in its place.
func TestLine91SessionOverARecreatedTopic(t *testing.T) {
	n := shared(t)
	c, admin := dial(t, n), dial(t, n)
	to := create(admin, "line91-session", 1)
	old, fresh := plain("old"), plain("fresh", "fresh")
	stored(admin, to, old, 0)
	s, _ := open(c, 12, 1, to)
	remove(admin, to.name)
	to = create(admin, to.name, 1)
	stored(admin, to, fresh, 0)
	require.Equal(t, []said{{to.name, 3, -1, -1, 0}}, s.poll(nil))
	require.Equal(t, []said{{to.name, 0, 2, 0, len(fresh)}}, s.poll(seek(0, to)))
}
