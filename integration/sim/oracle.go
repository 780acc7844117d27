package sim

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/agent/ingest"
	"wadi/internal/batch"
	"wadi/internal/layout"
	"wadi/metadata/checkpoint"
	"wadi/metadata/journal"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// oracle reads the journal the moment it is written and keeps the log as it must be seen by everybody from then on.
type oracle struct {
	w          *World
	next       int64 // revision to read from
	st         *state.State
	entries    int
	head       int64
	digests    map[int64]state.Digest
	places     map[string]int64       // of the journal's keys
	frozen     map[int64]*state.State // State at marks
	pointer    *pb.Pointer
	needed     map[string]bool // the objects of the roots that the pointer keeps
	objects    layout.Objects
	tombstones time.Duration // how long those of tables stay
	youngest   time.Duration // what is younger is not compacted

	logs     [logs][]logged
	attempts int64                 // made so far
	sums     map[uint32][]*attempt // by the checksum of their bytes
	pids     map[int64]bool
	orders   map[connPartition]int // the attempts of a connection and partition, and the last one that the log holds
	landed   map[connPartition]int
	lastSeq  map[producerLog]int32
	ackedTo  [logs]int64 // next offset after the highest that was acknowledged

	starts    [logs]int64      // where the logs begin
	toldStart [logs]int64      // the highest that a client was told
	changed   map[uint64]int64 // positions at which topics last changed

	groups *groupsOracle
	txns   *txnsOracle

	compactions *compactions
}

// logged is one batch of a log, or the marker that ends a transaction there.
type logged struct {
	base, last int64
	attempt    *attempt // nil = a marker
	position   int64
	txn        *opened // nil = of no transaction
	epoch      int16   // of a marker
	ms         int64   // likewise: its time
}

type connPartition struct {
	conn      uint64
	partition int32
}

type producerLog struct {
	grant
	log int32
}

func newOracle(w *World) *oracle {
	return &oracle{
		w: w, next: 1, st: state.New(), digests: map[int64]state.Digest{}, places: map[string]int64{},
		frozen: map[int64]*state.State{}, sums: map[uint32][]*attempt{}, changed: map[uint64]int64{}, objects: layout.NewObjects(clusterName, 1), pids: map[int64]bool{},
		orders: map[connPartition]int{}, landed: map[connPartition]int{}, lastSeq: map[producerLog]int32{},
		groups: newGroupsOracle(w), txns: newTxnsOracle(w), compactions: newCompactions(w),
	}
}

// read takes in what etcd has become. It reports whether anything changed.
func (o *oracle) read() bool {
	root := o.w.keys.Root()
	events, next, err := o.w.etcd.EventsSince(root, kv.PrefixEnd(root), o.next, false, 0)
	if err != nil {
		o.w.violated("the oracle cannot follow etcd: %v", err)
		return false
	}
	o.next = next
	var entries []kv.Event
	for _, e := range events {
		if strings.HasPrefix(e.KV.Key, o.w.keys.JournalPrefix()) && !e.Delete {
			entries = append(entries, e)
		}
		if _, _, err := o.w.keys.ParseEntry(e.KV.Key); err == nil && e.Delete {
			o.trimmed(e.KV.Key)
		}
		if strings.HasPrefix(e.KV.Key, o.w.keys.SessionsPrefix()) {
			o.w.joins++
		}
		if e.KV.Key == o.w.keys.Checkpoint() {
			o.moved(e)
		}
	}
	b := journal.Decode(o.w.keys, kv.WatchResponse{Events: entries})
	if b.Err != nil {
		o.w.violated("journal: %v", b.Err)
	}
	for _, e := range b.Entries {
		o.apply(e)
	}
	return len(events) > 0
}

