package state

import (
	"cmp"
	"slices"

	"wadi/internal/layout"
)

// Caps of what transactional clients can make State hold. A transaction ends in one command, so what it may span is
// what Apply can flip at once.
const (
	MaxTxns          = 1_000_000 // transactional ids
	MaxTxnPartitions = 4000      // of one transaction
	MaxTxnGroups     = 100
	MaxTxnOffsets    = 8000      // pending positions of one transaction
	MaxTxnBytes      = 256 << 20 // names, and pending positions with their metadata, of all transactional ids

	// MaxProducerEpoch is the last epoch that a producer is given; the next is 0 of a new producer id.
	MaxProducerEpoch int16 = 32766
)

// TxnStatus is what became of a transactional id's newest transaction.
type TxnStatus uint8

const (
	TxnEmpty     TxnStatus = 0 // the producer has begun none
	TxnOngoing   TxnStatus = 1
	TxnCommitted TxnStatus = 2
	TxnAborted   TxnStatus = 3
)

// Txn is a transactional id (KIP-98). Its epoch is the only one that counts: partitions are never asked. What a reader
// gets is valid until the next Apply and must not be changed.
type Txn struct {
	Number     uint64 // from a counter, never reused
	Name       string
	ProducerID int64
	Epoch      int16
	Status     TxnStatus
	TimeoutMs  int32
	Began      int64 // position at which the open transaction began, 0 = none is open
	BeganMs    int64 // the proposer's clock there, Unix milliseconds
	ChangedMs  int64 // likewise, of the last change to the id

	previousID    int64 // the producer id before, fenced for good; -1 = none
	previousEpoch int16 // the epoch that Epoch was made from, in the same hands (KIP-360); -1 = none
	ended         txnEnd

	gen     uint64
	parts   []txnPart  // of the open transaction, sorted
	groups  []txnGroup // likewise, sorted by name
	offsets int        // pending, in all groups
	bytes   int64      // of name, groups and offsets
	changes change     // of what a command that lands late must not meet: InitProducer and EndTxn
}

// txnEnd is the producer id and epoch under which the newest transaction was ended, for the request that comes again
// because its answer was lost, or that comes too late.
type txnEnd struct {
	known bool
	id    int64
	epoch int16
	fence bool // not by its client
}

type txnPart struct {
	topic     uint64
	partition uint32
	first     int64 // offset of the transaction's first record there, -1 = nothing appended
}

type txnGroup struct {
	name    string
	offsets table[Offset] // pending, by offsetKey
}

// OpenTxn is an open transaction as a partition sees it.
type OpenTxn struct {
	ProducerID int64
	First      int64 // offset of its first record
}

// AbortedTxn is an aborted transaction as a partition sees it.
type AbortedTxn struct {
	ProducerID int64
	First      int64 // offset of its first record
	Last       int64 // offset of its marker
	Stable     int64 // the last stable offset behind the marker: whatever was aborted later begins there or after it
}

// PartRef names a partition by its topic's number.
type PartRef struct {
	Topic     uint64
	Partition uint32
}

const (
	txnOverhead   = 320 // a Txn, its slot, its index entries
	groupInTxn    = 64
	abortedBytes  = 32
	offsetInTxn   = offsetBytes
	txnPartBytes  = 24
	firstAborted  = 4
	largestAbort  = 256
	noEpoch       = int16(-1)
	noProducerID  = int64(-1)
	noFirstOffset = int64(-1)
)

// Txn finds a transactional id by name.
func (s *State) Txn(name string) *Txn {
	if n, ok := s.byTxn[name]; ok {
		return *s.txns.get(n)
	}
	return nil
}

// TxnByProducer finds the transactional id that has a producer id, or had it just before the one that it has.
func (s *State) TxnByProducer(id int64) *Txn {
	if n, ok := s.byProducer[id]; ok {
		return *s.txns.get(n)
	}
	return nil
}

// Txns is how many transactional ids there are, OpenTxnCount how many have an open transaction.
func (s *State) Txns() int         { return s.txns.len() }
func (s *State) OpenTxnCount() int { return s.openTxns.len() }

// SomeTxns visits the transactional ids numbered after `after`, looking at no more than limit numbers, and returns where
// to go on; 0 when it has come to the end. It lets a walk over all of them let go of State in between.
func (s *State) SomeTxns(after uint64, limit int, visit func(*Txn)) (next uint64) {
	return s.txns.numbered(after, s.txnsMade, limit, func(t **Txn) { visit(*t) })
}

