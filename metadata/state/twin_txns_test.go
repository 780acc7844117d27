package state

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"pgregory.net/rapid"

	pb "wadi/metadata/metadatapb"
)

// twinTxn is a transactional id written for clarity alone: maps, and a list of everything that ever began or ended.
type twinTxn struct {
	name             string
	number           uint64
	pid, previousPid int64
	epoch, previous  int16
	status           TxnStatus
	timeout          int32
	began, beganMs   int64
	changedMs        int64
	ended            *twinEnd
	parts            map[twinOffsetKey]int64 // first offset, -1 = nothing appended
	groups           map[string]map[twinOffsetKey]Offset
	writes           []twinWrite
}

type twinEnd struct {
	pid   int64
	epoch int16
	fence bool
}

// twinTxns is what the twin holds of transactional ids.
type twinTxns struct {
	made uint64
	list []*twinTxn // in the order of their creation
}

func (w *twin) txn(name string) *twinTxn {
	for _, x := range w.txns.list {
		if x.name == name {
			return x
		}
	}
	return nil
}

func (w *twin) txnOf(pid int64) *twinTxn {
	for _, x := range w.txns.list {
		if x.pid == pid || x.previousPid >= 0 && x.previousPid == pid {
			return x
		}
	}
	return nil
}

func (w *twin) late(x *twinTxn, base int64) bool {
	return slices.ContainsFunc(x.writes, func(v twinWrite) bool { return v.session != w.session && v.position > base })
}

func (w *twin) wrote(x *twinTxn) {
	x.writes = append(x.writes, twinWrite{w.position, w.session})
	x.changedMs = w.atMs
}

func (w *twin) initProducer(base int64, k *pb.InitProducer) Result {
	if k.TransactionalId == "" {
		w.pids++
		return Result{ID: w.pids - 1}
	}
	if k.TimeoutMs <= 0 {
		return Result{Code: Invalid}
	}
	x := w.txn(k.TransactionalId)
	if x == nil {
		w.txns.made++
		x = &twinTxn{name: k.TransactionalId, number: w.txns.made, pid: w.pids, previousPid: -1, previous: -1, timeout: k.TimeoutMs}
		w.pids++
		w.wrote(x)
		w.txns.list = append(w.txns.list, x)
		return Result{ID: x.pid}
	}
	if k.Resume && !(k.ProducerId == x.pid && k.ProducerEpoch == int32(x.epoch)) {
		if k.ProducerId == x.pid && x.previous >= 0 && k.ProducerEpoch == int32(x.previous) && x.status != TxnOngoing {
			return Result{ID: x.pid, Epoch: x.epoch}
		}
		return Result{Code: ProducerFenced}
	}
	if w.late(x, base) {
		return Result{Code: Conflict}
	}
	var res Result
	if x.status == TxnOngoing {
		w.finish(x, false, x.epoch+1, &res)
	}
	x.previous = -1
	if k.Resume {
		x.previous = x.epoch
	}
	x.epoch++
	x.status, x.ended, x.timeout = TxnEmpty, nil, k.TimeoutMs
	w.wrote(x)
	res.ID, res.Epoch = x.pid, x.epoch
	return res
}

// finish is what happens to partitions and groups at the end of a transaction.
func (w *twin) finish(x *twinTxn, commit bool, markerEpoch int16, res *Result) {
	keys := slices.SortedFunc(maps.Keys(x.parts), func(a, b twinOffsetKey) int {
		if a.topic != b.topic {
			return int(a.topic) - int(b.topic)
		}
		return int(a.partition) - int(b.partition)
	})
	for _, key := range keys {
		t := w.live(key.topic)
		if t == nil || x.parts[key] < 0 {
			continue
		}
		p := t.parts[key.partition]
		r := Run{
			Base: p.next, Last: p.next, MaxTimestamp: w.atMs, Place: uint64(x.pid), Offset: uint32(markerEpoch), Length: 78, Flags: RunMarker,
		}
		if w.stamps(t) {
			r.Flags |= RunAppendTime
		}
		if commit {
			r.Flags |= RunCommit
		} else {
			p.aborted = append(p.aborted, AbortedTxn{ProducerID: x.pid, First: x.parts[key], Last: p.next})
			if markerEpoch == x.epoch { // Semantics line 27
				for i := range p.producers[x.pid].sent {
					p.producers[x.pid].sent[i].aborted = true
				}
			}
		}
		if known := p.producers[x.pid]; markerEpoch != x.epoch { // KIP-890: sequences begin anew behind the marker
			nothing := naiveBatch{ms: known.sent[len(known.sent)-1].ms, aborted: true}
			p.producers[x.pid] = &naiveProducer{known: true, epoch: markerEpoch, sent: []naiveBatch{nothing}}
		}
		p.batches = append(p.batches, twinBatch{base: p.next, last: p.next, maxTimestamp: w.atMs, position: w.position, whole: &r})
		res.Touched = append(res.Touched, PartRef{key.topic, key.partition})
		res.Batches = append(res.Batches, BatchResult{Base: p.next, Time: -1})
		p.next++
	}
	for name, offsets := range x.groups {
		g := w.groups.byName[name]
		if !commit || len(offsets) == 0 {
			continue
		}
		g.writes = append(g.writes, twinWrite{w.position, w.session})
		for key, o := range offsets {
			if t := w.live(key.topic); t != nil {
				o.AtMs = w.atMs
				g.offsets[key] = o
			}
		}
	}
	x.parts, x.groups, x.began, x.beganMs = nil, nil, 0, 0
	x.status = TxnAborted
	if commit {
		x.status = TxnCommitted
	}
}