func (o *oracle) apply(e journal.Entry) {
	w := o.w
	o.places[w.keys.Entry(e.Session, e.Seq)] = e.Position
	if o.head++; e.Head != o.head {
		w.violated("head %d at position %d, %d entries before", e.Head, e.Position, o.head-1)
	}
	d, err := state.Decode(e.Position, e.Session, e.Seq, e.Value)
	if err != nil {
		w.violated("entry at position %d: %v", e.Position, err)
		return
	}
	res := o.st.Apply(d)
	o.entries++
	o.digests[e.Position] = o.st.Digest()
	w.note("entry position=%d session=%s seq=%d commands=%d refused=%s repeat=%t", e.Position, e.Session, e.Seq,
		len(d.Body.Commands), res.Refused, res.Repeat)
	o.txns.proposed = time.Duration(d.Body.AtMs-epochMs) * time.Millisecond
	for i := range res.Commands {
		r := &res.Commands[i]
		switch c := d.Body.Commands[i]; {
		case c.GetAppendBatches() != nil && r.Code == state.OK:
			o.appended(e, c.GetAppendBatches(), d.Body.Inline, r.Batches)
		case c.GetAppendBatches() != nil && r.Code != state.SessionNotOpen:
			w.violated("append at position %d: %s", e.Position, r.Code)
		case c.GetTrimPartitions() != nil && r.Code == state.OK:
			o.cutOff(e, c.Base, c.GetTrimPartitions(), r.Batches)
		case c.GetCreatePartitions() != nil && c.GetCreatePartitions().Topic == w.orders && r.Code == state.OK:
			o.altered(w.orders, e.Position)
		case c.GetAlterConfigs() != nil && r.Code == state.OK:
			o.altered(c.GetAlterConfigs().Topic, e.Position)
		case c.GetUpdateGroup() != nil && r.Code == state.OK:
			o.groups.updated(e, c.GetUpdateGroup())
		case c.GetCommitOffsets() != nil && r.Code == state.OK:
			o.groups.commits(e, c.GetCommitOffsets())
		case c.GetInitProducer().GetTransactionalId() != "" && r.Code == state.OK:
			o.txns.initialized(e, c.GetInitProducer(), r)
		case c.GetAddToTxn() != nil && r.Code == state.OK:
			o.txns.added(e, c.GetAddToTxn())
		case c.GetCommitTxnOffsets() != nil && r.Code == state.OK:
			o.txns.held(e, c.GetCommitTxnOffsets())
		case c.GetEndTxn() != nil && r.Code == state.OK:
			o.txns.ended(e, c.GetEndTxn(), r)
		case c.GetReplaceRuns() != nil && r.Code == state.OK:
			o.compactions.replaced(e, c.GetReplaceRuns(), r)
		case c.GetOpenSession() != nil && r.Code == state.OK:
			o.compactions.opened(e, c.GetOpenSession(), r)
		case c.GetCloseSession() != nil && r.Code == state.OK:
			o.compactions.closes(layout.Session(c.GetCloseSession().Session))
		case c.GetFoldRuns() != nil && r.Code == state.OK:
			o.compactions.folded(e, c.GetFoldRuns())
		case c.GetUnfoldRuns() != nil && r.Code == state.OK:
			o.compactions.unfolded(e, c.GetUnfoldRuns(), r)
		case c.GetForgetSessions() != nil && r.Code == state.OK:
			o.compactions.forgot(e, c.GetForgetSessions())
		case c.GetMark() != nil && r.Code == state.OK:
			o.frozen[e.Position] = o.st.Freeze()
			if err := o.st.Check(); err != nil {
				w.violated("%v", err)
			}
		}
	}
	o.compactions.closes(e.Session)
	o.txns.look()
}

// appended goes through the batches of a command: each must lie where the command says, and what State accepted extends
// the log.
func (o *oracle) appended(e journal.Entry, c *pb.AppendBatches, inline []byte, results []state.BatchResult) {
	source := inline
	if c.Flush != 0 {
		key := o.objects.Flush(e.Session, c.Flush)
		if source = o.w.bucket.objects[key]; source == nil || uint64(len(source)) != c.Size {
			o.w.violated("position %d names %s of %d bytes, the bucket has %d", e.Position, key, c.Size, len(source))
			return
		}
	}
	run, n := 0, 0
	for s := range c.Topics {
		at := c.Offsets[s]
		for end := run + int(c.Runs[s]); run < end; run++ {
			for k := c.Batches[run]; k > 0; k-- {
				data := batch.Batch(source[at : at+uint64(c.Bytes[n])])
				at += uint64(c.Bytes[n])
				if log, ok := o.w.logOf(c.Topics[s], c.Partitions[s]); ok {
					o.judged(e, log, data, results[n])
					o.txns.labelled(e, data, c.Transactional, run)
				} else if data.ComputeCRC() != data.CRC() {
					o.w.violated("position %d holds bytes that nobody sent", e.Position)
				}
				n++
			}
		}
	}
}

