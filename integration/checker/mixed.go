package checker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	h "wadi/integration/history"
)

// mixed is the owner of one transactional id: transactions that send to several partitions and poll, end either way, are
// left behind by clients that crash, are overtaken by a second client of the same id, or last longer than they may.
type mixed struct {
	r      *run
	id     string
	topics []topic
	random *rand.Rand
	lives  int
	// pinned makes clients speak transaction version 1.
	old bool
}

// held is a transaction with acknowledged sends that waits to be ended until on is closed.
type held struct {
	id  string
	txn int64
	on  chan struct{}
}

// holder hands the next transaction that has acknowledged sends, of whatever client, to who asks for it.
type holder struct {
	sync.Mutex
	wanted chan held // nil while nobody asks
}

// next waits for a transaction; false when none comes. Who gets one closes its on.
func (x *holder) next(ctx context.Context, within time.Duration) (held, bool) {
	wanted := make(chan held, 1)
	x.Lock()
	x.wanted = wanted
	x.Unlock()
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	select {
	case h := <-wanted:
		return h, true
	case <-bounded.Done():
	}
	x.Lock()
	defer x.Unlock()
	x.wanted = nil
	select {
	case h := <-wanted: // just now
		return h, true
	default:
		return held{}, false
	}
}

// give gives a transaction to who asked for one, and waits until it may go on.
func (x *holder) give(ctx context.Context, h held) {
	x.Lock()
	if x.wanted == nil {
		x.Unlock()
		return
	}
	x.wanted <- h // it has room for one
	x.wanted = nil
	x.Unlock()
	select {
	case <-h.on:
	case <-ctx.Done():
	}
}

// instance is one client of the transactional id.
type instance struct {
	*sender
	m    *mixed
	cl   *kgo.Client
	line *line
	poll int64
}

// limit is the transactions' timeout.
const limit = 8 * time.Second

// open makes a client and gets its producer id: all earlier ones are fenced when it returns.
func (m *mixed) open(ctx context.Context) (*instance, error) {
	m.lives++
	who := fmt.Sprintf("%s.%d", m.id, m.lives)
	from := map[string]map[int32]kgo.Offset{}
	for _, t := range m.topics {
		from[t.name] = map[int32]kgo.Offset{}
		for p := range t.partitions {
			from[t.name][p] = kgo.NewOffset().AtEnd()
		}
	}
	opts := []kgo.Opt{
		kgo.TransactionalID(m.id), kgo.TransactionTimeout(limit), kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	}
	if m.old {
		opts = append(opts, kgo.MaxVersions(oldVersions()))
	}
	cl, l, err := m.r.client(who, opts...)
	if err != nil {
		return nil, err
	}
	in := &instance{sender: &sender{r: m.r, who: who, random: m.random, large: 15}, m: m, cl: cl, line: l}
	ref := m.r.rec.Add(h.Fact{Kind: h.InitAttempt, Who: who, Name: m.id})
	f := h.Fact{Kind: h.InitReply, Who: who, Name: m.id, Ref: ref, Outcome: h.OK}
	ask, cancel := patient(m.r.sending)
	defer cancel()
	if f.Producer, f.Epoch, err = cl.ProducerID(ask); err != nil {
		f.Outcome, f.Error = h.Unknown, err.Error()
	}
	m.r.rec.Add(f)
	if err != nil {
		in.crash()
		return nil, err
	}
	return in, nil
}

// crash ends the client without a word to anybody.
func (in *instance) crash() {
	in.line.cut()
	in.cl.Close()
}

func (m *mixed) run(ctx context.Context) {
	var in *instance
	for ctx.Err() == nil {
		if in == nil {
			var err error
			if in, err = m.open(ctx); err != nil {
				m.r.note(m.id, "open: %v", err)
				pause(ctx, 200*time.Millisecond)
				continue
			}
		}
		next, err := m.transaction(ctx, in)
		if err != nil {
			m.r.note(in.who, "given up: %v", err)
			in.crash()
			next = nil
		}
		in = next
		pause(ctx, time.Duration(m.random.IntN(60))*time.Millisecond)
	}
	if in != nil {
		// The last transaction stays open: nothing but its timeout ends it.
		if txn, err := in.begin(ctx); err == nil {
			in.send(txn, 3)
			in.flush()
		}
		in.crash()
	}
}

// begin begins a transaction and says under which epoch.
func (in *instance) begin(ctx context.Context) (int64, error) {
	if err := in.cl.BeginTransaction(); err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	f := h.Fact{Kind: h.Begin, Who: in.who, Name: in.m.id, Txn: in.r.rec.NextTxn(), Limit: int64(limit), Generation: 2}
	if in.m.old {
		f.Generation = 1
	}
	ask, cancel := patient(in.r.sending)
	defer cancel()
	var err error
	if f.Producer, f.Epoch, err = in.cl.ProducerID(ask); err != nil {
		return 0, fmt.Errorf("producer id: %w", err)
	}
	in.r.rec.Add(f)
	return f.Txn, nil
}

// sent are the sends of a transaction.
type sent struct {
	sync.Mutex
	failed error
	acked  int
}

