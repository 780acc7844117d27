package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"wadi/internal/batch"
	"wadi/internal/layout"
	"wadi/metadata/journal"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore/segment"
)

// compactions follows what compactors do, by its own reading of their commands and objects: what they write anew is what
// was there, what they delete nobody needs (I16).
type compactions struct {
	w         *World
	closed    map[layout.Session]time.Duration // when sessions were closed
	forgotten map[layout.Session]bool
	nodes     map[int]int64             // node ids that agents had last
	roots     map[int64]map[string]bool // what the State at a kept root needs, by its position
	asked     map[place]bool            // log starts that clients asked for

	introduced map[string]int64 // positions of merged objects, by their keys
	taken      map[place]bool   // records that compactions took
}

func newCompactions(w *World) *compactions {
	return &compactions{
		w: w, closed: map[layout.Session]time.Duration{}, forgotten: map[layout.Session]bool{}, nodes: map[int]int64{},
		roots: map[int64]map[string]bool{}, asked: map[place]bool{}, introduced: map[string]int64{}, taken: map[place]bool{},
	}
}

// replaced follows a ReplaceRuns that State took: of each partition that it was right about, the new object holds what was
// there, whole, below what is open.
func (o *compactions) replaced(e journal.Entry, c *pb.ReplaceRuns, r *state.Result) {
	w := o.w
	key := w.oracle.objects.Merged(e.Session, c.N)
	body := w.bucket.objects[key]
	if body == nil || uint64(len(body)) != c.Size {
		w.violated("position %d names %s of %d bytes, the bucket has %d", e.Position, key, c.Size, len(body))
		return
	}
	if err := segment.Verify(background, plainBucket{w.bucket, w.wall()}, key, int64(c.Size), nil); err != nil {
		w.violated("position %d: %v", e.Position, err)
		return
	}
	w.stats.Merged++
	o.introduced[key] = e.Position
	at := 0
	for i := range c.Topics {
		from := at
		at += int(c.Runs[i])
		if r.Batches[i].Code != state.OK {
			w.stats.Outrun++
			continue
		}
		compacted := len(c.Compacted) > 0 && c.Compacted[i]
		if compacted {
			w.stats.Compactions++
		}
		base := c.Bases[i]
		for k := from; k < at; k++ {
			last := base + int64(c.RunCounts[k]) - 1
			data := body[c.Offsets[k] : c.Offsets[k]+uint64(c.Lengths[k])]
			if err := o.rewritten(c.Topics[i], c.Partitions[i], base, last, data, compacted, c.Lasts[i]+1); err != nil {
				w.violated("position %d, partition %d of topic %d, run from %d to %d: %v", e.Position, c.Partitions[i], c.Topics[i], base, last, err)
				return
			}
			base = last + 1
		}
	}
}

// rewritten compares a new run with the log; of a topic that is not checked, it looks whether it makes sense.
func (o *compactions) rewritten(topic uint64, partition uint32, base, last int64, data []byte, compacted bool, to int64) error {
	w := o.w
	log, ok := w.logOf(topic, partition)
	if !ok {
		return sound(base, last, data)
	}
	if stable := w.oracle.txns.lso(log); last >= stable {
		return fmt.Errorf("it is stable up to %d", stable)
	}
	p := w.partitionIn(w.oracle.st, log)
	return w.oracle.holds(log, base, last, data, compacted || isTable(log) && base < p.CompactedTo, func(x *logged, there []bool) {
		w.oracle.missed("what is compacted", log, x, there, p.CompactedTo)
		o.returned(log, x, there)
		if compacted && x.last < to-1 && x.txn != nil && x.txn.fate == aborted && x.attempt != nil && slices.Contains(there, true) {
			w.violated("offset %d of log %d was aborted, and is there after a compaction up to %d", x.base, log, to)
		}
	})
}