// judged checks State's verdict on one batch.
func (o *oracle) judged(e journal.Entry, log int32, data batch.Batch, r state.BatchResult) {
	w := o.w
	at := o.attemptOf(data)
	if at == nil {
		w.violated("position %d holds bytes that nobody sent", e.Position)
		return
	}
	id, b := at.id, at.batch
	w.note("batch attempt=%d log=%d seq=%d: %s base=%d", id, log, b.seq, r.Code, r.Base)
	if r.Code != state.OK {
		return
	}
	next := o.end(log)
	switch {
	case b.stream.log != log:
		w.violated("attempt %d for log %d landed in %d", id, b.stream.log, log)
	case r.Base != next:
		w.violated("log %d: base offset %d behind %d", log, r.Base, next-1)
	case at.logged:
		w.violated("attempt %d landed twice, at offsets %d and %d", id, at.base, r.Base)
	case at.forbidden:
		w.violated("attempt %d of producer %d landed at position %d although its answer was that it will not", id, b.stream.p.id, e.Position)
	case b.stream.p.idempotent && b.logged != nil:
		w.violated("batch %d of producer %d is doubled: attempts %d and %d", b.n, b.stream.p.id, b.logged.id, id)
	}
	k := connPartition{at.conn, log}
	// An idempotent producer's retry may pass its own later batches that wait for it: sequences keep their order.
	if at.order <= o.landed[k] && !b.stream.p.idempotent {
		w.violated("connection %d log %d: attempt %d landed after a later one", at.conn, log, id)
	}
	o.landed[k] = at.order
	if b.stream.p.idempotent {
		k := producerLog{at.by, log}
		if want, ok := o.lastSeq[k]; ok && b.seq != want || !ok && b.seq != 0 {
			w.violated("producer %d log %d: sequence %d, expected %d", at.by.id, log, b.seq, want)
		}
		o.lastSeq[k] = b.seq + b.records
	}
	at.logged, at.base, b.logged = true, r.Base, at
	o.logs[log] = append(o.logs[log], logged{
		base: r.Base, last: r.Base + int64(b.records) - 1, attempt: at, position: e.Position, txn: o.txns.joined(e, at),
	})
}

// attemptOf finds out which attempt some bytes are, nil when they are none.
func (o *oracle) attemptOf(data batch.Batch) *attempt {
	for _, at := range o.sums[data.CRC()] {
		if string(at.data) == string(data) {
			return at
		}
	}
	return nil
}

// end is the offset that comes next in a log.
func (o *oracle) end(log int32) int64 {
	if n := len(o.logs[log]); n > 0 {
		return o.logs[log][n-1].last + 1
	}
	return 0
}

func (o *oracle) newAttempt(b *sent, conn uint64) *attempt {
	k := connPartition{conn, b.stream.log}
	o.orders[k]++
	o.attempts++
	return &attempt{id: o.attempts - 1, batch: b, conn: conn, order: o.orders[k], base: -1}
}

// answered checks an agent's answer at the moment it is given.
func (o *oracle) answered(at *attempt, r ingest.Result) {
	w, b := o.w, at.batch
	w.note("answer attempt=%d code=%s base=%d err=%v", at.id, r.Code, r.Base, r.Err)
	switch {
	case r.Err != nil && r.Base != -1:
		w.violated("attempt %d: an error with offset %d", at.id, r.Base)
	case errors.Is(r.Err, ingest.ErrUnknown) || errors.Is(r.Err, ingest.ErrTimeout):
		w.stats.Unknown++
	case r.Err != nil:
		w.stats.Definite++
		at.forbidden = true
		if at.logged {
			w.violated("attempt %d lies at offset %d, its answer is that it will not land: %v", at.id, at.base, r.Err)
		}
	case r.Code == state.OK:
		if !at.logged || at.base != r.Base {
			w.violated("attempt %d acknowledged at %d, the log has it at %d", at.id, r.Base, at.base)
		}
	case r.Code == state.Duplicate:
		w.stats.Duplicates++
		if b.logged == nil || b.logged == at || b.logged.base != r.Base {
			w.violated("attempt %d answered as a duplicate of %d, the batch is %+v", at.id, r.Base, b.logged)
		}
	default:
		at.forbidden = true
		if at.logged {
			w.violated("attempt %d rejected (%s), the log has it at %d", at.id, r.Code, at.base)
		}
	}
}