// EachOpenTxn visits the transactional ids that have an open transaction, in the order of their creation.
func (s *State) EachOpenTxn(visit func(*Txn)) {
	for _, n := range sortedKeys(&s.openTxns) {
		visit(*s.txns.get(n))
	}
}

// SomeOpenTxns visits about limit of the transactional ids that have an open transaction, from a place on, 0 at first, and
// returns where to go on; 0 when it has come to the end. What changes in between may be seen twice or not at all.
func (s *State) SomeOpenTxns(from, limit int, visit func(*Txn)) (next int) {
	return s.openTxns.some(from, limit, func(n uint64, _ *struct{}) { visit(*s.txns.get(n)) })
}

// EachPartition visits the partitions of the open transaction, sorted by topic number and partition.
func (t *Txn) EachPartition(visit func(topic uint64, partition int32)) {
	for _, p := range t.parts {
		visit(p.topic, int32(p.partition))
	}
}

// Partitions is how many partitions the open transaction has.
func (t *Txn) Partitions() int { return len(t.parts) }

// HasPartition reports whether the open transaction has a partition.
func (t *Txn) HasPartition(topic uint64, partition int32) bool {
	_, ok := t.findPart(topic, uint32(partition))
	return ok
}

// Groups are the groups of the open transaction, sorted by name.
func (t *Txn) Groups() []string {
	names := make([]string, len(t.groups))
	for i := range t.groups {
		names[i] = t.groups[i].name
	}
	return names
}