// sound looks at the batches of a run that are not known here.
func sound(base, last int64, data []byte) error {
	next := base
	for len(data) > 0 {
		b, rest, err := batch.Split(data)
		switch {
		case err != nil:
			return err
		case b.BaseOffset() != next || b.CRC() != b.ComputeCRC():
			return fmt.Errorf("a batch at offset %d, expected at %d", b.BaseOffset(), next)
		}
		data, next = rest, b.LastOffset()+1
	}
	if next != last+1 {
		return fmt.Errorf("it ends at %d", next-1)
	}
	return nil
}

// claims are the keys of all objects that a State needs.
func (o *compactions) claims(s *state.State) map[string]bool {
	keys := map[string]bool{}
	s.EachObject(func(_ uint64, x state.Object) {
		if x.Refs > 0 {
			keys[x.Key(o.w.oracle.objects)] = true
		}
	})
	own := func(m state.Manifest) {
		x, ok := s.Object(m.Object)
		if !ok {
			o.w.violated("State at position %d does not know manifest %d", s.Position(), m.Object)
			return
		}
		err := owned(background, plainBucket{o.w.bucket, o.w.wall()}, x.Key(o.w.oracle.objects), x.Size, m.Released, func(x manifest.Object) {
			keys[x.Key(o.w.oracle.objects)] = true
		})
		if err != nil {
			o.w.violated("manifest %d of State at position %d: %v", m.Object, s.Position(), err)
		}
	}
	s.EachManifest(own)
	return keys
}

// kept notes what the roots need that a pointer keeps.
func (o *compactions) kept(p *pb.Pointer) {
	roots := map[int64]map[string]bool{}
	for _, k := range p.Kept {
		if roots[k.Position] = o.roots[k.Position]; roots[k.Position] == nil && o.w.oracle.frozen[k.Position] != nil {
			roots[k.Position] = o.claims(o.w.oracle.frozen[k.Position])
			for _, key := range slices.Sorted(maps.Keys(roots[k.Position])) {
				if o.w.bucket.objects[key] == nil {
					o.w.violated("the root at position %d is kept and needs %s, which was deleted", k.Position, key)
				}
			}
		}
	}
	o.roots = roots
}

// deleted checks that nobody needs what was deleted, now or later: it may be that the request was on its way for long.
func (o *compactions) deleted(keys []string) {
	w := o.w
	live, garbage := o.claims(w.oracle.st), map[string]state.Object{}
	w.oracle.st.EachGarbage(func(_ uint64, x state.Object) { garbage[x.Key(w.oracle.objects)] = x })
	for _, key := range keys {
		if x, ok := garbage[key]; ok && w.wall().UnixMilli()-x.LostMs < (w.grace-1100*time.Millisecond).Milliseconds() {
			w.violated("%s was deleted, its grace of %v is not over", key, w.grace)
		}
		if live[key] {
			w.violated("%s was deleted, State needs it", key)
		}
		for _, position := range slices.Sorted(maps.Keys(o.roots)) {
			if o.roots[position][key] {
				w.violated("%s was deleted, the root kept at position %d needs it", key, position)
			}
		}
		if _, err := w.oracle.objects.ParseCheckpoint(key); err == nil {
			if w.oracle.needed[key] {
				w.violated("%s was deleted, a kept root needs it", key)
			}
			continue
		}
		id, n, flush, ok := o.nameOf(key)
		v, known := w.oracle.st.Session(id)
		last := v.LastMerge
		if flush {
			last = v.LastFlush
		}
		switch {
		case !ok:
			w.violated("%s was deleted", key)
		case !known && !o.forgotten[id]:
			w.violated("%s was deleted, its session may open yet", key)
		case known && v.Closed == 0 && n > last:
			w.violated("%s was deleted, it may be introduced yet", key)
		default:
			w.stats.Deleted++
		}
	}
}

// nameOf takes a segment's or a manifest's key apart.
func (o *compactions) nameOf(key string) (id layout.Session, n uint64, flush, ok bool) {
	objects := o.w.oracle.objects
	if f, err := objects.ParseFlush(key); err == nil {
		return f.Session, f.N, true, true
	}
	if m, err := objects.ParseMerged(key); err == nil {
		return m.Session, m.N, false, true
	}
	m, err := objects.ParseManifest(key)
	return m.Session, m.N, false, err == nil
}
