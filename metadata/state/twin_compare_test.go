package state

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"wadi/internal/layout"
)

// compareResults is nil when State answered an entry as the twin did.
func compareResults(got *Results, want Results) error {
	if got.Position != want.Position || got.Repeat != want.Repeat || got.Refused != want.Refused ||
		len(got.Commands) != len(want.Commands) {
		return fmt.Errorf("results %+v, want %+v", *got, want)
	}
	for i, w := range want.Commands {
		g := got.Commands[i]
		if g.Code != w.Code || g.ID != w.ID || !slices.Equal(g.Batches, w.Batches) || g.Epoch != w.Epoch || !slices.Equal(g.Touched, w.Touched) {
			return fmt.Errorf("command %d: %+v, want %+v", i, g, w)
		}
	}
	return nil
}

// compare reads everything that can be read of a State. names is false for a snapshot, which has no lookup by name.
func (w *twin) compare(s *State, names bool) error {
	for _, step := range []func(*State) error{s.checkSelf, w.compareTotals, w.compareSessions, w.compareObjects, w.compareManifests, w.compareConfigs, w.compareGroups, w.compareTxns} {
		if err := step(s); err != nil {
			return fmt.Errorf("after position %d: %w", w.position, err)
		}
	}
	var visited []uint64
	s.EachTopic(func(t *Topic) { visited = append(visited, t.Number) })
	var live []uint64
	for _, t := range w.topics {
		if t.Deleted == 0 {
			live = append(live, t.Number)
		}
		if err := w.compareTopic(s, t, names); err != nil {
			return fmt.Errorf("after position %d: topic %d: %w", w.position, t.Number, err)
		}
	}
	if !slices.Equal(visited, live) || s.Topics() != len(live) {
		return fmt.Errorf("topics %v (%d), want %v", visited, s.Topics(), live)
	}
	return nil
}

func (s *State) checkSelf(*State) error { return s.Check() }

func (w *twin) compareTotals(s *State) error {
	runs, pairs, parts, inline := 0, 0, 0, int64(0)
	for _, t := range w.topics {
		if t.Deleted == 0 {
			parts += len(t.parts)
		}
		for _, p := range t.parts {
			pairs += len(p.producers)
			runs += len(w.runs(p))
		}
	}
	w.eachRun(func(r Run) {
		if r.Inline() && int64(r.Place) > w.archived {
			inline += int64(r.Length)
		}
	})
	lastMark := int64(0)
	if len(w.marks) > 0 {
		lastMark = w.marks[len(w.marks)-1]
	}
	var pending []int64
	for _, m := range w.marks {
		if m > w.archived {
			pending = append(pending, m)
		}
	}
	if !slices.Equal(s.PendingMarks(), pending) {
		return fmt.Errorf("pending marks %v, want %v", s.PendingMarks(), pending)
	}
	id, incarnation, level := "", uint32(0), uint32(0)
	if w.cluster != nil {
		id, incarnation, level = w.cluster.ClusterId, w.cluster.Incarnation, w.cluster.FeatureLevel
	}
	got := []any{
		s.Position(), s.ClusterID(), s.Incarnation(), s.FeatureLevel(), s.NextProducerID(), s.HighestExpiredProducerID(),
		s.LastMark(), s.ArchivedTo(), s.InlineOutstanding(), s.RunCount(), s.ProducerCount(), s.Partitions(),
		s.Unswept(),
	}
	want := []any{w.position, id, incarnation, level, w.pids, w.expired, lastMark, w.archived, inline, runs, pairs, parts,
		len(w.waiting()) + len(w.trimmed)}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("totals %v, want %v", got, want)
	}
	return nil
}

func (w *twin) compareSessions(s *State) error {
	n := 0
	var err error
	s.EachSession(func(id layout.Session, v Session) {
		n++
		if w.sessions[id] == nil || *w.sessions[id] != v {
			err = fmt.Errorf("session %v: %+v, want %+v", id, v, w.sessions[id])
		}
	})
	if err == nil && n != len(w.sessions) {
		err = fmt.Errorf("%d sessions, want %d", n, len(w.sessions))
	}
	return err
}

func (w *twin) compareObjects(s *State) error {
	n := 0
	var err error
	s.EachObject(func(number uint64, o Object) {
		n++
		if number > uint64(len(w.objects)) {
			err = fmt.Errorf("object %d is not known", number)
			return
		}
		if w.objects[number-1].forgotten {
			err = fmt.Errorf("object %d is forgotten", number)
		}
		want := w.objects[number-1].Object
		want.Refs = w.refs(number)
		if o != want {
			err = fmt.Errorf("object %d: %+v, want %+v", number, o, want)
		}
	})
	kept := 0
	for _, o := range w.objects {
		if !o.forgotten {
			kept++
		}
	}
	if err == nil && n != kept {
		err = fmt.Errorf("%d objects, want %d", n, kept)
	}
	for p := range w.position + 2 {
		if _, number, ok := s.Archive(p); err == nil && (number != w.archiveOf(p) || ok != (number != 0)) {
			err = fmt.Errorf("position %d is in archive %d, want %d", p, number, w.archiveOf(p))
		}
	}
	return err
}

