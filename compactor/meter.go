package compactor

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wadi/internal/metrics"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
)

// meter counts what the task at work does, by what it asks of the store and of the session. Tasks work one at a time.
type meter struct {
	set *metrics.Set
	at  atomic.Pointer[counters]
}

// counters are a task's.
type counters struct {
	read, written, deleted    prometheus.Counter
	applied, refused, unknown prometheus.Counter
	failures                  prometheus.Counter
	seconds                   prometheus.Observer
}

func (m *meter) begin(task string) {
	change := func(outcome string) prometheus.Counter { return m.set.CompactorChanges.WithLabelValues(task, outcome) }
	m.at.Store(&counters{
		read: m.set.CompactorRead.WithLabelValues(task), written: m.set.CompactorWritten.WithLabelValues(task),
		deleted: m.set.CompactorDeleted.WithLabelValues(task),
		applied: change("applied"), refused: change("refused"), unknown: change("unknown"),
		failures: m.set.CompactorFailures.WithLabelValues(task), seconds: m.set.CompactorPasses.WithLabelValues(task),
	})
}

func (m *meter) end(took time.Duration, err error) {
	c := m.at.Load()
	c.seconds.Observe(took.Seconds())
	if err != nil {
		c.failures.Inc()
	}
}

// outcome counts a command's, each partition on its own where State judges it so.
func (m *meter) outcome(cmd *pb.Command, o session.Outcome) {
	c := m.at.Load()
	if c == nil {
		return
	}
	judged := func(code state.Code) {
		if code == state.OK {
			c.applied.Inc()
		} else {
			c.refused.Inc()
		}
	}
	switch {
	case o.Err != nil:
		c.unknown.Inc()
	case o.Result.Code != state.OK || len(o.Result.Batches) == 0:
		judged(o.Result.Code)
	default:
		for _, b := range o.Result.Batches {
			judged(b.Code)
			if cmd.GetReplaceRuns() != nil && b.Code == state.OK {
				m.set.CompactorRunsGone.Add(float64(b.Base))
			}
		}
	}
}

// meteredSession is the session that tasks propose to.
type meteredSession struct {
	Session
	m *meter
}

func (s meteredSession) Propose(p *session.Proposal) {
	cmd, done := p.Command, p.Done
	p.Done = func(o session.Outcome) {
		s.m.outcome(cmd, o)
		done(o)
	}
	s.Session.Propose(p)
}

// meteredStore is the store that tasks work with.
type meteredStore struct {
	objstore.Store
	m      *meter
	called func(error) // every call's outcome
}

func (s meteredStore) count(n int64, of func(*counters) prometheus.Counter, err error) {
	s.called(err)
	if c := s.m.at.Load(); c != nil && err == nil {
		of(c).Add(float64(n))
	}
}

func read(c *counters) prometheus.Counter    { return c.read }
func written(c *counters) prometheus.Counter { return c.written }
func deleted(c *counters) prometheus.Counter { return c.deleted }

// Put implements objstore.Store.
func (s meteredStore) Put(ctx context.Context, key string, body objstore.Body) error {
	err := s.Store.Put(ctx, key, body)
	s.count(body.Size(), written, err)
	return err
}

// Get implements objstore.Store.
func (s meteredStore) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	data, err := s.Store.Get(ctx, key, off, length)
	s.count(int64(len(data)), read, err)
	return data, err
}

// PutPart implements objstore.Uploader.
func (s meteredStore) PutPart(ctx context.Context, up objstore.Upload, number int, body objstore.Body) (objstore.Part, error) {
	part, err := s.Store.PutPart(ctx, up, number, body)
	s.count(body.Size(), written, err)
	return part, err
}

// Date implements objstore.Store.
func (s meteredStore) Date(ctx context.Context) (time.Time, error) {
	at, err := s.Store.Date(ctx)
	s.called(err)
	return at, err
}

// Delete implements objstore.Store.
func (s meteredStore) Delete(ctx context.Context, keys []string) error {
	err := s.Store.Delete(ctx, keys)
	s.count(int64(len(keys)), deleted, err)
	return err
}
