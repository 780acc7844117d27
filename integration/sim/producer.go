package sim

import (
	"encoding/binary"
	"time"

	"wadi/agent/ingest"
	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// producer is one Kafka producer: idempotent, with up to five batches of a partition in flight and retries, or plain,
// without retries.
type producer struct {
	w          *World
	id         int
	idempotent bool
	spread     bool  // sends to all agents at once instead of one
	home       int   // the agent it sends to
	pid        int64 // -1 = not known yet
	epoch      int16
	of         *process // nil = of no transactional id
	asking     bool
	streams    []*stream
	conns      [3]*conn
	pace       time.Duration // between its batches, on average
	big        bool          // batches that go to the bucket
}

// stream is a producer's batches of one partition.
type stream struct {
	p       *producer
	log     int32
	nextN   int
	nextSeq int32
	unacked []*sent // in order
	failed  bool    // nothing more goes out before everything in flight is answered; then all goes again
	tries   int
	retryAt time.Duration
}

// sent is one batch of a producer, however often it is sent.
type sent struct {
	stream   *stream
	n        int // counts the stream's batches
	seq      int32
	records  int32
	inFlight int
	acked    bool
	dropped  bool // its transaction is over
	txn      *transaction
	source   *attempt // what it is a copy of, nil = none
	base     int64
	logged   *attempt // the one that the log holds
}

// attempt is one sending of a batch. Its bytes are unlike those of all others, so that the log tells which one it holds.
type attempt struct {
	id        int64
	batch     *sent
	conn      uint64
	by        grant
	order     int // counts the attempts of its connection and partition
	data      batch.Batch
	records   []keyed // of a table
	forbidden bool    // it was answered that it will not land
	first     bool    // everything before it was acknowledged when it was sent
	in        *opened // the transaction that it landed in
	logged    bool
	base      int64
}

func (w *World) startClients() {
	for i := range 6 {
		p := &producer{
			w: w, id: i, idempotent: i < 4, spread: i < 4 && w.chance(0.4), home: w.rng.IntN(3), pid: -1,
			pace: w.between(15*time.Millisecond, 150*time.Millisecond), big: w.chance(0.3),
		}
		for k := range int32(logs) {
			if k < partitions && (k == 0 || w.chance(0.6)) || isTable(k) && w.chance(0.5) {
				p.streams = append(p.streams, &stream{p: p, log: k})
			}
		}
		w.producers = append(w.producers, p)
		w.after(w.between(0, time.Second), p.tick)
	}
	w.createTopic("orders", partitions, w.ordersConfigs(), &w.orders)
	w.createTopic("feed", feeds, nil, &w.feed)
	w.createTopic("table", tables, w.tableConfigs(), &w.table)
	w.startReaders()
	w.scrap()
	w.trims()
	w.startGroups()
	w.startTellers()
	w.startCopiers()
}

func (a *agent) propose(cmd *pb.Command, done func(session.Outcome)) {
	a.sessStep(func(c *session.Core) {
		c.Propose(a.instant(), &session.Proposal{Command: cmd, Control: true, Done: done})
	})
}

// tick makes new batches while producers produce.
func (p *producer) tick() {
	w := p.w
	if w.now < w.opts.Active {
		w.after(time.Duration(w.rng.ExpFloat64()*float64(p.pace)), p.tick)
		if w.chance(0.02) {
			p.home = w.rng.IntN(3) // a client that heard of another leader
		}
		if w.ready() && (!p.idempotent || p.pid >= 0) {
			s := p.streams[w.rng.IntN(len(p.streams))]
			if len(s.unacked) == 0 || s.nextN-s.unacked[0].n < 5 { // what State remembers
				s.add(int32(1 + w.rng.IntN(3)))
			}
		}
	} else if p.busy() {
		w.after(100*time.Millisecond, p.tick)
	}
	p.ask()
	p.pump()
}

func (p *producer) busy() bool {
	for _, s := range p.streams {
		if len(s.unacked) > 0 {
			return true
		}
	}
	return false
}

// ask gets the producer its id.
func (p *producer) ask() {
	if !p.idempotent || p.pid >= 0 || p.asking {
		return
	}
	a := p.w.anyAgent()
	if !a.up || !a.opened {
		return
	}
	p.asking = true
	p.w.after(3*time.Second, func() { p.asking = false })
	a.deliver(func() {
		a.propose(&pb.Command{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}}, func(o session.Outcome) {
			if o.Err == nil && p.pid < 0 {
				p.pid = o.Result.ID
				p.w.oracle.tookProducer(p.pid)
			}
		})
	})
}

// deliver runs f in the producer's process.
func (p *producer) deliver(f func()) {
	if p.of == nil {
		f()
		return
	}
	p.of.deliver(f)
}

func (s *stream) add(records int32) *sent {
	b := &sent{stream: s, n: s.nextN, seq: -1, records: records, base: -1}
	s.nextN++
	if s.p.idempotent {
		b.seq = s.nextSeq
		s.nextSeq += records
	}
	s.unacked = append(s.unacked, b)
	return b
}

