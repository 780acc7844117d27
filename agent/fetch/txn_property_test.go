package fetch

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"wadi/agent/api"
	"wadi/internal/batch"
)

// twin is a partition's log as one remembers it who saw everything being written.
type twin struct {
	r       *rig
	batches []stored
	start   int64
	open    map[string][]int // by producer: its batches of the transaction that is open
}

type stored struct {
	batch.Batch
	aborted bool
	first   int64 // of a marker: its transaction's first offset, -1 = it commits
}

func (w *twin) next() int64 {
	if n := len(w.batches); n > 0 {
		return w.batches[n-1].LastOffset() + 1
	}
	return 0
}

// stable is the last stable offset, by looking at every open transaction.
func (w *twin) stable() int64 {
	lso := w.next()
	for _, list := range w.open {
		if len(list) > 0 {
			lso = min(lso, w.batches[list[0]].BaseOffset())
		}
	}
	return max(lso, w.start)
}

func (w *twin) append(p *producer, n int, ms int64, inline bool) {
	b := w.r.write(p, 0, n, ms, inline)
	if p != nil {
		w.open[p.name] = append(w.open[p.name], len(w.batches))
	}
	w.batches = append(w.batches, stored{Batch: b, first: -1})
}

// ended notes that a transaction has ended under an epoch.
func (w *twin) ended(p *producer, id int64, epoch int16, commit bool) {
	list := w.open[p.name]
	delete(w.open, p.name)
	if len(list) == 0 {
		return
	}
	m := stored{Batch: batch.Marker{Base: w.next(), ProducerID: id, Epoch: epoch, Ms: 1_000_000, Commit: commit}.AppendTo(nil), first: -1}
	if !commit {
		m.first = w.batches[list[0]].BaseOffset()
		for _, i := range list {
			w.batches[i].aborted = true
		}
	}
	w.batches = append(w.batches, m)
}

// TestTransactionsProperty writes transactions and what lies between them, which are merged, folded into manifests and brought back, trimmed
// and released meanwhile, and reads with any limits at any offset: exactly the batches of the log, in both isolation levels, bounded by the last stable offset, with the aborted
// transactions that overlap them (Semantics lines 43, 44, 45), and what a client makes of it is what was committed.
func TestTransactionsProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, 1, 1<<20)
		w := &twin{r: r, open: map[string][]int{}}
		var producers []*producer
		for _, name := range []string{"a", "b", "c"} {
			producers = append(producers, r.producer(name))
		}
		who := rapid.SampledFrom(producers)
		rt.Repeat(map[string]func(*rapid.T){
			"transactional": func(rt *rapid.T) {
				w.append(who.Draw(rt, "who"), rapid.IntRange(1, 3).Draw(rt, "records"), rapid.Int64Range(999_990, 1_000_005).Draw(rt, "ms"), rapid.Bool().Draw(rt, "inline"))
			},
			"plain": func(rt *rapid.T) {
				w.append(nil, rapid.IntRange(1, 3).Draw(rt, "records"), rapid.Int64Range(999_990, 1_000_005).Draw(rt, "ms"), rapid.Bool().Draw(rt, "inline"))
			},
			"end": func(rt *rapid.T) {
				p, commit := who.Draw(rt, "who"), rapid.Bool().Draw(rt, "commit")
				if len(w.open[p.name]) > 0 {
					id, epoch := p.id, p.epoch
					r.end(p, commit)
					w.ended(p, id, epoch+1, commit)
				}
			},
			"another instance": func(rt *rapid.T) {
				p := who.Draw(rt, "who")
				id := p.id
				*p = *r.producer(p.name)
				w.ended(p, id, p.epoch, false)
			},
			"trim": func(rt *rapid.T) {
				w.start = rapid.Int64Range(w.start, w.next()).Draw(rt, "to")
				r.trim(0, w.start)
			},
			"merge": func(rt *rapid.T) { r.mergeRuns(rt, 0, rapid.IntRange(1, 6).Draw(rt, "runs")) },
			"fold":  func(rt *rapid.T) { r.fold(rt, 0, rapid.IntRange(1, 3).Draw(rt, "objects")) },
			"unfold": func(rt *rapid.T) {
				r.unfold(rt, 0, rapid.IntRange(0, 3).Draw(rt, "objects"), rapid.IntRange(1, 2).Draw(rt, "aborted ahead"))
			},
			"sweep":   func(*rapid.T) { r.sweep() },
			"release": func(rt *rapid.T) { r.release(rt, 0) },
			"fetch": func(rt *rapid.T) {
				w.fetch(rt, rapid.Int64Range(w.start, w.next()).Draw(rt, "offset"), rapid.IntRange(0, 600).Draw(rt, "max"), rapid.Bool().Draw(rt, "committed"))
			},
			"": func(rt *rapid.T) { w.times(rt) },
		})
		w.consume(rt)
	})
}

