package state

import (
	"cmp"
	"slices"
	"strings"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// twin is State written for clarity alone: lists and maps that keep everything, and totals counted when asked for.
type twin struct {
	cluster   *pb.InitCluster
	position  int64
	sessions  map[layout.Session]*Session
	topics    []*twinTopic // every one ever created
	pids      int64
	nodes     int32            // the next new node id
	addresses map[string]int32 // the node id that was last given to each
	objects   []*twinObject    // number is index + 1
	marks     []int64
	archived  int64
	archives  []twinArchive
	appended  uint64                   // bytes
	loose     map[uint64]*twinManifest // those that no partition has any more
	configs   twinConfigs
	groups    twinGroups
	txns      twinTxns
	expired   int64     // highest producer id that a partition forgot for its age
	trimmed   []trimmed // partitions with runs below their log start, and some that had

	// The entry being applied.
	session layout.Session
	seq     uint64
	atMs    int64
	inline  int

	mix []byte // what is drawn after it
}

type twinTopic struct {
	Topic // the exported fields
	parts []*twinPart
	done  int  // partitions that sweeps have finished
	gone  bool // swept whole
}

type twinPart struct {
	start     int64
	next      int64
	batches   []twinBatch
	producers map[int64]*naiveProducer
	aborted   []AbortedTxn
	version   uint64

	compactedTo int64
	manifest    *twinManifest
}

// twinBatch is one accepted batch and where its bytes are.
type twinBatch struct {
	base, last, maxTimestamp int64
	position                 int64
	object                   uint64 // 0 = inline
	section                  int    // tells sections of one position apart
	offset, length           uint32
	begins                   bool // it is a transaction's first, and so begins a run
	whole                    *Run // a run of its own: a marker, or what a merge wrote
}

type twinObject struct {
	Object
	archive   bool
	forgotten bool
	released  bool // out of a manifest, and so introduced before
}

type twinArchive struct {
	from, to int64
	object   uint64
}

func newTwin() *twin {
	return &twin{mix: commandMix, loose: map[uint64]*twinManifest{}, addresses: map[string]int32{}, sessions: map[layout.Session]*Session{}, pids: 1, expired: -1, configs: newTwinConfigs()}
}

// apply returns what State's results must be.
func (w *twin) apply(e Entry) Results {
	w.position, w.session, w.seq, w.atMs, w.inline = e.Position, e.Session, e.Seq, e.Body.AtMs, len(e.Body.Inline)
	res := Results{Position: e.Position}
	commands := e.Body.Commands
	v := w.sessions[e.Session]
	if v == nil {
		first := slices.IndexFunc(commands, func(c *pb.Command) bool { return c.GetInitCluster() == nil })
		if e.Seq != 1 || first < 0 || commands[first].GetOpenSession() == nil {
			res.Refused = SessionNotOpen
			return res
		}
	} else {
		if e.Seq <= v.LastSeq {
			res.Repeat = true
			return res
		}
		if e.Seq != v.LastSeq+1 && v.Closed == 0 { // DESIGN section 3: State closes a session that skips
			v.Closed, v.NodeID = w.position, -1
		}
		if v.Closed != 0 {
			res.Refused = SessionNotOpen
			return res
		}
		v.LastSeq = e.Seq
	}
	for i, c := range commands {
		res.Commands = append(res.Commands, w.command(c, i))
	}
	for i, o := range w.objects {
		if o.Lost == 0 && w.refs(uint64(i+1)) == 0 {
			o.Lost, o.LostMs = w.position, w.atMs
		}
	}
	return res
}

func (w *twin) command(c *pb.Command, index int) Result {
	if k := c.GetInitCluster(); k != nil {
		if w.cluster != nil {
			return Result{Code: Stale}
		}
		if k.ClusterId == "" || k.Incarnation == 0 {
			return Result{Code: Invalid}
		}
		if k.FeatureLevel != 1 {
			return Result{Code: FeatureLevel}
		}
		w.cluster = k
		return Result{}
	}
	if w.cluster == nil {
		return Result{Code: NotInitialized}
	}
	if k := c.GetOpenSession(); k != nil {
		return w.open(k)
	}
	if v := w.sessions[w.session]; v == nil || v.Closed != 0 {
		return Result{Code: SessionNotOpen}
	}
	switch k := c.Kind.(type) {
	case *pb.Command_CloseSession:
		v := w.sessions[layout.Session(k.CloseSession.Session)]
		if v == nil || v.Closed != 0 {
			return Result{Code: Stale}
		}
		v.Closed, v.NodeID = w.position, -1
		return Result{}
	case *pb.Command_CreateTopic:
		return w.create(c.Base, k.CreateTopic)
	case *pb.Command_DeleteTopic:
		return w.delete(c.Base, k.DeleteTopic)
	case *pb.Command_CreatePartitions:
		return w.grow(c.Base, k.CreatePartitions)
	case *pb.Command_TrimPartitions:
		return w.trim(c.Base, k.TrimPartitions)
	case *pb.Command_AlterConfigs:
		return w.alter(c.Base, k.AlterConfigs)
	case *pb.Command_InitProducer:
		return w.initProducer(c.Base, k.InitProducer)
	case *pb.Command_AddToTxn:
		return w.addToTxn(c.Base, k.AddToTxn)
	case *pb.Command_CommitTxnOffsets:
		return w.commitTxnOffsets(c.Base, k.CommitTxnOffsets)
	case *pb.Command_EndTxn:
		return w.endTxn(c.Base, k.EndTxn)
	case *pb.Command_ExpireTxns:
		return w.expireTxns(k.ExpireTxns)
	case *pb.Command_ExpireProducers:
		return w.expireProducers(k.ExpireProducers)
	case *pb.Command_Mark:
		w.marks = append(w.marks, w.position)
		return Result{ID: w.position}
	case *pb.Command_Archived:
		return Result{Code: w.archive(k.Archived)}
	case *pb.Command_UpdateGroup:
		return w.updateGroup(k.UpdateGroup)
	case *pb.Command_CommitOffsets:
		return w.commitOffsets(c.Base, k.CommitOffsets)
	case *pb.Command_DeleteGroup:
		return w.deleteGroup(c.Base, k.DeleteGroup)
	case *pb.Command_DeleteOffsets:
		return w.deleteOffsets(c.Base, k.DeleteOffsets)
	case *pb.Command_ExpireOffsets:
		return w.expireOffsets(k.ExpireOffsets)
	case *pb.Command_ReplaceRuns:
		return w.replaceRuns(c.Base, k.ReplaceRuns)
	case *pb.Command_FoldRuns:
		return w.foldRuns(k.FoldRuns)
	case *pb.Command_UnfoldRuns:
		return w.unfoldRuns(k.UnfoldRuns)
	case *pb.Command_ReleaseObjects:
		return w.releaseObjects(k.ReleaseObjects)
	case *pb.Command_ForgetObjects:
		return w.forgetObjects(k.ForgetObjects)
	case *pb.Command_ForgetSessions:
		return w.forgetSessions(k.ForgetSessions)
	case *pb.Command_Sweep:
		return w.sweep(k.Sweep)
	case *pb.Command_AppendBatches:
		return w.append(k.AppendBatches, index)
	}
	return Result{Code: Invalid}
}

func (w *twin) open(k *pb.OpenSession) Result {
	if w.sessions[w.session] != nil {
		return Result{Code: Stale}
	}
	if k.MinFeatureLevel > 1 || k.MaxFeatureLevel < 1 {
		return Result{Code: FeatureLevel}
	}
	if k.ListedAt != 0 || len(k.Listed) > 0 {
		rising := slices.IsSorted(k.Listed) && len(slices.Compact(slices.Clone(k.Listed))) == len(k.Listed)
		if k.ListedAt <= 0 || k.ListedAt >= w.position || !rising || !slices.Contains(k.Listed, int64(w.session)) {
			return Result{Code: Invalid}
		}
		for id, v := range w.sessions {
			if !slices.Contains(k.Listed, int64(id)) && v.Opened <= k.ListedAt && v.Closed == 0 {
				v.Closed, v.NodeID = w.position, -1
			}
		}
	}
	held := func(node int32) bool {
		return slices.ContainsFunc(w.sessionList(), func(v *Session) bool { return v.NodeID == node })
	}
	put := func(node int32) Result {
		if k.NewNodeId && k.Address != "" {
			w.addresses[k.Address] = node
		}
		w.sessions[w.session] = &Session{
			LastSeq: w.seq, NodeID: node, Opened: w.position, MinFeatureLevel: k.MinFeatureLevel, MaxFeatureLevel: k.MaxFeatureLevel,
		}
		return Result{ID: int64(node)}
	}
	if was, ok := w.addresses[k.Address]; ok && k.NewNodeId && !held(was) {
		return put(was)
	}
	node := int32(0) // the smallest that no open session holds
	if k.NewNodeId {
		node = w.nodes
	}
	for held(node) {
		node++
	}
	if k.NewNodeId {
		w.nodes = node + 1
	}
	return put(node)
}

func (w *twin) sessionList() []*Session {
	var list []*Session
	for _, v := range w.sessions {
		list = append(list, v)
	}
	return list
}

func (w *twin) live(number uint64) *twinTopic {
	for _, t := range w.topics {
		if t.Number == number && t.Deleted == 0 {
			return t
		}
	}
	return nil
}

func (w *twin) create(base int64, k *pb.CreateTopic) Result {
	if k.Name == "" || len(k.Name) > 249 || k.Partitions == 0 {
		return Result{Code: Invalid}
	}
	for _, t := range w.topics {
		if t.Deleted == 0 && t.Name == k.Name {
			return Result{Code: TopicExists, ID: int64(t.Number)}
		}
	}
	flat := strings.NewReplacer(".", "_")
	for _, t := range w.topics { // Semantics line 11
		if t.Deleted == 0 && flat.Replace(t.Name) == flat.Replace(k.Name) {
			return Result{Code: NameCollision}
		}
	}
	for _, t := range w.topics {
		// What is swept has no name any more: it may have been any topic, deleted by any session.
		if t.Deleted > base && (t.gone || (t.Name == k.Name && t.ChangedBy != w.session)) {
			return Result{Code: Conflict}
		}
	}
	for i := 1; i < len(k.Configs); i++ {
		if k.Configs[i-1].Name >= k.Configs[i].Name {
			return Result{Code: Invalid}
		}
	}
	t := &twinTopic{Topic: Topic{
		Number: uint64(len(w.topics) + 1), Name: k.Name, Configs: k.Configs, Created: w.position, Changed: w.position,
		ChangedBy: w.session,
	}}
	for _, c := range k.Configs {
		t.LogAppendTime = t.LogAppendTime || (c.Name == "message.timestamp.type" && c.Value == "LogAppendTime")
	}
	for range k.Partitions {
		t.parts = append(t.parts, &twinPart{producers: map[int64]*naiveProducer{}})
	}
	w.topics = append(w.topics, t)
	return Result{ID: int64(t.Number)}
}

func (w *twin) delete(base int64, k *pb.DeleteTopic) Result {
	t := w.live(k.Topic)
	if t == nil {
		return Result{Code: UnknownTopic}
	}
	if t.Changed > base && t.ChangedBy != w.session {
		return Result{Code: Conflict}
	}
	t.Deleted, t.Changed, t.ChangedBy = w.position, w.position, w.session
	return Result{ID: int64(t.Number)}
}

func (w *twin) grow(base int64, k *pb.CreatePartitions) Result {
	t := w.live(k.Topic)
	if t == nil {
		return Result{Code: UnknownTopic}
	}
	had := len(t.parts)
	if t.Changed > base && t.ChangedBy != w.session {
		return Result{Code: Conflict, ID: int64(had)}
	}
	if int(k.Count) <= had { // Semantics line 90
		return Result{Code: NotMore, ID: int64(had)}
	}
	if k.Count > 10_000 {
		return Result{Code: TooMany, ID: int64(had)}
	}
	for len(t.parts) < int(k.Count) {
		t.parts = append(t.parts, &twinPart{producers: map[int64]*naiveProducer{}})
	}
	t.Changed, t.ChangedBy = w.position, w.session
	return Result{ID: int64(had)}
}

func (w *twin) trim(base int64, k *pb.TrimPartitions) (res Result) {
	if n := len(k.Topics); n == 0 || n > 1000 || len(k.Partitions) != n || len(k.Offsets) != n {
		return Result{Code: Invalid}
	}
	for i, offset := range k.Offsets {
		got := BatchResult{Base: -1, Time: -1}
		t := w.live(k.Topics[i])
		switch {
		case t == nil || int(k.Partitions[i]) >= len(t.parts):
			got.Code = UnknownTopic
		case t.Changed > base || w.defaultsChanged() > base:
			got.Code = Conflict
		case offset < 0 || offset > t.parts[k.Partitions[i]].next: // Semantics line 51
			got.Code = OffsetOutOfRange
		default:
			p := t.parts[k.Partitions[i]]
			p.start = max(p.start, offset)
			got.Base = p.start
			if m := p.manifest; m != nil && m.Last < p.start {
				w.loose[m.Object], p.manifest = m, nil
			}
			w.queueSpent(p, trimmed{t.Number, k.Partitions[i]})
		}
		res.Batches = append(res.Batches, got)
	}
	return res
}

// waiting are the deleted topics that no sweep has finished, the next one first.
func (w *twin) queueSpent(p *twinPart, x trimmed) {
	if runs := w.runs(p); len(runs) > 0 && runs[0].Last < p.start && !slices.Contains(w.trimmed, x) {
		w.trimmed = append(w.trimmed, x)
	}
}

func (w *twin) waiting() []*twinTopic {
	var list []*twinTopic
	for _, t := range w.topics {
		if t.Deleted != 0 && !t.gone {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *twinTopic) int {
		return cmp.Or(cmp.Compare(a.Deleted, b.Deleted), cmp.Compare(a.Number, b.Number))
	})
	return list
}

// sweep takes one step per run dropped and one per partition finished, trimmed partitions first.
func (w *twin) sweep(k *pb.Sweep) Result {
	steps := min(k.Limit, 1000)
	for ; steps > 0 && len(w.trimmed) > 0; steps-- {
		if t := w.live(w.trimmed[0].topic); t != nil {
			p := t.parts[w.trimmed[0].partition]
			if runs := w.runs(p); len(runs) > 0 && runs[0].Last < p.start {
				p.batches = slices.DeleteFunc(p.batches, func(b twinBatch) bool { return b.last <= runs[0].Last })
				continue
			}
		}
		w.trimmed = w.trimmed[1:]
	}
	for ; steps > 0 && len(w.waiting()) > 0; steps-- {
		t := w.waiting()[0]
		p := t.parts[t.done]
		if runs := w.runs(p); len(runs) > 0 {
			newest := runs[len(runs)-1].Base
			p.batches = slices.DeleteFunc(p.batches, func(b twinBatch) bool { return b.base >= newest })
			continue
		}
		if m := p.manifest; m != nil {
			w.loose[m.Object], p.manifest = m, nil
		}
		p.producers = nil
		t.done++
		t.gone = t.done == len(t.parts)
	}
	return Result{ID: int64(len(w.waiting()) + len(w.trimmed))}
}

func (w *twin) archive(k *pb.Archived) Code {
	if k.To <= w.archived {
		return Stale
	}
	if k.From != w.archived || !slices.Contains(w.marks, k.To) || k.To >= w.position || k.Head < 0 {
		return Invalid
	}
	refs := 0
	w.eachRun(func(r Run) {
		if r.Inline() && int64(r.Place) > k.From && int64(r.Place) <= k.To {
			refs++
		}
	})
	if refs > 0 {
		w.objects = append(w.objects, &twinObject{archive: true, Object: Object{
			Session: layout.Session(k.Session), N: uint64(k.Head), Kind: ArchiveObject, Size: k.Size,
			Introduced: w.position,
		}})
		w.archives = append(w.archives, twinArchive{k.From, k.To, uint64(len(w.objects))})
	}
	w.archived = k.To
	return OK
}

// runs are the stretches of a partition's batches that lie side by side in one section.
func (w *twin) runs(p *twinPart) []Run {
	var runs []Run
	for i, b := range p.batches {
		if b.whole != nil {
			runs = append(runs, *b.whole)
			continue
		}
		if i > 0 && !b.begins && p.batches[i-1].whole == nil {
			r, before := &runs[len(runs)-1], p.batches[i-1]
			if b.position == before.position && b.section == before.section && r.Offset+r.Length == b.offset {
				r.Last, r.MaxTimestamp, r.Length = b.last, max(r.MaxTimestamp, b.maxTimestamp), r.Length+b.length
				continue
			}
		}
		r := Run{Base: b.base, Last: b.last, MaxTimestamp: b.maxTimestamp, Place: b.object, Offset: b.offset, Length: b.length}
		if b.object == 0 {
			r.Place, r.Flags = uint64(b.position), RunInline
		}
		runs = append(runs, r)
	}
	return runs
}

func (w *twin) eachRun(visit func(Run)) {
	for _, t := range w.topics {
		for _, p := range t.parts {
			for _, r := range w.runs(p) {
				visit(r)
			}
		}
	}
}

// refs counts the runs that lie in an object, directly or because it archives their entry.
func (w *twin) refs(number uint64) (n uint64) {
	w.eachRun(func(r Run) {
		if r.Inline() && w.archiveOf(int64(r.Place)) == number || !r.Inline() && !r.Marker() && r.Place == number {
			n++
		}
	})
	for _, m := range w.manifests() {
		if m.Object == number {
			n++
		}
	}
	return n
}

// archiveOf is the number of the object that archives a position, 0 when there is none.
func (w *twin) archiveOf(position int64) uint64 {
	for _, a := range w.archives {
		if position > a.from && position <= a.to {
			return a.object
		}
	}
	return 0
}