// act says whether a producer may do something under its id and epoch now.
func (w *twin) act(base, pid int64, epoch int32) (*twinTxn, Code) {
	x := w.txnOf(pid)
	switch {
	case x == nil:
		return nil, UnknownTxn
	case pid != x.pid || epoch != int32(x.epoch):
		return nil, ProducerFenced
	case w.late(x, base):
		return nil, Conflict
	}
	return x, OK
}

func (w *twin) endTxn(base int64, k *pb.EndTxn) Result {
	x := w.txnOf(k.ProducerId)
	switch {
	case k.Fence && k.Commit:
		return Result{Code: Invalid}
	case x == nil:
		return Result{Code: UnknownTxn}
	}
	told := func(code Code) Result { return Result{Code: code, ID: x.pid, Epoch: x.epoch} }
	if e := x.ended; e != nil && x.status != TxnOngoing && !k.Fence && e.pid == k.ProducerId && int32(e.epoch) == k.ProducerEpoch {
		current := e.pid == x.pid && e.epoch == x.epoch
		if !(current && k.Bump) {
			switch {
			case e.fence && !(k.Bump && !k.Commit):
				return told(ProducerFenced)
			case k.Commit != (x.status == TxnCommitted):
				return told(InvalidTxnState)
			}
			return told(OK)
		}
	}
	if _, code := w.act(base, k.ProducerId, k.ProducerEpoch); code != OK {
		return told(code)
	}
	if (k.Fence || !k.Bump) && x.began > base {
		return told(Conflict)
	}
	if x.status != TxnOngoing && !(k.Bump && !k.Commit && !k.Fence) {
		return told(InvalidTxnState)
	}
	var res Result
	marker := x.epoch
	if k.Bump || k.Fence {
		marker++
	}
	if x.status == TxnOngoing {
		w.finish(x, k.Commit, marker, &res)
	}
	x.status = TxnAborted
	if k.Commit {
		x.status = TxnCommitted
	}
	x.ended, x.previous = &twinEnd{x.pid, x.epoch, k.Fence}, -1
	if k.Bump || k.Fence {
		x.previous = x.epoch
		x.epoch++
	}
	w.wrote(x)
	res.ID, res.Epoch = x.pid, x.epoch
	return res
}

func (w *twin) start(x *twinTxn) {
	x.changedMs = w.atMs
	if x.status != TxnOngoing {
		x.status, x.began, x.beganMs = TxnOngoing, w.position, w.atMs
		x.parts, x.groups = map[twinOffsetKey]int64{}, map[string]map[twinOffsetKey]Offset{}
	}
}

func (w *twin) addToTxn(base int64, k *pb.AddToTxn) Result {
	if len(k.Topics) != len(k.Partitions) || len(k.Topics)+len(k.Groups) == 0 || slices.Contains(k.Groups, "") {
		return Result{Code: Invalid}
	}
	x, code := w.act(base, k.ProducerId, k.ProducerEpoch)
	if code != OK {
		return Result{Code: code}
	}
	for i := range k.Topics {
		if t := w.live(k.Topics[i]); t == nil || int(k.Partitions[i]) >= len(t.parts) {
			return Result{Code: UnknownTopic}
		}
	}
	w.start(x)
	for i := range k.Topics {
		if key := (twinOffsetKey{k.Topics[i], k.Partitions[i]}); !has(x.parts, key) {
			x.parts[key] = -1
		}
	}
	for _, g := range k.Groups {
		if !has(x.groups, g) {
			x.groups[g] = map[twinOffsetKey]Offset{}
		}
	}
	return Result{}
}

