package clients

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// carrierMember is one GroupTransactSession at work.
type carrierMember struct {
	c       *carrier
	session *kgo.GroupTransactSession
	commits atomic.Int64
	stop    context.CancelFunc
	done    chan struct{}
}

// join starts a member.
func (c *carrier) join() *carrierMember {
	c.t.Helper()
	n := c.members.Add(1)
	session, err := kgo.NewGroupTransactSession(c.versions, kgo.SeedBrokers(c.b.bootstrap),
		kgo.TransactionalID(fmt.Sprintf("%s-%d", c.name, n)), kgo.ConsumerGroup(c.name), kgo.ConsumeTopics(c.in),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DefaultProduceTopic(c.out),
		kgo.HeartbeatInterval(100*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(c.ctx)
	m := &carrierMember{c: c, session: session, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		m.work(ctx, rand.New(rand.NewPCG(7, uint64(n))))
	}()
	c.t.Cleanup(m.leave)
	return m
}

// work transforms until ctx ends: a poll, a transaction.
func (m *carrierMember) work(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		fetches := m.session.PollRecords(ctx, 20)
		if err := fetches.Err(); err != nil && !errors.Is(err, context.Canceled) {
			m.c.t.Errorf("poll: %v", err)
			return
		}
		if fetches.Empty() {
			continue
		}
		if err := m.transform(fetches, random.IntN(10) > 0); err != nil {
			m.c.t.Error(err)
			return
		}
	}
}

func (m *carrierMember) transform(fetches kgo.Fetches, commit bool) error {
	if err := m.session.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	promise := kgo.AbortingFirstErrPromise(m.session.Client())
	fetches.EachRecord(func(r *kgo.Record) {
		m.session.Produce(m.c.ctx, &kgo.Record{Value: r.Value}, promise.Promise())
	})
	stored := promise.Err() == nil
	// It aborts too when the group has rebalanced since the poll.
	committed, err := m.session.End(m.c.ctx, kgo.TransactionEndTry(stored && commit))
	switch {
	case err != nil:
		return fmt.Errorf("end: %w", err)
	case committed:
		m.c.carried.Add(int64(fetches.NumRecords()))
		m.commits.Add(1)
	default:
		m.c.aborts.Add(1)
	}
	return nil
}

// works waits until the member has carried something more.
func (m *carrierMember) works() {
	m.c.t.Helper()
	before := m.commits.Load()
	eventually(m.c.ctx, m.c.t, "the member commits", func() (bool, string) {
		return m.commits.Load() >= before+3, fmt.Sprint(m.commits.Load() - before)
	})
}

// leave lets the member end its transaction and go.
func (m *carrierMember) leave() {
	m.stop()
	<-m.done
	m.session.Close()
}
