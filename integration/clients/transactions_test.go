package clients

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/binary"
)

// transactionAPIs are what a transaction with offsets asks for.
var transactionAPIs = []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn}

// stage is what the tests of one client's transactions share.
type stage struct {
	ctx     context.Context
	b       broker
	client  transactional
	program *transactors
	cl      *kgo.Client
	admin   *kadm.Client
}

// TestTransactions: what becomes of transactions of each client, and what the client shows when they fail.
func TestTransactions(t *testing.T) {
	t.Parallel()
	b := oneBroker(t, "WADI_KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS=500")
	ctx := b.context(t, patience) // the scenarios wait for each other
	b.waitFor(ctx, t, transactionAPIs...)
	for _, c := range transactionals {
		t.Run(c.Name(), func(t *testing.T) {
			t.Parallel()
			binary.Need(t, c.Check())
			s := newStage(ctx, t, b, c)
			for name, scenario := range map[string]func(*testing.T){
				"ends": s.ends, "fencing": s.fencing, "a send that fails": s.failedSend, "timeout": s.timeout, "kill": s.kill,
				"offsets of a classic group":  func(t *testing.T) { s.offsets(t, "classic") },
				"offsets of a consumer group": func(t *testing.T) { s.offsets(t, "consumer") },
				"expelled member":             s.expelled,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					scenario(t)
				})
			}
		})
	}
}

func newStage(ctx context.Context, t *testing.T, b broker, c transactional) *stage {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &stage{ctx, b, c, startTransactors(t, c, b.bootstrap), cl, kadm.NewClient(cl)}
}

// ends: commits and aborts over several partitions, and transactions in which nothing happened.
func (s *stage) ends(t *testing.T) {
	topic := s.topic(t, 3)
	x := s.producer(t, "ends", time.Minute)
	x.do("begin")
	committed := x.send(topic, 0, "a0", "a1")
	committed = append(committed, x.send(topic, 1, large("a2"), large("a3"))...)
	s.reads(t, "read_committed", topic, nil)
	s.reads(t, "read_uncommitted", topic, committed)
	x.do("commit")
	x.do("begin")
	aborted := append(x.send(topic, 0, "b0"), x.send(topic, 2, large("b1"))...)
	x.do("abort")
	for _, end := range []string{"commit", "abort"} {
		x.do("begin")
		x.do(end)
	}
	x.do("begin")
	committed = append(committed, x.send(topic, 2, "c0")...)
	committed = append(committed, x.send(topic, 1, "c1")...)
	x.do("commit")
	s.reads(t, "read_committed", topic, committed)
	s.reads(t, "read_uncommitted", topic, append(aborted, committed...))
	s.stable(t, topic, 5, 5, 4) // the records and one marker for each end
}

// fencing: another instance with the same id aborts what the first one had open, before it can do anything itself, and
// the first one learns of it whatever it does next.
func (s *stage) fencing(t *testing.T) {
	topic := s.topic(t, 2)
	id := s.name("fenced")
	var committed []placed
	for i, learns := range []func(first *transactor){
		func(first *transactor) {
			first.fails(s.client.shown().fencedSend, "send", topic, "0", "late")
			first.fails(s.client.shown().fencedCommit, "commit")
		},
		func(first *transactor) { first.fails(s.client.shown().fencedEnd, "commit") },
	} {
		first := s.program.producer(s.ctx, t, id, time.Minute)
		first.do("begin")
		first.send(topic, 0, fmt.Sprint("first", i))
		first.send(topic, 1, fmt.Sprint("first", i))
		second := s.program.producer(s.ctx, t, id, time.Minute)
		s.stable(t, topic, int64(2*i+2), int64(4*i+2))
		second.do("begin")
		learns(first)
		first.fails(s.client.shown().fenced, "abort")
		first.fails(s.client.shown().fenced, "begin")
		committed = append(committed, second.send(topic, 1, fmt.Sprint("second", i))...)
		second.do("commit")
	}
	s.reads(t, "read_committed", topic, committed)
}

// failedSend: after a send that failed a transaction can only be aborted, and the next one goes through; on another
// partition, as librdkafka goes on with a gap in its sequence on this one.
func (s *stage) failedSend(t *testing.T) {
	topic := s.topic(t, 2, "max.message.bytes", "1000")
	x := s.producer(t, "failing", time.Minute)
	x.do("begin")
	x.send(topic, 1, "a")
	x.fails(s.client.shown().tooLarge, "send", topic, "0", strings.Repeat("b", 2000))
	x.fails(s.client.shown().afterFailed, "commit")
	x.do("abort")
	x.do("begin")
	committed := x.send(topic, 1, "c")
	x.do("commit")
	s.reads(t, "read_committed", topic, committed)
}