func has[K comparable, V any](m map[K]V, k K) bool {
	_, ok := m[k]
	return ok
}

func (w *twin) commitTxnOffsets(base int64, c *pb.CommitTxnOffsets) Result {
	k := c.Offsets
	if k == nil || k.Group == "" || len(k.Topics) != len(k.Partitions) {
		return Result{Code: Invalid}
	}
	x, code := w.act(base, c.ProducerId, c.ProducerEpoch)
	if code != OK {
		return Result{Code: code}
	}
	if !c.Implicit && x.began > base {
		return Result{Code: Conflict}
	}
	if !c.Implicit && (x.status != TxnOngoing || !has(x.groups, k.Group)) {
		return Result{Code: InvalidTxnState}
	}
	g := w.groups.byName[k.Group]
	if g == nil && k.Generation >= 0 {
		return Result{Code: IllegalGeneration}
	}
	if g != nil && (k.Generation >= 0 || k.Member != "" || k.InstanceId != "") {
		if code := g.judge(k); code != OK && code != RebalanceInProgress {
			return Result{Code: code}
		}
	}
	if g == nil {
		w.makeGroup(k.Group)
	}
	w.start(x)
	if !has(x.groups, k.Group) {
		x.groups[k.Group] = map[twinOffsetKey]Offset{}
	}
	stored := int64(0)
	for i := range k.Topics {
		if t := w.live(k.Topics[i]); t == nil || int(k.Partitions[i]) >= len(t.parts) {
			continue
		}
		o := Offset{Offset: k.Offsets[i], AtMs: w.atMs, LeaderEpoch: -1}
		if len(k.LeaderEpochs) > 0 {
			o.LeaderEpoch = k.LeaderEpochs[i]
		}
		if len(k.Metadata) > 0 {
			o.Metadata = k.Metadata[i]
		}
		x.groups[k.Group][twinOffsetKey{k.Topics[i], k.Partitions[i]}] = o
		stored++
	}
	return Result{ID: stored}
}

// judgeTxn is what a transactional id has to say to a batch.
func (w *twin) judgeTxn(s section, r producerRun) Code {
	x := w.txnOf(r.id)
	if r.id < 0 || x == nil && r.transactional == 0 {
		return OK
	}
	if x == nil {
		return UnknownTxn
	}
	if r.id != x.pid || r.epoch != int32(x.epoch) {
		return InvalidProducerEpoch
	}
	in := x.status == TxnOngoing && has(x.parts, twinOffsetKey{s.topic, s.part})
	if r.transactional == 0 && x.status == TxnOngoing || r.transactional == 1 && !in {
		return InvalidTxnState
	}
	return OK
}

// joined notes an accepted batch and reports whether it is its transaction's first on the partition.
func (w *twin) joined(s section, r producerRun, base int64) bool {
	if r.transactional == 0 {
		return false
	}
	x := w.txnOf(r.id)
	if x.status != TxnOngoing {
		w.start(x)
	}
	key := twinOffsetKey{s.topic, s.part}
	if first, ok := x.parts[key]; ok && first >= 0 {
		return false
	}
	x.parts[key] = base
	return true
}

// dropPending forgets what open transactions hold for a group that is gone.
func (w *twin) dropPending(group string) {
	for _, x := range w.txns.list {
		if has(x.groups, group) {
			x.groups[group] = map[twinOffsetKey]Offset{}
		}
	}
}

func (w *twin) pendingIn(group string) bool {
	return slices.ContainsFunc(w.txns.list, func(x *twinTxn) bool { return len(x.groups[group]) > 0 })
}

func (w *twin) expireTxns(k *pb.ExpireTxns) Result {
	n := int64(0)
	for _, pid := range k.ProducerIds {
		w.txns.list = slices.DeleteFunc(w.txns.list, func(x *twinTxn) bool {
			gone := x.pid == pid && x.status != TxnOngoing && x.changedMs <= k.BeforeMs
			if gone {
				n++
			}
			return gone
		})
	}
	return Result{ID: n}
}

func (w *twin) expireProducers(k *pb.ExpireProducers) Result {
	if len(k.Topics) != len(k.Partitions) || len(k.Counts) != len(k.Topics) {
		return Result{Code: Invalid}
	}
	at := map[int]int{} // id's index: partition's
	for i, n := range k.Counts {
		for range n {
			at[len(at)] = i
		}
	}
	if len(at) != len(k.ProducerIds) {
		return Result{Code: Invalid}
	}
	n := int64(0)
	for index, id := range k.ProducerIds {
		i := at[index]
		t := w.live(k.Topics[i])
		if t == nil || int(k.Partitions[i]) >= len(t.parts) {
			continue
		}
		p := t.parts[k.Partitions[i]].producers[id]
		if p != nil && p.sent[len(p.sent)-1].ms <= k.BeforeMs && w.txnOf(id) == nil {
			delete(t.parts[k.Partitions[i]].producers, id)
			w.expired = max(w.expired, id)
			n++
		}
	}
	return Result{ID: n}
}

