package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wadi/agent/api"
	"wadi/internal/batch"
	"wadi/internal/kafkaconfig"
	"wadi/metadata/state"
)

// maxTimeout bounds what a client may ask for as its timeout.
const (
	maxTimeout   = 10 * time.Minute
	leastTimeout = 30 * time.Second // where the client has none
)

// Produce implements api.Ingest: it validates every part in the caller's goroutine and hands the good ones to the core.
func (g *Ingest) Produce(_ context.Context, call *api.ProduceCall) {
	now := time.Now().UnixMilli()
	r := &Request{
		Conn: call.Conn, Items: make([]Item, 0, len(call.Parts)), Deadline: g.now() + timeoutOf(call), JoinsTxn: call.JoinsTxn,
	}
	parts := make([]int32, 0, len(call.Parts)) // of each item
	for i := range call.Parts {
		p := &call.Parts[i]
		b, err := prepare(p, call.AllowZstd, now)
		if err != nil {
			p.Err, p.BaseOffset, p.AppendTime = err, -1, -1
			continue
		}
		r.Items = append(r.Items, Item{Partition: Partition{p.Topic, p.Partition}, Data: b})
		parts = append(parts, int32(i))
	}
	if len(r.Items) == 0 {
		call.Done()
		return
	}
	g.lookUp(r)
	r.release = func() {}
	if frame := call.Frame; frame != nil {
		frame.Retain()
		r.release = frame.Release
	}
	r.answer = func() {
		for i := range r.Items {
			r.Items[i].report(&call.Parts[parts[i]])
		}
		call.Done()
	}
	g.step(func(c *Core, at time.Duration) { c.Produce(at, r) })
}

// timeoutOf is how long the client wants to wait. Only acks=all has a timeout in Kafka; with acks=0 its end would even
// close the connection.
func timeoutOf(call *api.ProduceCall) time.Duration {
	t := min(max(call.Timeout, 0), maxTimeout)
	if call.Acks != -1 {
		t = max(t, leastTimeout)
	}
	return t
}

// lookUp asks State for what the core needs, once for all items, so that the core's lock is not held meanwhile.
func (g *Ingest) lookUp(r *Request) {
	g.o.View.Read(func(s *state.State) {
		for i := range r.Items {
			it := &r.Items[i]
			t := s.TopicByNumber(it.Partition.Topic)
			if t == nil {
				continue
			}
			it.TopicID = t.ID
			if pid := it.Data.ProducerID(); pid >= 0 {
				it.Turn = TurnIn(s, it.Partition, pid, it.Data.ProducerEpoch())
			}
		}
	})
}

// prepare validates a batch and makes it what its topic stores.
func prepare(p *api.ProducePart, zstd bool, now int64) (batch.Batch, error) {
	cfg := p.Config
	rules := batch.Rules{
		MaxBytes: cfg.MaxMessageBytes, AllowZstd: zstd, RequireKeys: cfg.Compact,
	}
	if !cfg.LogAppendTime {
		rules.MinTimestamp = bound(now, -cfg.TimestampBefore)
		rules.MaxTimestamp = bound(now, cfg.TimestampAfter)
	}
	b, err := batch.Validate(p.Records, rules)
	if err != nil {
		return nil, err
	}
	if codec, fixed := codecOf(cfg); fixed && codec != b.Codec() {
		if b, err = batch.Recompress(b, codec, nil); err != nil {
			return nil, fmt.Errorf("recompress for the topic: %w", err)
		}
		if len(b) > cfg.MaxMessageBytes { // The limit is on what is stored (Semantics line 18).
			return nil, fmt.Errorf("%w: %d bytes in the topic's codec, %d allowed", batch.ErrTooLarge, len(b), cfg.MaxMessageBytes)
		}
	}
	if cfg.LogAppendTime {
		b.SetLogAppendTime(now)
	}
	return b, nil
}

// bound is now plus d, or 0 (no bound) where that leaves the range of timestamps.
func bound(now, d int64) int64 {
	if sum := now + d; sum > 0 && (sum > now) == (d > 0) {
		return sum
	}
	return 0
}

func codecOf(cfg *kafkaconfig.Effective) (batch.Codec, bool) {
	switch cfg.Codec {
	case "uncompressed":
		return batch.None, true
	case "gzip":
		return batch.Gzip, true
	case "snappy":
		return batch.Snappy, true
	case "lz4":
		return batch.LZ4, true
	case "zstd":
		return batch.Zstd, true
	}
	return batch.None, false
}

// report writes an item's result into the part it came from.
func (it *Item) report(p *api.ProducePart) {
	r := it.Result
	p.BaseOffset, p.AppendTime, p.LogStart = -1, -1, r.LogStart
	switch {
	case r.Err != nil:
		p.Err = edgeError(r.Err)
	case r.Code == state.OK:
		p.BaseOffset = r.Base
		if p.Config.LogAppendTime {
			p.AppendTime = it.maxTime
		}
	case r.Code == state.Duplicate:
		p.BaseOffset = r.Base
		if p.Config.LogAppendTime {
			p.AppendTime = r.Time
		}
	default:
		p.Err = &api.Refused{Code: r.Code}
	}
}

// edgeError names the failure in the terms of the protocol edge, which picks the Kafka error.
func edgeError(err error) error {
	for _, m := range []struct{ from, to error }{
		{ErrTimeout, api.ErrTimeout},
		{ErrUnknown, api.ErrOutcomeUnknown},
		{ErrUpload, api.ErrStoreUnavailable},
		{ErrFull, api.ErrMemory},
		{ErrStalled, api.ErrMemory},
		{ErrEnded, api.ErrDraining},
		{ErrNoSession, api.ErrNotProposed},
	} {
		if errors.Is(err, m.from) {
			return fmt.Errorf("%w: %w", m.to, err)
		}
	}
	return err
}