// timeout: a transaction that takes longer than its timeout is aborted by the broker, the producer is told so when it
// comes back, and a new one begins anew.
func (s *stage) timeout(t *testing.T) {
	var topic, id string
	var x *transactor
	for timeout := 5 * time.Second; ; timeout *= 4 { // enough for a send, unless the machine is busy
		topic, id = s.topic(t, 1), s.name("late")
		x = s.program.producer(s.ctx, t, id, timeout)
		began := time.Now()
		x.do("begin")
		a := x.ask("send", topic, "0", "a")
		if a.Error == "" {
			break
		}
		if time.Since(began) < timeout || timeout > time.Minute {
			t.Fatalf("send: %s\n%s", a.Error, x.program.stderr)
		}
	}
	eventually(s.ctx, t, "the marker of the broker", func() (bool, string) {
		stable := s.ask(t, topic, s.admin.ListCommittedOffsets)
		return stable[0] == 2, fmt.Sprint(stable)
	})
	want := s.client.shown().late
	if s.b.process == nil {
		want = s.client.shown().lateElsewhere
	}
	x.fails(want, "commit")
	x = s.program.producer(s.ctx, t, id, time.Minute)
	x.do("begin")
	committed := x.send(topic, 0, "b")
	x.do("commit")
	s.reads(t, "read_committed", topic, committed)
}

// kill: a producer that dies in its transaction is followed by one with its id, which waits for nothing.
func (s *stage) kill(t *testing.T) {
	topic := s.topic(t, 3)
	id := s.name("killed")
	dying := startTransactors(t, s.client, s.b.bootstrap)
	x := dying.producer(s.ctx, t, id, time.Minute)
	x.do("begin")
	committed := x.send(topic, 0, "a")
	x.do("commit")
	x.do("begin")
	for p := range int32(3) {
		x.send(topic, p, "b", large("b"))
	}
	dying.kill()
	successor := s.program.producer(s.ctx, t, id, time.Minute)
	s.stable(t, topic, 5, 3, 3)
	successor.do("begin")
	committed = append(committed, successor.send(topic, 2, "c")...)
	successor.do("commit")
	s.reads(t, "read_committed", topic, committed)
}

// topic makes one, with configs.
func (s *stage) topic(t *testing.T, partitions int32, configs ...string) string {
	t.Helper()
	name, with := s.name("transactions"), map[string]*string{}
	for pair := range slices.Chunk(configs, 2) {
		with[pair[0]] = &pair[1]
	}
	if answer, err := s.admin.CreateTopic(s.ctx, partitions, 1, with, name); err != nil || answer.Err != nil {
		t.Fatal(err, answer.Err)
	}
	return name
}

func (s *stage) name(what string) string { return fmt.Sprintf("%s-%08x", what, rand.Uint32()) }

func (s *stage) producer(t *testing.T, what string, timeout time.Duration) *transactor {
	t.Helper()
	return s.program.producer(s.ctx, t, s.name(what), timeout)
}

// large makes a value that no entry of the journal takes.
func large(value string) string { return value + strings.Repeat(".", 20_000) }

// shows waits until done says yes. With Wadi it must do so at once: a transaction has ended everywhere when its end is
// acknowledged, where Apache Kafka writes its markers afterwards.
func (b broker) shows(ctx context.Context, t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	if b.process == nil {
		eventually(ctx, t, what, done)
	} else if ok, seen := done(); !ok {
		t.Errorf("%s: found %s", what, seen)
	}
}

// reads holds what a reader finds at an isolation level against what it must find.
func (s *stage) reads(t *testing.T, isolation, topic string, want []placed) {
	t.Helper()
	s.b.shows(s.ctx, t, fmt.Sprintf("%v at %s", inOrder(want), isolation), func() (bool, string) {
		read, err := python{}.ReadAt(s.ctx, isolation, s.b.bootstrap, []string{topic})
		if err != nil {
			t.Fatal(err)
		}
		got := inOrder(place(read))
		return slices.Equal(got, inOrder(want)), fmt.Sprint(got)
	})
}

// stable: all transactions have ended, and partitions end at these offsets.
func (s *stage) stable(t *testing.T, topic string, ends ...int64) {
	t.Helper()
	s.b.shows(s.ctx, t, fmt.Sprintf("partitions that end at %v, nothing open", ends), func() (bool, string) {
		committed, all := s.ask(t, topic, s.admin.ListCommittedOffsets), s.ask(t, topic, s.admin.ListEndOffsets)
		return slices.Equal(committed, ends) && slices.Equal(all, ends), fmt.Sprintf("%v, stable %v", all, committed)
	})
}

// ask lists an offset of each partition, in order.
func (s *stage) ask(t *testing.T, topic string, list func(context.Context, ...string) (kadm.ListedOffsets, error)) []int64 {
	t.Helper()
	answer, err := list(s.ctx, topic)
	if err == nil {
		err = answer.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	offsets := make([]int64, len(answer[topic]))
	answer.Each(func(o kadm.ListedOffset) { offsets[o.Partition] = o.Offset })
	return offsets
}

// committed is what a group has for a partition, -1 when nothing, or the error; stable as a consumer asks that reads
// committed records only (KIP-447).
func (s *stage) committed(t *testing.T, group, topic string, stable bool) (int64, error) {
	t.Helper()
	part := kmsg.NewOffsetFetchRequestGroupTopic()
	part.Topic, part.Partitions = topic, []int32{0}
	asked := kmsg.NewOffsetFetchRequestGroup()
	asked.Group, asked.Topics = group, []kmsg.OffsetFetchRequestGroupTopic{part}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable, req.Groups = stable, []kmsg.OffsetFetchRequestGroup{asked}
	answer, err := req.RequestWith(s.ctx, s.cl)
	if err != nil {
		t.Fatal(err)
	}
	found := answer.Groups[0].Topics[0].Partitions[0]
	return found.Offset, kerr.ErrorForCode(found.ErrorCode)
}
