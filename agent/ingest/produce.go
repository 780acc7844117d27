package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wadi/agent/api"
	"wadi/agent/topicconfig"
	"wadi/internal/batch"
	"wadi/metadata/state"
)

// maxTimeout bounds what a client may ask for as its timeout.
const maxTimeout = 10 * time.Minute

// Produce implements api.Ingest: it validates every part in the caller's goroutine and hands the good ones to the core.
func (g *Ingest) Produce(_ context.Context, call *api.ProduceCall) {
	now := time.Now().UnixMilli()
	timeout := min(max(call.Timeout, 0), maxTimeout)
	r := &Request{Conn: call.Conn, Items: make([]Item, 0, len(call.Parts)), Deadline: g.now() + timeout}
	parts := make([]int, 0, len(call.Parts)) // of each item
	for i := range call.Parts {
		p := &call.Parts[i]
		b, err := prepare(p, call.AllowZstd, now)
		if err != nil {
			p.Err, p.BaseOffset, p.AppendTime = err, -1, -1
			continue
		}
		r.Items = append(r.Items, Item{Partition: Partition{p.Topic, p.Partition}, Data: b})
		parts = append(parts, i)
	}
	if len(r.Items) == 0 {
		call.Done()
		return
	}
	g.o.View.Read(func(s *state.State) {
		for i := range r.Items {
			if t := s.TopicByNumber(r.Items[i].Partition.Topic); t != nil {
				r.Items[i].TopicID = t.ID
			}
		}
	})
	frame := call.Frame
	if frame != nil {
		frame.Retain()
	}
	r.release = func() {
		if frame != nil {
			frame.Release()
		}
	}
	r.answer = func() {
		for i := range r.Items {
			r.Items[i].report(&call.Parts[parts[i]])
		}
		call.Done()
	}
	g.mu.Lock()
	ended := g.mu.ended
	g.mu.Unlock()
	if ended {
		for _, i := range parts {
			call.Parts[i].Err, call.Parts[i].BaseOffset = api.ErrDraining, -1
		}
		r.release()
		call.Done()
		return
	}
	g.step(func(c *Core, at time.Duration) { c.Produce(at, r) })
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
	if b.Transactional() {
		return nil, fmt.Errorf("transactional batch outside of a transaction: %w", batch.ErrInvalidRecord)
	}
	if codec, fixed := codecOf(cfg); fixed && codec != b.Codec() {
		if b, err = batch.Recompress(b, codec, nil); err != nil {
			return nil, fmt.Errorf("recompress for the topic: %w", err)
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

func codecOf(cfg *topicconfig.Effective) (batch.Codec, bool) {
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
		{ErrNoSession, api.ErrNotProposed},
	} {
		if errors.Is(err, m.from) {
			return fmt.Errorf("%w: %w", m.to, err)
		}
	}
	return err
}