func (w *twin) compareTopic(s *State, want *twinTopic, names bool) error {
	t := s.TopicByNumber(want.Number)
	if (t != nil) != (want.Deleted == 0) {
		return fmt.Errorf("found: %v, deleted at %d", t != nil, want.Deleted)
	}
	if t == nil {
		return nil
	}
	if names && (s.Topic(want.Name) != t || s.TopicByID(t.ID) != t) {
		return fmt.Errorf("%q or its UUID leads elsewhere", want.Name)
	}
	if t.Name != want.Name || t.Created != want.Created || t.Changed != want.Changed || t.ChangedBy != want.ChangedBy ||
		t.LogAppendTime != want.LogAppendTime || len(t.Configs) != len(want.Configs) || t.Partitions() != len(want.parts) ||
		t.ID != topicID(w.cluster.ClusterId, w.cluster.Incarnation, want.Number) {
		return fmt.Errorf("is %+v, want %+v", t, want.Topic)
	}
	for i, c := range want.Configs {
		if v, ok := t.Config(c.Name); !ok || v != c.Value || t.Configs[i].Name != c.Name {
			return fmt.Errorf("config %s is %q", c.Name, v)
		}
	}
	for i, p := range want.parts {
		if err := w.comparePartition(t.Partition(int32(i)), p); err != nil {
			return fmt.Errorf("partition %d: %w", i, err)
		}
		if err := w.compareStable(t.Partition(int32(i)), t.Number, i, p); err != nil {
			return fmt.Errorf("partition %d: %w", i, err)
		}
	}
	if t.Partition(-1) != nil || t.Partition(int32(len(want.parts))) != nil {
		return fmt.Errorf("has a partition outside 0 to %d", len(want.parts)-1)
	}
	return nil
}

func (w *twin) comparePartition(p *Partition, want *twinPart) error {
	runs := w.runs(want)
	var got []Run
	p.EachRun(func(r Run) { got = append(got, r) })
	if p.Next != want.next || p.Version != want.version || p.CompactedTo != want.compactedTo || p.LogStart != want.start || p.Runs() != len(runs) || !slices.Equal(got, runs) {
		return fmt.Errorf("log from %d to %d, runs %+v, want %d to %d, %+v", p.LogStart, p.Next, got, want.start, want.next, runs)
	}
	size := int64(0)
	if (p.Manifest == nil) != (want.manifest == nil) || p.Manifest != nil && *p.Manifest != want.manifest.Manifest {
		return fmt.Errorf("manifest %+v, want %+v", p.Manifest, want.manifest)
	}
	if p.Manifest != nil {
		size = p.Manifest.Bytes
	}
	for _, r := range runs {
		size += int64(r.Length)
	}
	if p.Bytes() != size {
		return fmt.Errorf("%d bytes, want %d", p.Bytes(), size)
	}
	for _, offset := range []int64{0, want.next / 2, want.next - 1, want.next} {
		if got := p.RunsFrom(offset, 3, 40, nil); !slices.Equal(got, naiveFrom(runs, offset, 3, 40)) {
			return fmt.Errorf("runs from %d: %+v", offset, got)
		}
	}
	if len(runs) > 0 {
		ms := runs[len(runs)/2].MaxTimestamp
		i := slices.IndexFunc(runs, func(r Run) bool { return r.Last >= want.start && r.MaxTimestamp >= ms })
		if r, ok := p.RunAtTime(ms); ok != (i >= 0) || ok && r != runs[i] {
			return fmt.Errorf("run at time %d: %+v, want that of index %d", ms, r, i)
		}
	}
	told := map[int64]Producer{}
	for _, v := range p.Producers(nil) {
		told[v.ID] = v
	}
	if len(told) != len(want.producers) {
		return fmt.Errorf("producers %+v, want %d", told, len(want.producers))
	}
	ids := slices.AppendSeq([]int64{0, 1, 2}, maps.Keys(want.producers))
	for _, id := range ids {
		known := want.producers[id]
		if known != nil {
			last := known.sent[len(known.sent)-1]
			if v := told[id]; v.Epoch != known.epoch || v.LastSequence != last.last() || v.LastTime != last.ms {
				return fmt.Errorf("producer %d is told as %+v, want epoch %d and %+v", id, v, known.epoch, last)
			}
		}
		for epoch := range int16(4) {
			seq, ok := p.ProducerNext(id, epoch)
			wantSeq := int32(0)
			if known != nil && known.epoch == epoch {
				wantSeq = int32((int64(known.sent[len(known.sent)-1].last()) + 1) % (1 << 31))
			}
			if ok != (known != nil) || seq != wantSeq {
				return fmt.Errorf("producer %d epoch %d: next %d %v, want %d %v", id, epoch, seq, ok, wantSeq, known != nil)
			}
		}
	}
	return nil
}