// pump sends what may be sent: one request for each agent, with at most one batch of a partition.
func (p *producer) pump() {
	w := p.w
	var open [3]*rpc
	flush := func(i int) {
		if r := open[i]; r != nil {
			open[i] = nil
			r.conn.send(r)
		}
	}
	for _, s := range p.streams {
		if s.failed {
			if s.flying() || w.now < s.retryAt {
				continue
			}
			s.failed = false
			if w.chance(0.5) {
				p.home = w.rng.IntN(3)
			}
		}
		for i, b := range s.unacked {
			if b.inFlight > 0 {
				continue
			}
			to := p.home
			if p.spread {
				to = w.rng.IntN(3)
			}
			c := p.connect(w.agents[to])
			if c == nil {
				p.home = w.rng.IntN(3)
				break
			}
			if r := open[to]; r != nil && (r.has(s) || w.chance(0.5)) {
				flush(to)
			}
			if open[to] == nil {
				open[to] = &rpc{conn: c, timeout: w.between(500*time.Millisecond, 4*time.Second)}
			}
			open[to].attempts = append(open[to].attempts, p.attempt(c, b, i == 0))
		}
	}
	for i := range open {
		flush(i)
	}
}

func (r *rpc) has(s *stream) bool {
	for _, at := range r.attempts {
		if at.batch.stream == s {
			return true
		}
	}
	return false
}

func (s *stream) flying() bool {
	for _, b := range s.unacked {
		if b.inFlight > 0 {
			return true
		}
	}
	return false
}

func (p *producer) attempt(c *conn, b *sent, first bool) *attempt {
	at := p.w.oracle.newAttempt(b, c.id)
	at.first, at.by = first, grant{p.pid, p.epoch}
	b.inFlight++
	at.data = p.build(at)
	return at
}

// build makes the attempt's bytes, which are like those of no other attempt. Records of tables have a key, and some have
// no value: their headers tell them apart.
func (p *producer) build(at *attempt) batch.Batch {
	var w batch.Builder
	opts := batch.NoProducer(batch.None)
	if p.idempotent {
		opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence = at.by.id, at.by.epoch, at.batch.seq
		opts.Transactional = p.of != nil
	}
	w.Reset(opts)
	size := 20
	switch n := p.w.rng.IntN(10); {
	case n == 0:
		size = 3000
	case p.big && n < 6:
		size = 1500
	}
	value := make([]byte, size)
	binary.BigEndian.PutUint64(value, uint64(at.id))
	for i := range at.batch.records {
		value[8] = byte(i)
		r := batch.Record{Timestamp: p.w.wall().UnixMilli(), Value: value}
		if isTable(at.batch.stream.log) {
			r.Key, r.Headers = keys[p.w.rng.IntN(len(keys))], batch.NewHeaders(batch.Header{Key: value[:9]})
			if p.w.chance(0.25) {
				r.Value = nil
			}
			at.records = append(at.records, keyed{string(r.Key), r.Value == nil, r.Timestamp})
		}
		if err := w.Append(r); err != nil {
			panic(err)
		}
	}
	data, err := w.Build(nil)
	if err != nil {
		panic(err)
	}
	p.w.oracle.sums[batch.Batch(data).CRC()] = append(p.w.oracle.sums[batch.Batch(data).CRC()], at)
	return data
}

// keys of the records of tables.
var keys = [][]byte{[]byte("a"), []byte("b"), []byte("c"), []byte("d"), []byte("e"), []byte("f")}

// result takes what a client learns of an attempt.
func (p *producer) result(at *attempt, r ingest.Result) {
	w, b := p.w, at.batch
	s := b.stream
	b.inFlight--
	if b.acked || b.dropped {
		return
	}
	ok := r.Err == nil && (r.Code == state.OK || r.Code == state.Duplicate)
	switch {
	case ok:
		b.acked, b.base = true, r.Base
		w.stats.Acked++
		w.oracle.acked(b)
	case !p.idempotent:
	case p.of != nil && r.Err == nil && r.Code != state.OutOfOrderSequence:
		p.of.refused(at, r.Code)
		return
	case r.Err == nil && at.first:
		w.violated("producer %d partition %d batch %d seq %d attempt %d: %s although everything before it was acknowledged",
			p.id, s.log, b.n, b.seq, at.id, r.Code)
	default:
		s.failed = true
		s.tries++
		s.retryAt = w.now + w.between(5*time.Millisecond, 100*time.Millisecond)
		w.after(s.retryAt-w.now, func() { p.deliver(p.pump) })
	}
	n := 0
	for _, x := range s.unacked {
		if !x.acked && !(x == b && !p.idempotent) {
			s.unacked[n] = x
			n++
		}
	}
	clear(s.unacked[n:])
	s.unacked = s.unacked[:n]
}