// send sends n records to partitions drawn.
func (in *instance) send(txn int64, n int) *sent {
	s := &sent{}
	for range n {
		t := in.m.topics[in.random.IntN(len(in.m.topics))]
		in.sendTo(s, txn, t.name, in.random.Int32N(t.partitions))
	}
	return s
}

func (in *instance) sendTo(s *sent, txn int64, topic string, partition int32) {
	rec := in.record(txn, topic, partition, "")
	in.cl.Produce(in.r.sending, rec, func(rec *kgo.Record, err error) {
		in.answered(txn, rec, err)
		s.Lock()
		defer s.Unlock()
		if err != nil {
			s.failed = err
			return
		}
		s.acked++
	})
}

func (in *instance) flush() error {
	ctx, cancel := patient(in.r.sending)
	defer cancel()
	return in.cl.Flush(ctx)
}

// receive polls once inside the transaction.
func (in *instance) receive(txn int64) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	in.poll++
	fetches := in.cl.PollRecords(ctx, 20)
	in.r.fetched(in.who, fetches)
	fetches.EachRecord(func(rec *kgo.Record) { in.r.read(in.who, txn, in.poll, true, "", rec) })
}

// end asks for the end and records both.
func (in *instance) end(txn int64, commit bool) error {
	in.r.rec.Add(h.Fact{Kind: h.EndAttempt, Who: in.who, Name: in.m.id, Txn: txn, Commit: commit})
	f := h.Fact{Kind: h.EndReply, Who: in.who, Name: in.m.id, Txn: txn, Commit: commit, Outcome: h.OK}
	ctx, cancel := patient(in.r.sending)
	defer cancel()
	if !commit {
		if err := in.cl.AbortBufferedRecords(ctx); err != nil {
			return fmt.Errorf("abort what is buffered: %w", err)
		}
	}
	err := in.cl.EndTransaction(ctx, kgo.TransactionEndTry(commit))
	if err != nil {
		f.Outcome, f.Error = h.Unknown, err.Error()
	}
	in.r.rec.Add(f)
	if err != nil {
		return fmt.Errorf("end: %w", err)
	}
	return nil
}

// transaction runs one and returns who runs the next one: nil for a new client.
func (m *mixed) transaction(ctx context.Context, in *instance) (*instance, error) {
	txn, err := in.begin(ctx)
	if err != nil {
		return nil, err
	}
	s := &sent{}
	for range 1 + m.random.IntN(3) {
		if m.random.IntN(3) == 0 {
			in.receive(txn)
			continue
		}
		for range 1 + m.random.IntN(4) {
			t := m.topics[m.random.IntN(len(m.topics))]
			in.sendTo(s, txn, t.name, m.random.Int32N(t.partitions))
		}
	}
	if m.random.IntN(40) == 0 { // sends on their way
		in.crash()
		return nil, nil
	}
	if err := in.flush(); err != nil {
		return nil, fmt.Errorf("flush: %w", err)
	}
	if s.failed != nil {
		_ = in.end(txn, false) // what failed once gets a new client; that says what there is to say
		return nil, s.failed
	}
	if s.acked > 0 {
		m.r.holds.give(ctx, held{m.id, txn, make(chan struct{})})
	}
	switch n := m.random.IntN(100); {
	case n < 3:
		in.crash() // all acknowledged, nothing ended
		return nil, nil
	case n < 6:
		return m.overtake(ctx, in, txn)
	case n < 7:
		return nil, m.oversleep(ctx, in, txn)
	case n < 25:
		return in, in.end(txn, false)
	}
	return in, in.end(txn, true)
}

// overtake (F20): a second client of the id comes, begins and sends while the first one, which knows nothing, goes on.
func (m *mixed) overtake(ctx context.Context, old *instance, txn int64) (*instance, error) {
	m.r.start(overtaken, m.id)
	fired := false
	defer func() { m.r.stop(overtaken, m.id, fired, "") }()
	successor, err := m.open(ctx)
	if err != nil {
		old.crash()
		return nil, err
	}
	second, err := successor.begin(ctx)
	if err != nil {
		old.crash()
		return successor, err
	}
	s := successor.send(second, 2)
	_ = successor.flush()
	// Everywhere: also where the successor has not been yet.
	z := &sent{}
	for _, t := range m.topics {
		for p := range t.partitions {
			old.sendTo(z, txn, t.name, p)
		}
	}
	flushed := old.flush()
	ended := old.end(txn, true)
	fired = (z.failed != nil || flushed != nil) && ended != nil
	old.crash()
	if s.failed != nil {
		return nil, s.failed
	}
	return successor, successor.end(second, true)
}

// oversleep: a transaction lasts longer than its timeout; the cluster ends it.
func (m *mixed) oversleep(ctx context.Context, in *instance, txn int64) error {
	m.r.start(overslept, m.id)
	if !pause(ctx, limit+11*time.Second) {
		m.r.stop(overslept, m.id, false, "the run ended")
		in.crash()
		return nil
	}
	err := in.end(txn, true)
	m.r.stop(overslept, m.id, err != nil, fmt.Sprint(err))
	in.crash()
	return nil
}
