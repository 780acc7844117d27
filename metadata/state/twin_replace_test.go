package state

import (
	"math"
	"slices"

	"pgregory.net/rapid"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

func (w *twin) replaceRuns(base int64, k *pb.ReplaceRuns) Result {
	runs, ok := w.unfoldReplace(k)
	if !ok {
		return Result{Code: Invalid}
	}
	v := w.sessions[w.session]
	if k.N <= v.LastMerge {
		return Result{Code: FlushReused}
	}
	v.LastMerge = k.N
	w.objects = append(w.objects, &twinObject{Object: Object{
		Session: w.session, N: k.N, Kind: MergedObject, Size: k.Size, Introduced: w.position,
	}})
	res := Result{ID: int64(len(w.objects))}
	for i, list := range runs {
		code, n := w.replaceIn(base, k, i, list)
		if code != OK {
			n = -1
		}
		res.Batches = append(res.Batches, BatchResult{Code: code, Base: int64(n), Time: -1})
	}
	return res
}

// unfoldReplace is false for columns that do not fit each other, bytes outside the object, or runs that do not cover
// what they replace.
func (w *twin) unfoldReplace(k *pb.ReplaceRuns) (runs [][]Run, ok bool) {
	n := len(k.Topics)
	for _, m := range []int{len(k.Partitions), len(k.Versions), len(k.Bases), len(k.Lasts), len(k.Runs)} {
		if m != n {
			return nil, false
		}
	}
	if n == 0 || k.N == 0 || k.Size > math.MaxUint32 || len(k.Compacted) > 0 && len(k.Compacted) != n ||
		len(k.MaxTimestamps) != len(k.RunCounts) || len(k.Offsets) != len(k.RunCounts) || len(k.Lengths) != len(k.RunCounts) {
		return nil, false
	}
	at, ms := 0, int64(0)
	for i := range n {
		var list []Run
		next := k.Bases[i]
		for range k.Runs[i] {
			if at == len(k.RunCounts) || k.RunCounts[at] == 0 || next > k.Lasts[i] || k.RunCounts[at] > uint64(k.Lasts[i]-next+1) || k.Lengths[at] == 0 || k.Offsets[at] > k.Size || k.Offsets[at]+uint64(k.Lengths[at]) > k.Size {
				return nil, false
			}
			ms += k.MaxTimestamps[at]
			list = append(list, Run{
				Base: next, Last: next + int64(k.RunCounts[at]) - 1, MaxTimestamp: ms,
				Place: uint64(len(w.objects) + 1), Offset: uint32(k.Offsets[at]), Length: k.Lengths[at], Flags: RunPlaced,
			})
			next += int64(k.RunCounts[at])
			at++
		}
		if k.Bases[i] < 0 || len(list) == 0 || next != k.Lasts[i]+1 {
			return nil, false
		}
		runs = append(runs, list)
	}
	return runs, at == len(k.RunCounts)
}

func (w *twin) replaceIn(since int64, k *pb.ReplaceRuns, i int, runs []Run) (Code, int) {
	t := w.live(k.Topics[i])
	if t == nil || int(k.Partitions[i]) >= len(t.parts) {
		return UnknownTopic, 0
	}
	p := t.parts[k.Partitions[i]]
	base, last := k.Bases[i], k.Lasts[i]
	if p.version != k.Versions[i] || last >= w.stable(p, t.Number, int(k.Partitions[i])) {
		return Conflict, 0
	}
	if since != 0 && len(k.Compacted) > 0 && k.Compacted[i] && max(t.Changed, w.defaultsChanged()) > since {
		return Conflict, 0
	}
	old := w.runs(p)
	from := slices.IndexFunc(old, func(r Run) bool { return r.Base == base })
	to := slices.IndexFunc(old, func(r Run) bool { return r.Last == last })
	if from < 0 || to < from {
		return Conflict, 0
	}
	at := slices.IndexFunc(p.batches, func(b twinBatch) bool { return b.base == base })
	p.batches = slices.DeleteFunc(p.batches, func(b twinBatch) bool { return b.base >= base && b.last <= last })
	var come []twinBatch
	for _, r := range runs {
		come = append(come, twinBatch{base: r.Base, last: r.Last, maxTimestamp: r.MaxTimestamp, position: w.position, whole: &r})
	}
	p.batches = slices.Insert(p.batches, at, come...)
	p.version++
	w.queueSpent(p, trimmed{t.Number, k.Partitions[i]})
	if len(k.Compacted) > 0 && k.Compacted[i] {
		p.compactedTo = max(p.compactedTo, last+1)
		p.aborted = slices.DeleteFunc(p.aborted, func(a AbortedTxn) bool { return a.Last >= base && a.Last < last })
	}
	return OK, to - from + 1
}

func (w *twin) stable(p *twinPart, topic uint64, index int) int64 {
	stable := p.next
	for _, x := range w.txns.list {
		if first, ok := x.parts[twinOffsetKey{topic, uint32(index)}]; ok && first >= 0 {
			stable = min(stable, max(first, p.start))
		}
	}
	return stable
}

func (w *twin) forgetObjects(k *pb.ForgetObjects) Result {
	n := int64(0)
	for _, number := range k.Objects {
		if number == 0 || number > uint64(len(w.objects)) || w.objects[number-1].forgotten || w.refs(number) > 0 {
			continue
		}
		w.objects[number-1].forgotten = true
		w.archives = slices.DeleteFunc(w.archives, func(a twinArchive) bool { return a.object == number })
		n++
	}
	return Result{ID: n}
}

func (w *twin) forgetSessions(k *pb.ForgetSessions) Result {
	if k.Began > w.position {
		return Result{Code: Invalid}
	}
	n := int64(0)
	for _, id := range k.Sessions {
		if v := w.sessions[layout.Session(id)]; v != nil && v.Closed != 0 && v.Closed <= k.Began {
			delete(w.sessions, layout.Session(id))
			n++
		}
	}
	return Result{ID: n}
}

// replace mostly draws what a merge would propose: stretches of whole runs below the last stable offset.
func (d *drawing) replace(t *rapid.T) *pb.Command {
	k := &pb.ReplaceRuns{N: d.merge}
	d.merge++
	var seen []PartRef
	for range rapid.IntRange(1, 3).Draw(t, "ranges") {
		topic, partition := d.partition(t)
		known := d.w.live(topic)
		if known == nil || int(partition) >= len(known.parts) || slices.Contains(seen, PartRef{topic, partition}) {
			continue
		}
		p := known.parts[partition]
		runs := d.w.runs(p)
		if len(runs) == 0 {
			continue
		}
		from := rapid.IntRange(0, len(runs)-1).Draw(t, "from")
		to := rapid.IntRange(from, len(runs)-1).Draw(t, "to")
		base, last, version := runs[from].Base, runs[to].Last, p.version
		if rarely(t, "other range") {
			base, last = base+rapid.Int64Range(-1, 1).Draw(t, "base"), last+rapid.Int64Range(-1, 1).Draw(t, "last")
		}
		if rarely(t, "other version") {
			version += uint64(rapid.IntRange(-1, 1).Draw(t, "version"))
		}
		if base < 0 || last < base {
			continue
		}
		seen = append(seen, PartRef{topic, partition})
		k.Topics, k.Partitions, k.Versions = append(k.Topics, topic), append(k.Partitions, partition), append(k.Versions, version)
		k.Bases, k.Lasts, k.Runs = append(k.Bases, base), append(k.Lasts, last), append(k.Runs, 0)
		k.Compacted = append(k.Compacted, rapid.IntRange(0, 3).Draw(t, "compacted") == 0)
		for left := last - base + 1; left > 0; {
			n := rapid.Int64Range(1, left).Draw(t, "covers")
			left -= n
			length := uint32(rapid.IntRange(1, 20).Draw(t, "bytes"))
			k.Runs[len(k.Runs)-1]++
			k.RunCounts, k.Lengths, k.Offsets = append(k.RunCounts, uint64(n)), append(k.Lengths, length), append(k.Offsets, k.Size)
			k.MaxTimestamps = append(k.MaxTimestamps, rapid.Int64Range(-5, 5).Draw(t, "time"))
			k.Size += uint64(length)
		}
	}
	if rarely(t, "none compacted") {
		k.Compacted = nil
	}
	if rarely(t, "malformed replacement") && len(k.Topics) > 0 {
		switch rapid.IntRange(0, 7).Draw(t, "how") {
		case 0:
			k.N = 0
		case 1:
			k.Lengths[0] = rapid.SampledFrom([]uint32{0, math.MaxUint32}).Draw(t, "length")
		case 2:
			k.RunCounts[0] = rapid.SampledFrom([]uint64{0, 1 << 40, math.MaxUint64}).Draw(t, "count")
		case 3:
			k.Runs[0]--
		case 4:
			k.Offsets[0] = math.MaxUint64 - 3
		case 5:
			k.Bases[0]--
		case 6:
			k.Compacted = append(k.Compacted, true)
		default:
			k.Versions = nil
		}
	}
	base := int64(0)
	if rapid.Bool().Draw(t, "judged by configs") {
		base = max(0, d.w.position+rapid.Int64Range(-20, 1).Draw(t, "configs at"))
	}
	return &pb.Command{Base: base, Kind: &pb.Command_ReplaceRuns{ReplaceRuns: k}}
}

func (d *drawing) forget(t *rapid.T) *pb.Command {
	if rapid.Bool().Draw(t, "sessions") {
		k := &pb.ForgetSessions{Began: max(0, d.w.position+rapid.Int64Range(-8, 3).Draw(t, "began"))}
		for range rapid.IntRange(0, 2).Draw(t, "how many") {
			k.Sessions = append(k.Sessions, int64(rapid.IntRange(1, 5).Draw(t, "session")))
		}
		return &pb.Command{Kind: &pb.Command_ForgetSessions{ForgetSessions: k}}
	}
	k := &pb.ForgetObjects{}
	for range rapid.IntRange(0, 4).Draw(t, "how many") {
		k.Objects = append(k.Objects, uint64(rapid.IntRange(0, len(d.w.objects)+1).Draw(t, "object")))
	}
	return &pb.Command{Kind: &pb.Command_ForgetObjects{ForgetObjects: k}}
}
