package delay_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/cluster"
	"wadi/integration/delay"
)

// delayed are the requests of KAFKA-17754.
var delayed = []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.EndTxn}

// first runs a producer's first transaction: a value in each partition and a position. Of the requests of one kind the
// last is caught on its way and sent again over another connection.
func (p *producer) first(late kmsg.Key, commit bool) *delay.Catch {
	p.t.Helper()
	var caught *delay.Catch
	step := func(s sent, elsewhere int) {
		p.t.Helper()
		if kmsg.Key(s.req.Key()) == late {
			caught = p.hold(s)
			s.agent = elsewhere
		}
		p.do(s)
	}
	other := (p.coordinator + 1) % len(p.agents)
	if p.tv == 1 || late == kmsg.AddPartitionsToTxn { // a client of TV2 has no need to
		step(p.register(0, 1), p.coordinator)
	}
	p.do(p.write(p.coordinator, 0, "first 0"))
	step(p.write(p.coordinator, 1, "first 1"), other)
	if p.tv == 1 {
		p.do(p.addGroup())
	}
	s := p.position(10)
	step(s, s.agent)
	step(p.end(commit), p.coordinator)
	return caught
}

// second begins the next transaction, lets in what is late, and goes on: a value in each partition and a position.
func (p *producer) second(late *delay.Catch, commit bool) (answer int16) {
	p.t.Helper()
	if p.tv == 1 {
		p.do(p.register(0, 1), p.addGroup())
	}
	p.do(p.write(p.coordinator, 0, "second 0"))
	answer = p.arrives(late)
	p.do(p.write(p.coordinator, 1, "second 1"), p.position(20), p.end(commit))
	return answer
}

// holds that both transactions are there as a whole or not at all, as they were ended.
func (p *producer) holds(first, second bool) {
	p.t.Helper()
	for partition := range int32(2) {
		var want []string
		if first {
			want = append(want, fmt.Sprint("first ", partition))
		}
		if second {
			want = append(want, fmt.Sprint("second ", partition))
		}
		require.Equal(p.t, want, p.visible(partition), "partition %d", partition)
		require.Equal(p.t, p.listed(partition, 0), p.listed(partition, 1), "something is still open on partition %d", partition)
	}
	switch {
	case second:
		require.EqualValues(p.t, 20, p.positionNow())
	case first:
		require.EqualValues(p.t, 10, p.positionNow())
	default:
		require.EqualValues(p.t, -1, p.positionNow())
	}
}

// four runs a test for all ways in which two transactions end.
func four(t *testing.T, test func(t *testing.T, first, second bool)) {
	how := map[bool]string{true: "commit", false: "abort"}
	for _, first := range []bool{true, false} {
		for _, second := range []bool{true, false} {
			t.Run(fmt.Sprint(how[first], "-", how[second]), func(t *testing.T) {
				t.Parallel()
				test(t, first, second)
			})
		}
	}
}

// suite is what the tests of this package share: three agents, each behind a proxy, with a link to etcd that can be cut.
type suite struct {
	c     *cluster.Cluster
	rules *delay.Rules
}

// start runs agents whose sessions live for that long.
func start(t *testing.T, ttl time.Duration) suite {
	t.Helper()
	s := suite{rules: delay.NewRules()}
	s.c = cluster.Start(t, cluster.Options{Rules: s.rules, Links: true, TTL: ttl})
	return s
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	s := start(t, time.Minute) // a busy machine ends none
	t.Run("late requests of TV2", s.lateTV2)
	t.Run("late requests of TV1", s.lateTV1)
	t.Run("late start", s.lateStart)
	t.Run("lost replies", s.lostReplies)
	t.Run("a client", s.client)
	t.Run("late uploads", s.lateUploads)
}

// Agents are taken away until their sessions are over.
func TestLateProposals(t *testing.T) {
	t.Parallel()
	start(t, 2*time.Second).lateProposals(t)
}

func (s suite) producer(t *testing.T, tv int) *producer {
	t.Helper()
	return newProducer(t, s.c, s.rules, tv, strings.NewReplacer("/", ".", " ", "-", "#", "-").Replace(t.Name()))
}

// KAFKA-17754, with clients of TV2: a request of one transaction that arrives while the next one runs is refused, as
// the epoch that it names ended with its transaction (KIP-890). No write is lost, no aborted one is read, no transaction
// is torn.
func (s suite) lateTV2(t *testing.T) {
	for _, key := range delayed {
		refused := int16(90) // PRODUCER_FENCED
		if key == kmsg.Produce || key == kmsg.TxnOffsetCommit {
			refused = 47 // INVALID_PRODUCER_EPOCH
		}
		t.Run(key.Name(), func(t *testing.T) {
			four(t, func(t *testing.T, first, second bool) {
				p := s.producer(t, 2)
				late := p.first(key, first)
				require.Equal(t, refused, p.second(late, second))
				p.holds(first, second)
			})
		})
	}
	// A write that its client has given up, and with it its transaction, was never stored before it arrives.
	t.Run("Produce not repeated", func(t *testing.T) {
		p := s.producer(t, 2)
		p.do(p.write(p.coordinator, 0, "first 0"))
		late := p.hold(p.write(p.coordinator, 1, "first 1"))
		p.do(p.end(false))
		require.EqualValues(t, 47, p.second(late, true))
		p.holds(false, true)
	})
}

// A start that is late fences the producer that has started since, as any other producer's start does. It cannot be told
// from one, whichever the client; the transaction is aborted as a whole, and its client is told.
func (s suite) lateStart(t *testing.T) {
	for tv := 1; tv <= 2; tv++ {
		t.Run(map[int]string{1: "TV1", 2: "TV2"}[tv], func(t *testing.T) {
			p := s.producer(t, tv)
			late := p.hold(p.start())
			require.Zero(t, p.initialize())
			if tv == 1 {
				p.do(p.register(0, 1))
			}
			p.do(p.write(p.coordinator, 0, "first 0"))
			require.Zero(t, p.arrives(late))
			p.fails(47, p.write(p.coordinator, 1, "first 1"))
			p.fails(90, p.end(true))
			require.Zero(t, p.initialize())
			if tv == 1 {
				p.do(p.register(0, 1), p.addGroup())
			}
			p.do(p.write(p.coordinator, 0, "second 0"), p.write(p.coordinator, 1, "second 1"), p.position(20), p.end(true))
			p.holds(false, true)
		})
	}
}
