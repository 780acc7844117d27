package api

// Fetch: key 1, versions 4 to 17.

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/internal/batch"
	"wadi/metadata/state"
)

// fetch tells the kinds of requests apart (Semantics line 37). A last fetched epoch is not looked at, since history is
// never truncated and so never diverges (line 42).
func (a *API) fetch(ctx context.Context, req *server.Request) {
	body := req.Body.(*kmsg.FetchRequest)
	if body.IsolationLevel != 0 && body.IsolationLevel != 1 {
		req.ReplyEncoded(badIsolation(req.Version, body))
		return
	}
	full := body.SessionEpoch == 0 || body.SessionEpoch == -1
	if full && body.SessionID != 0 {
		a.sessions.close(body.SessionID)
	}
	switch {
	case req.Version < 7 || body.SessionEpoch == -1:
		a.fetchAlone(ctx, req, body)
	case full:
		a.openSession(ctx, req, body)
	default:
		a.continueSession(ctx, req, body)
	}
}

// fetchAlone answers without a session: id 0, and every partition of the request.
func (a *API) fetchAlone(ctx context.Context, req *server.Request, body *kmsg.FetchRequest) {
	body.Topics = eachOnce(body.Topics)
	f := &fetching{body: body, reply: &fetchReply{version: req.Version}}
	known := true
	a.d.View.Read(func(s *state.State) { known = !f.resolve(s, nil) })
	if known {
		a.readAlone(ctx, req, f)
		return
	}
	// A barrier may be needed to call a topic unknown. The reader does not wait for it.
	req.Go(func() {
		err := a.barrier(ctx)
		a.d.View.Read(func(s *state.State) { f.resolve(s, err) })
		a.readAlone(ctx, req, f)
	})
}

func (a *API) readAlone(ctx context.Context, req *server.Request, f *fetching) {
	call := a.call(req, f.body)
	call.Parts = f.parts
	if f.failed {
		call.MinBytes, call.MaxWait = 0, 0 // Semantics line 34: any error answers at once.
	}
	if len(f.parts) == 0 && !f.failed {
		// Nothing to wait for but the time: a client that asks for no partition polls at its own pace.
		call.MaxWait = 0
	}
	call.Done = func() {
		f.finish(call)
		req.ReplyEncoded(f.reply)
	}
	a.d.Log.Fetch(ctx, call)
}

func (a *API) readInSession(ctx context.Context, req *server.Request, body *kmsg.FetchRequest, f *sessionFetch) {
	call := a.call(req, body)
	call.Session = f
	call.Done = func() {
		f.finish(call)
		f.reply.release = call.Release
		req.ReplyEncoded(f.reply)
	}
	a.d.Log.Fetch(ctx, call)
}

// call has what does not depend on the partitions.
func (a *API) call(req *server.Request, body *kmsg.FetchRequest) *FetchCall {
	call := &FetchCall{
		MaxBytes: min(int(max(0, body.MaxBytes)), a.d.Config.MaxFetchBytes),
		MaxWait:  time.Duration(max(0, body.MaxWaitMillis)) * time.Millisecond, ReadCommitted: body.IsolationLevel == 1,
		Drain: req.Conn.Drain(),
	}
	// More than the answer may hold would never come together: a client's odd limits must not cost it the whole wait.
	call.MinBytes = min(int(max(0, body.MinBytes)), call.MaxBytes)
	return call
}

// fetching is one Fetch request on its way.
type fetching struct {
	body   *kmsg.FetchRequest
	reply  *fetchReply
	parts  []FetchPart
	slots  []*fetchedPartition
	failed bool
}

// resolve makes the reply's skeleton, in the order of the request so that clients can rotate (Semantics line 31), and
// the parts to read.
func (f *fetching) resolve(s *state.State, barrier error) (missing bool) {
	f.parts, f.slots, f.failed = f.parts[:0], f.slots[:0], false
	f.reply.topics = make([]fetchedTopic, len(f.body.Topics))
	for i := range f.body.Topics {
		in, out := &f.body.Topics[i], &f.reply.topics[i]
		out.name, out.id = in.Topic, in.TopicID
		out.parts = make([]fetchedPartition, len(in.Partitions))
		t, unknown := topicRef{name: in.Topic, id: in.TopicID, byID: f.reply.version >= 13}.find(s)
		if unknown != nil {
			missing = true
			unknown = either(barrier, unknown)
		}
		for j := range in.Partitions {
			part, slot := &in.Partitions[j], &out.parts[j]
			*slot = fetchedPartition{index: part.Partition, highWatermark: -1, lastStable: -1, logStart: -1}
			err := unknown
			if err == nil && t.Partition(part.Partition) == nil {
				missing = true
				err = either(barrier, ErrUnknownTopic)
			}
			slot.listAborted = err != nil
			if err == nil {
				err = checkFetchEpoch(part.CurrentLeaderEpoch)
			}
			if err != nil {
				slot.code = code(keyFetch, err)
				f.failed = true
				continue
			}
			f.slots = append(f.slots, slot)
			f.parts = append(f.parts, FetchPart{
				Topic: t.Number, Partition: part.Partition, Offset: part.FetchOffset, MaxBytes: int(max(0, part.PartitionMaxBytes)),
				HighWatermark: -1, LastStable: -1, LogStart: -1,
			})
		}
	}
	return missing
}

// checkFetchEpoch is checkEpoch, but for Fetch any negative epoch is none, as in Apache Kafka.
func checkFetchEpoch(epoch int32) error { return checkEpoch(max(-1, epoch)) }

func (f *fetching) finish(call *FetchCall) {
	f.reply.release = call.Release
	for i := range call.Parts {
		f.slots[i].fill(&call.Parts[i], call.ReadCommitted, f.reply.version)
	}
}

// fill says what was found of a partition.
func (p *fetchedPartition) fill(part *FetchPart, committed bool, version int16) {
	p.highWatermark, p.lastStable, p.logStart = part.HighWatermark, part.LastStable, part.LogStart
	if part.Err != nil {
		p.code = code(keyFetch, part.Err)
		p.listAborted = errors.Is(part.Err, ErrUnknownTopic)
		return
	}
	p.records = part.Records
	if version < 10 {
		p.withoutZstd()
	}
	if committed { // Semantics line 44: null for read_uncommitted, an empty array if none.
		p.aborted = part.Aborted
		p.listAborted = true
	}
}

// withoutZstd ends the records before the first batch in zstd, which a client of a version below 10 cannot read
// (Semantics line 20). Where that batch is the first, the client is told.
func (p *fetchedPartition) withoutZstd() {
	for i, chunk := range p.records {
		for at := 0; at < len(chunk); {
			b, _, err := batch.Split(chunk[at:])
			if err != nil {
				return // It is not for this place to find out: the client's CRC check will.
			}
			if b.Codec() != batch.Zstd {
				at += len(b)
				continue
			}
			if i == 0 && at == 0 {
				p.code = kerr.UnsupportedCompressionType.Code
			}
			p.records = append(p.records[:i:i], chunk[:at])
			return
		}
	}
}