func (w *twin) fetch(rt *rapid.T, offset int64, limit int, isolation bool) *call {
	end := w.next()
	if isolation {
		end = w.stable()
	}
	var want []byte
	last := int64(-1)
	for _, b := range w.batches {
		if b.LastOffset() < offset || b.BaseOffset() >= end {
			continue
		}
		if len(want) > 0 && len(want)+len(b.Batch) > limit {
			break
		}
		want, last = append(want, b.Batch...), b.LastOffset()
		if len(want) >= limit {
			break
		}
	}
	if offset >= end {
		want, last = nil, -1
	}
	var aborted []api.Aborted
	for _, m := range w.batches {
		if isolation && m.first >= 0 && m.BaseOffset() >= offset && m.first <= last {
			aborted = append(aborted, api.Aborted{ProducerID: m.ProducerID(), FirstOffset: m.first})
		}
	}
	slices.SortFunc(aborted, func(a, b api.Aborted) int { return int(a.FirstOffset - b.FirstOffset) })
	c := w.r.fetch(func(f *api.FetchCall) { f.ReadCommitted = isolation }, at{0, offset, max(limit, 1)})
	part := c.Parts[0]
	if part.Err != nil || part.HighWatermark != w.next() || part.LastStable != w.stable() || part.LogStart != w.start {
		rt.Fatalf("at %d: %v, %d, %d, %d", offset, part.Err, part.LogStart, part.LastStable, part.HighWatermark)
	}
	if !bytes.Equal(c.read(0), want) || !slices.Equal(part.Aborted, aborted) {
		rt.Fatalf("at %d with %d bytes, committed %t: batches %v, to offset %d; aborted %v, not %v", offset, limit, isolation,
			c.offsets(w.r.t, 0), last, part.Aborted, aborted)
	}
	return c
}

// consume reads committed records to the end in small steps as a client does, and compares them with what was
// committed.
func (w *twin) consume(rt *rapid.T) {
	var got, want []int64
	for offset := w.start; offset < w.stable(); {
		c := w.fetch(rt, offset, rapid.IntRange(0, 400).Draw(rt, "step"), true)
		skip := map[int64]bool{}
		pending := slices.Clone(c.Parts[0].Aborted)
		for rest := c.read(0); len(rest) > 0; {
			b, tail, err := batch.Split(rest)
			if err != nil {
				rt.Fatal(err)
			}
			pending = slices.DeleteFunc(pending, func(a api.Aborted) bool {
				begun := a.FirstOffset <= b.LastOffset()
				if begun {
					skip[a.ProducerID] = true
				}
				return begun
			})
			switch {
			case b.Control():
				delete(skip, b.ProducerID())
			case !b.Transactional() || !skip[b.ProducerID()]:
				for o := max(offset, b.BaseOffset()); o <= b.LastOffset(); o++ {
					got = append(got, o)
				}
			}
			offset, rest = b.LastOffset()+1, tail
		}
	}
	for _, b := range w.batches {
		for o := max(w.start, b.BaseOffset()); !b.aborted && !b.Control() && o <= b.LastOffset() && o < w.stable(); o++ {
			want = append(want, o)
		}
	}
	if !slices.Equal(got, want) {
		rt.Fatalf("read offsets %v, committed are %v", got, want)
	}
}

// times compares searches by time: markers count like records, and what is not stable is no answer where committed
// records are asked for (Semantics lines 46, 47; as Apache Kafka answers).
func (w *twin) times(rt *rapid.T) {
	ms := rapid.Int64Range(999_988, 1_000_006).Draw(rt, "time")
	first, newest := stamped{-1, -1}, stamped{-1, -1}
	for _, b := range w.batches {
		if b.LastOffset() < w.start {
			continue
		}
		x := stamped{max(b.BaseOffset(), w.start), b.MaxTimestamp()} // all records of a batch have the same
		if first.offset < 0 && x.ts >= ms {
			first = x
		}
		if newest.offset < 0 || x.ts > newest.ts {
			newest = x
		}
	}
	for _, committed := range []bool{false, true} {
		end := w.next()
		if committed {
			end = w.stable()
		}
		below := func(x stamped) stamped {
			if x.offset >= end {
				return stamped{-1, -1}
			}
			return x
		}
		o, ts, err := w.r.log.TimeOffset(context.Background(), 1, 0, ms, end)
		if got := (stamped{o, ts}); err != nil || got != below(first) {
			rt.Fatalf("first of %d below %d: %v %v, not %v", ms, end, got, err, below(first))
		}
		o, ts, err = w.r.log.MaxTime(context.Background(), 1, 0, committed)
		if got := (stamped{o, ts}); err != nil || got != below(newest) {
			rt.Fatalf("newest below %d: %v %v, not %v", end, got, err, below(newest))
		}
	}
}