func (w *twin) compareTxns(s *State) error {
	var numbers, openNumbers, some []uint64
	byNumber := map[uint64]*Txn{}
	for next, first := uint64(0), true; first || next != 0; first = false {
		next = s.SomeTxns(next, 2, func(x *Txn) { some, byNumber[x.Number] = append(some, x.Number), x })
	}
	for _, want := range w.txns.list {
		numbers = append(numbers, want.number)
		x := byNumber[want.number]
		if x == nil || s.byTxn != nil && (s.Txn(want.name) != x || s.TxnByProducer(want.pid) != x) {
			return fmt.Errorf("transactional id %q is %+v", want.name, x)
		}
		if want.status == TxnOngoing {
			openNumbers = append(openNumbers, want.number)
		}
		got := []any{x.Name, x.ProducerID, x.Epoch, x.Status, x.TimeoutMs, x.Began, x.BeganMs, x.ChangedMs, x.Partitions()}
		expected := []any{want.name, want.pid, want.epoch, want.status, want.timeout, want.began, want.beganMs, want.changedMs, len(want.parts)}
		if !slices.Equal(got, expected) || !slices.Equal(x.Groups(), slices.Sorted(maps.Keys(want.groups))) {
			return fmt.Errorf("transactional id %q is %v with %v, want %v with %v", want.name, got, x.Groups(), expected, want.groups)
		}
		for key := range want.parts {
			if !x.HasPartition(key.topic, int32(key.partition)) {
				return fmt.Errorf("transactional id %q lacks %+v", want.name, key)
			}
		}
	}
	var open []uint64
	s.EachOpenTxn(func(x *Txn) { open = append(open, x.Number) })
	var stepped []uint64
	for next, first := 0, true; first || next != 0; first = false {
		next = s.SomeOpenTxns(next, 1, func(x *Txn) { stepped = append(stepped, x.Number) })
	}
	if slices.Sort(stepped); !slices.Equal(stepped, open) {
		return fmt.Errorf("open in steps %v, in order %v", stepped, open)
	}
	if !slices.Equal(some, numbers) || !slices.Equal(open, openNumbers) || s.Txns() != len(numbers) || s.OpenTxnCount() != len(open) {
		return fmt.Errorf("transactional ids %v, open %v, want %v and %v", some, open, numbers, openNumbers)
	}
	var err error
	s.EachGroup(func(g *Group) {
		for _, t := range w.topics {
			for i := range t.parts {
				want := slices.ContainsFunc(w.txns.list, func(x *twinTxn) bool {
					return has(x.groups[g.Name], twinOffsetKey{t.Number, uint32(i)})
				})
				if got := s.OffsetPending(g, t.Number, int32(i)); got != want {
					err = fmt.Errorf("group %q, topic %d, partition %d: pending %v", g.Name, t.Number, i, got)
				}
			}
		}
	})
	return err
}

// compareStable compares what a partition tells of transactions.
func (w *twin) compareStable(p *Partition, topic uint64, index int, want *twinPart) error {
	stable := w.stable(want, topic, index)
	var open []OpenTxn
	for _, x := range w.txns.list {
		if first, ok := x.parts[twinOffsetKey{topic, uint32(index)}]; ok && first >= 0 {
			open = append(open, OpenTxn{x.pid, first})
		}
	}
	slices.SortFunc(open, func(a, b OpenTxn) int { return int(a.First - b.First) })
	if got := p.OpenTxns(nil); p.LSO() != stable || !slices.Equal(got, open) {
		return fmt.Errorf("stable to %d, open %+v, want %d, %+v", p.LSO(), got, stable, open)
	}
	for from := want.start; from <= want.next; from += 1 + (want.next-want.start)/7 {
		for _, to := range []int64{from, from + 3, want.next} {
			var got, expected []AbortedTxn
			for _, a := range p.Aborted(from, to, nil) {
				a.Stable = 0
				got = append(got, a)
			}
			for _, a := range want.aborted {
				if a.First <= to && a.Last >= from {
					expected = append(expected, a)
				}
			}
			if !slices.Equal(got, expected) {
				return fmt.Errorf("aborted from %d to %d: %+v, want %+v", from, to, got, expected)
			}
		}
	}
	return nil
}