func (o *oracle) acked(b *sent) {
	p := b.stream.log
	o.ackedTo[p] = max(o.ackedTo[p], b.base+int64(b.records))
}

func (o *oracle) tookProducer(pid int64) {
	if o.pids[pid] {
		o.w.violated("producer id %d was given twice", pid)
	}
	o.pids[pid] = true
}

// checkState compares a replica with what State was at its position.
func (o *oracle) checkState(who string, s *state.State) {
	want, ok := o.digests[s.Position()]
	if !ok || want != s.Digest() {
		o.w.violated("%s at position %d has digest %.12s, it must be %.12s", who, s.Position(), s.Digest(), want)
	}
}

// trimmed checks that an entry was allowed to go.
func (o *oracle) trimmed(key string) {
	position := o.places[key]
	if o.pointer == nil || position > o.pointer.TrimPosition {
		o.w.violated("the entry at position %d was trimmed, the pointer is %v", position, o.pointer)
	}
	delete(o.places, key)
}

// moved checks a new checkpoint: it moves forward, and what it holds is what State was.
func (o *oracle) moved(e kv.Event) {
	w := o.w
	p := &pb.Pointer{}
	if err := proto.Unmarshal(e.KV.Value, p); err != nil || e.Delete {
		w.violated("pointer: %v", err)
		return
	}
	before := o.pointer
	o.pointer = p
	w.stats.Checkpoints++
	w.note("pointer position=%d head=%d trim=%d compact=%d kept=%d", p.Position, p.Head, p.TrimPosition, p.CompactRevision, len(p.Kept))
	if before != nil && (p.Position <= before.Position || p.TrimPosition > before.Position || p.CompactRevision > before.Position) {
		w.violated("the pointer went from %v to %v", before, p)
		return
	}
	if err := o.checkRoot(p.Root, p.Position); err != nil {
		w.violated("checkpoint at position %d: %v", p.Position, err)
	}
	o.needed = map[string]bool{}
	for _, k := range p.Kept {
		root, err := checkpoint.ReadRoot(background, plainBucket{w.bucket, w.wall()}, k.Key)
		if err != nil {
			w.violated("kept root at position %d: %v", k.Position, err)
			continue
		}
		o.needed[k.Key] = true
		for _, part := range root.Base.Parts {
			o.needed[part.Key] = true
		}
		for _, a := range root.Archives {
			o.needed[a.Object.Key] = true
		}
	}
	o.compactions.kept(p)
}

func (o *oracle) checkRoot(key string, position int64) error {
	store := plainBucket{o.w.bucket, o.w.wall()}
	root, err := checkpoint.ReadRoot(background, store, key)
	if err != nil {
		return err
	}
	s, err := checkpoint.LoadRoot(background, store, root)
	if err != nil {
		return err
	}
	want := o.frozen[position]
	if want == nil {
		return fmt.Errorf("no mark at position %d", position)
	}
	return sameBase(s, want)
}

// sameBase compares two states byte for byte.
func sameBase(a, b *state.State) error {
	x, err := encodeBase(a)
	if err != nil {
		return err
	}
	y, err := encodeBase(b)
	if err != nil {
		return err
	}
	if x != y {
		return fmt.Errorf("states at positions %d and %d differ (%d and %d bytes)", a.Position(), b.Position(), len(x), len(y))
	}
	return nil
}

func encodeBase(s *state.State) (string, error) {
	var out []byte
	err := s.EncodeBase(func(r []byte) error { out = append(out, r...); return nil })
	return string(out), err
}