func (t *Txn) findPart(topic uint64, partition uint32) (int, bool) {
	return slices.BinarySearchFunc(t.parts, txnPart{topic: topic, partition: partition}, func(a, b txnPart) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
}

func (t *Txn) findGroup(name string) (int, bool) {
	return slices.BinarySearchFunc(t.groups, name, func(g txnGroup, name string) int { return cmp.Compare(g.name, name) })
}

// OffsetPending reports whether an open transaction holds a position of the group for a partition, so that a reader who
// wants stable ones has to wait (KIP-447).
func (s *State) OffsetPending(g *Group, topic uint64, partition int32) bool {
	if partition < 0 || !validOffsetKey(topic, uint32(partition)) {
		return false
	}
	for _, n := range g.pending {
		t := *s.txns.get(n)
		if i, ok := t.findGroup(g.Name); ok && t.groups[i].offsets.get(offsetKey(topic, uint32(partition))) != nil {
			return true
		}
	}
	return false
}

// LSO is the last stable offset: records below it belong to no open transaction. It is where a run begins, or the log
// start, or the next offset.
func (p *Partition) LSO() int64 {
	if len(p.open) == 0 {
		return p.Next
	}
	return max(p.open[0].First, p.LogStart)
}

// OpenTxns appends to dst the transactions that are open on the partition, in the order of their first records.
func (p *Partition) OpenTxns(dst []OpenTxn) []OpenTxn { return append(dst, p.open...) }

// Aborted appends to dst the aborted transactions that overlap the offsets from `from` to `to`, both included, in the
// order of their markers (Semantics line 44).
func (p *Partition) Aborted(from, to int64, dst []AbortedTxn) []AbortedTxn {
	return p.aborted.overlapping(from, to, dst)
}

// abortedList holds a partition's aborted transactions in the order of their markers, in chunks, which snapshots share
// as those of a runList.
type abortedList struct {
	chunks [][]AbortedTxn
	n      int
}

func (l *abortedList) append(a AbortedTxn) {
	l.n++
	size := firstAborted
	if k := len(l.chunks); k > 0 {
		if last := l.chunks[k-1]; len(last) < cap(last) {
			l.chunks[k-1] = append(last, a)
			return
		}
		size = min(2*cap(l.chunks[k-1]), largestAbort)
	}
	l.chunks = append(l.chunks, append(make([]AbortedTxn, 0, size), a))
}

func (l *abortedList) share() abortedList {
	if l.n == 0 {
		return abortedList{}
	}
	return abortedList{chunks: append(make([][]AbortedTxn, 0, len(l.chunks)+1), l.chunks...), n: l.n}
}

// dropTo forgets those whose marker lies at or below an offset that no reader can reach any more.
func (l *abortedList) dropTo(offset int64) (dropped int) {
	for len(l.chunks) > 0 && l.chunks[0][0].Last <= offset {
		l.n--
		dropped++
		if l.chunks[0] = l.chunks[0][1:]; len(l.chunks[0]) == 0 {
			l.chunks[0] = nil
			l.chunks = l.chunks[1:]
		}
	}
	return dropped
}

// dropWithin forgets those whose marker lies from `from` on and below an offset. Chunks that a snapshot may share stay as
// they are.
func (l *abortedList) dropWithin(from, below int64) (dropped int) {
	chunks := make([][]AbortedTxn, 0, len(l.chunks)+1)
	for _, chunk := range l.chunks {
		if chunk[len(chunk)-1].Last < from || chunk[0].Last >= below {
			chunks = append(chunks, chunk)
			continue
		}
		kept := make([]AbortedTxn, 0, len(chunk))
		for _, a := range chunk {
			if a.Last < from || a.Last >= below {
				kept = append(kept, a)
			}
		}
		dropped += len(chunk) - len(kept)
		if len(kept) > 0 {
			chunks = append(chunks, kept)
		}
	}
	l.chunks, l.n = chunks, l.n-dropped
	return dropped
}

// EachAborted visits the aborted transactions that the manifest does not list, in the order of their markers: these lie
// behind it, but for a moment while it is unfolded.
func (p *Partition) EachAborted(visit func(AbortedTxn)) { p.aborted.each(visit) }

func (l *abortedList) overlapping(from, to int64, dst []AbortedTxn) []AbortedTxn {
	at, _ := slices.BinarySearchFunc(l.chunks, from, func(chunk []AbortedTxn, from int64) int {
		return cmp.Compare(chunk[len(chunk)-1].Last, from)
	})
	for _, chunk := range l.chunks[min(at, len(l.chunks)):] {
		for _, a := range chunk {
			if a.Last >= from && a.First <= to {
				dst = append(dst, a)
			}
			if a.Stable > to {
				return dst
			}
		}
	}
	return dst
}

func (l *abortedList) each(visit func(AbortedTxn)) {
	for _, chunk := range l.chunks {
		for _, a := range chunk {
			visit(a)
		}
	}
}

// editTxn returns a transactional id for change.
func (s *State) editTxn(n uint64) *Txn {
	slot := s.txns.edit(n, s.gen)
	if t := *slot; t.gen != s.gen {
		c := *t
		c.gen = s.gen
		c.parts = slices.Clone(t.parts)
		c.groups = slices.Clone(t.groups)
		for i := range c.groups {
			c.groups[i].offsets = t.groups[i].offsets.share()
		}
		*slot = &c
	}
	return *slot
}

func (s *State) addTxn(name string) *Txn {
	s.txnsMade++
	t := &Txn{
		Number: s.txnsMade, Name: name, ProducerID: s.newProducerID(), previousID: noProducerID, previousEpoch: noEpoch, gen: s.gen,
	}
	s.txns.put(t.Number, t, s.gen)
	s.byTxn[name] = t.Number
	s.byProducer[t.ProducerID] = t.Number
	s.growTxn(t, int64(len(name)))
	return t
}

func (s *State) removeTxn(t *Txn) {
	s.txnBytes -= t.bytes
	s.txns.remove(t.Number, s.gen)
	delete(s.byTxn, t.Name)
	delete(s.byProducer, t.ProducerID)
	delete(s.byProducer, t.previousID)
}

func (s *State) growTxn(t *Txn, n int64) {
	t.bytes += n
	s.txnBytes += n
}

func (s *State) newProducerID() int64 {
	s.nextProducerID++
	return s.nextProducerID - 1
}

// bump gives a transactional id its next epoch, of a new producer id when those of the old one have run out.
func (s *State) bump(t *Txn) {
	if t.Epoch < MaxProducerEpoch {
		t.Epoch++
		return
	}
	delete(s.byProducer, t.previousID)
	t.previousID, t.ProducerID, t.Epoch = t.ProducerID, s.newProducerID(), 0
	s.byProducer[t.ProducerID] = t.Number
}

// begin opens a transaction.
func (s *State) begin(t *Txn) {
	t.Status, t.Began, t.BeganMs = TxnOngoing, s.position, s.atMs
	s.openTxns.put(t.Number, struct{}{}, s.gen)
}

func (s *State) touchTxn(t *Txn) {
	t.ChangedMs = s.atMs
	t.changes.touch(s.position, s.session)
}

// changedSince reports whether another session began or ended something under the transactional id after base.
func (t *Txn) changedSince(base int64, session layout.Session) bool {
	return t.changes.byOther(session, base)
}