var drawnTxns = []string{"t", "u", "v"}

// txn draws a command about transactions: mostly one that fits what is there.
func (d *drawing) txn(t *rapid.T, base int64) *pb.Command {
	if rapid.IntRange(0, 5).Draw(t, "fresh base") > 0 {
		base = d.w.position
	}
	name := rapid.SampledFrom(drawnTxns).Draw(t, "transactional id")
	x := d.w.txn(name)
	op := rapid.SampledFrom([]byte("iaaaoooeeeeeexp")).Draw(t, "transaction command")
	if x == nil && !rarely(t, "without") {
		op = 'i'
	}
	pid, epoch := d.producer(t, x)
	switch op {
	case 'i':
		k := &pb.InitProducer{TransactionalId: name, TimeoutMs: int32(rapid.SampledFrom([]int{1000, 1000, 1000, 60_000, 0}).Draw(t, "timeout"))}
		if rapid.Bool().Draw(t, "resume") {
			k.Resume, k.ProducerId, k.ProducerEpoch = true, pid, epoch
		}
		return &pb.Command{Base: base, Kind: &pb.Command_InitProducer{InitProducer: k}}
	case 'a':
		k := &pb.AddToTxn{ProducerId: pid, ProducerEpoch: epoch}
		k.Topics, k.Partitions = d.positions(t)
		k.Groups = rapid.SampledFrom([][]string{nil, nil, {"g"}, {"h", "g"}, {""}}).Draw(t, "groups")
		return &pb.Command{Base: base, Kind: &pb.Command_AddToTxn{AddToTxn: k}}
	case 'o':
		group := rapid.SampledFrom(drawnGroups[:3]).Draw(t, "group")
		k := &pb.CommitTxnOffsets{
			ProducerId: pid, ProducerEpoch: epoch, Implicit: rapid.Bool().Draw(t, "implicit"),
			Offsets: d.commit(t, group, d.w.groups.byName[group]),
		}
		return &pb.Command{Base: base, Kind: &pb.Command_CommitTxnOffsets{CommitTxnOffsets: k}}
	case 'e':
		k := &pb.EndTxn{
			ProducerId: pid, ProducerEpoch: epoch, Commit: rapid.Bool().Draw(t, "commit"), Bump: rapid.Bool().Draw(t, "bump"),
			Fence: rapid.IntRange(0, 5).Draw(t, "fence") == 0,
		}
		if k.Fence && !rarely(t, "fenced commit") {
			k.Commit = false
		}
		return &pb.Command{Base: base, Kind: &pb.Command_EndTxn{EndTxn: k}}
	case 'x':
		return &pb.Command{Kind: &pb.Command_ExpireTxns{ExpireTxns: &pb.ExpireTxns{
			BeforeMs: 1_700_000_000_000 + rapid.Int64Range(-100_000, 100_000).Draw(t, "before"), ProducerIds: []int64{pid},
		}}}
	default:
		k := &pb.ExpireProducers{BeforeMs: 1_700_000_000_000 + rapid.Int64Range(-100_000, 100_000).Draw(t, "before")}
		k.Topics, k.Partitions = d.positions(t)
		for i := range k.Partitions {
			n := 0
			if live := d.w.live(k.Topics[i]); live != nil && int(k.Partitions[i]) < len(live.parts) {
				for _, id := range slices.Sorted(maps.Keys(live.parts[k.Partitions[i]].producers)) {
					if rapid.IntRange(0, 3).Draw(t, "named") > 0 {
						k.ProducerIds = append(k.ProducerIds, id)
						n++
					}
				}
			}
			k.Counts = append(k.Counts, uint32(n))
		}
		if rarely(t, "counts") && len(k.Counts) > 0 {
			k.Counts[0]++
		}
		return &pb.Command{Kind: &pb.Command_ExpireProducers{ExpireProducers: k}}
	}
}

// producer is mostly the one that a transactional id has now, or the one of a moment ago.
func (d *drawing) producer(t *rapid.T, x *twinTxn) (pid int64, epoch int32) {
	if x == nil {
		return int64(rapid.IntRange(0, maxTwinProducer).Draw(t, "some producer")), 0
	}
	pid, epoch = x.pid, int32(x.epoch)
	switch rapid.IntRange(0, 9).Draw(t, "stale") {
	case 0, 1:
		epoch--
	case 2:
		epoch += int32(rapid.SampledFrom([]int{1, 5, math.MaxInt16, -math.MaxInt16}).Draw(t, "epoch step"))
	}
	return pid, epoch
}
