package sim

import (
	"cmp"
	"fmt"
	"slices"

	"wadi/metadata/journal"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// listing is a partition's manifest as a command, or State behind it, describes it.
type listing struct {
	topic       uint64
	partition   uint32
	first, last int64 // offsets
	key         string
	size        uint64
}

func (x listing) String() string {
	return fmt.Sprintf("%s of partition %d of topic %d up to %d", x.key, x.partition, x.topic, x.last)
}

// folded follows a FoldRuns that State took: the new manifest lists the log up to where it says, byte for byte or, of a
// table, what compactions left, and the aborted transactions that end there, and owns the objects that it lists, each as it
// was introduced.
func (o *compactions) folded(e journal.Entry, c *pb.FoldRuns) {
	w := o.w
	w.stats.Folded++
	x := listing{c.Topic, c.Partition, c.First, c.Last, w.oracle.objects.Manifest(e.Session, c.N), c.Size}
	list, err := o.lists(x)
	log, known := w.logOf(c.Topic, c.Partition)
	if err == nil && known {
		err = o.allAborted(log, c.First, c.Last, list)
		if t := w.oracle.st.TopicByNumber(c.Topic); isTable(log) && t != nil && effective(t).Compact {
			w.stats.FoldedTables++
		}
	}
	if err != nil {
		w.violated("position %d, %v: %v", e.Position, x, err)
	}
}

// unfolded follows an UnfoldRuns that State took: what the new manifest lists, and what came back, is what the old one
// listed.
func (o *compactions) unfolded(e journal.Entry, c *pb.UnfoldRuns, r *state.Result) {
	w := o.w
	if w.stats.Unfolded++; c.N != 0 {
		w.stats.UnfoldedInPart++
	}
	if err := o.unfoldedTo(e, c, r); err != nil {
		w.violated("position %d, unfold of partition %d of topic %d: %v", e.Position, c.Partition, c.Topic, err)
	}
}

func (o *compactions) unfoldedTo(e journal.Entry, c *pb.UnfoldRuns, r *state.Result) (err error) {
	w, st := o.w, o.w.oracle.st
	p := st.TopicByNumber(c.Topic).Partition(int32(c.Partition))
	first, list := p.LogStart, []state.AbortedTxn{}
	st.EachManifest(func(m state.Manifest) {
		if err == nil && c.N != 0 && m.Object == uint64(r.ID) {
			first = m.First
			list, err = o.lists(listing{c.Topic, c.Partition, m.First, m.Last, w.oracle.objects.Manifest(e.Session, c.N), c.Size})
		}
	})
	log, known := w.logOf(c.Topic, c.Partition)
	n := 0
	p.EachRun(func(x state.Run) {
		if n++; err != nil || n > len(c.RunCounts) {
			return
		}
		object, _ := st.Object(x.Place)
		key := object.Key(w.oracle.objects)
		if body := w.bucket.objects[key]; object.Introduced != o.introduced[key] || object.Size != uint64(len(body)) {
			err = fmt.Errorf("%s came back as introduced at position %d, of %d bytes", key, object.Introduced, object.Size)
		} else {
			err = o.listed(log, known, x, body)
		}
	})
	p.EachAborted(func(a state.AbortedTxn) { list = append(list, a) })
	if err == nil && known {
		list = slices.DeleteFunc(list, func(a state.AbortedTxn) bool { return a.Last < max(first, p.LogStart) })
		err = o.allAborted(log, max(first, p.LogStart), p.Next, list)
	}
	return err
}

// lists checks a manifest and returns the aborted transactions that it lists, by their markers.
func (o *compactions) lists(m listing) ([]state.AbortedTxn, error) {
	w := o.w
	if body := w.bucket.objects[m.key]; uint64(len(body)) != m.size {
		return nil, fmt.Errorf("the bucket has %d bytes of %d", len(body), m.size)
	}
	r, err := manifest.Open(background, plainBucket{w.bucket, w.wall()}, m.key, m.size)
	if err == nil {
		err = r.Verify(background)
	}
	if err != nil {
		return nil, err
	}
	log, known := w.logOf(m.topic, m.partition)
	next, listed := m.first, map[string]bool{}
	err = r.EachRun(background, func(x manifest.Run) error {
		key := x.Key(w.oracle.objects)
		listed[key] = true
		body := w.bucket.objects[key]
		if x.Base != next || uint64(x.Offset)+uint64(x.Length) > uint64(len(body)) {
			return fmt.Errorf("a run at offset %d, expected at %d, in %s of %d bytes", x.Base, next, key, len(body))
		}
		next = x.Last + 1
		return o.listed(log, known, x.Run, body)
	})
	if err == nil && next != m.last+1 {
		err = fmt.Errorf("it ends at %d", next-1)
	}
	if err != nil {
		return nil, err
	}
	objects, err := r.Objects(background)
	if err != nil {
		return nil, err
	}
	for _, x := range objects {
		key := x.Key(w.oracle.objects)
		if x.Introduced != o.introduced[key] || x.Size != uint64(len(w.bucket.objects[key])) {
			return nil, fmt.Errorf("it owns %+v, introduced at position %d, of %d bytes", x, o.introduced[key], len(w.bucket.objects[key]))
		}
		delete(listed, key)
	}
	if len(listed) > 0 {
		return nil, fmt.Errorf("its runs lie in objects that it does not own: %v", listed)
	}
	list, err := r.Aborted(background, m.first, m.last)
	return slices.DeleteFunc(list, func(a state.AbortedTxn) bool { return a.Last < m.first }), err
}

// listed compares a run with the log; of a topic that is not checked, it looks whether it makes sense.
func (o *compactions) listed(log int32, known bool, x state.Run, body []byte) error {
	w := o.w
	data := body[x.Offset : x.Offset+x.Length]
	if !known {
		return sound(x.Base, x.Last, data)
	}
	to := w.partitionIn(w.oracle.st, log).CompactedTo
	compacted := isTable(log) && x.Base < to
	return w.oracle.holds(log, x.Base, x.Last, data, compacted, func(x *logged, there []bool) {
		if compacted {
			w.oracle.missed("what is listed", log, x, there, to)
			o.returned(log, x, there)
		}
	})
}

// allAborted compares a list of aborted transactions with those of the log that end in a range of offsets. Of what is
// compacted some may be gone, with all they wrote.
func (o *compactions) allAborted(log int32, first, last int64, list []state.AbortedTxn) error {
	if !slices.IsSortedFunc(list, func(a, b state.AbortedTxn) int { return cmp.Compare(a.Last, b.Last) }) {
		return fmt.Errorf("aborted transactions out of order: %v", list)
	}
	n, to := 0, int64(0)
	if isTable(log) {
		to = o.w.partitionIn(o.w.oracle.st, log).CompactedTo
	}
	entries := o.w.oracle.logs[log]
	for i := range entries {
		x := &entries[i]
		if x.attempt != nil || x.txn.fate != aborted || x.base < first || x.base > last {
			continue
		}
		switch there := slices.ContainsFunc(list, func(a state.AbortedTxn) bool {
			return a.ProducerID == x.txn.by.id && a.First == x.txn.first[log] && a.Last == x.base
		}); {
		case there:
			n++
		case x.base >= to:
			return fmt.Errorf("%v, aborted at offset %d, is not listed: %v", x.txn, x.base, list)
		}
	}
	if n != len(list) {
		return fmt.Errorf("%d aborted transactions are listed, there are %d: %v", len(list), n, list)
	}
	return nil
}
