package fetch

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wadi/agent/api"
	"wadi/internal/batch"
	"wadi/objstore"
	"wadi/objstore/fault"
)

func committed(f *api.FetchCall) { f.ReadCommitted = true }

// read is the batches returned for a part, as bytes.
func (c *call) read(i int) []byte { return slices.Concat(c.Parts[i].Records...) }

// Semantics lines 43, 45: a reader of committed records stops before the first record of an open transaction, whatever
// follows it; everybody is told the last stable offset; the marker takes one offset and is returned to both kinds of
// readers, from memory.
func TestOpenTransaction(t *testing.T) {
	r := newRig(t, 1, 1<<20)
	before := r.write(nil, 0, 2, 1_000_000, true)
	p := r.producer("id")
	open := r.write(p, 0, 3, 1_000_000, false)
	after := r.write(nil, 0, 1, 1_000_000, true)
	check := func(name string, offset int64, change func(*api.FetchCall), stable int64, want ...[]byte) {
		t.Helper()
		c := r.fetch(change, at{0, offset, 0})
		part := c.Parts[0]
		if got := c.read(0); !bytes.Equal(got, bytes.Join(want, nil)) || part.Err != nil || part.LastStable != stable || part.Aborted != nil {
			t.Errorf("%s: batches at %v, stable %d, %v, aborted %v", name, c.offsets(t, 0), part.LastStable, part.Err, part.Aborted)
		}
	}
	check("open", 0, committed, 2, before)
	check("open, at the last stable offset", 2, committed, 2)
	check("open, behind it", 5, committed, 2)
	check("open, at the end", 6, committed, 2)
	check("open, not committed", 0, nil, 2, before, open, after)
	r.end(p, true)
	marker := batch.Marker{Base: 6, ProducerID: p.id, Epoch: 1, Ms: 1_000_000, Commit: true}.AppendTo(nil)
	r.store.TakeTranscript()
	for _, change := range []func(*api.FetchCall){nil, committed} {
		check("ended", 0, change, 7, before, open, after, marker)
		check("ended, in the transaction", 3, change, 7, open, after, marker)
		check("ended, at the marker", 6, change, 7, marker)
		check("ended, behind it", 7, change, 7)
	}
	if got := r.store.TakeTranscript(); len(got) > 2 {
		t.Errorf("calls of the store: %v", got) // the transaction's object, once in part and once whole
	}
}

// Semantics line 31: markers take part in the limits like every batch: whole, and the first one whatever its size.
func TestMarkersAndLimits(t *testing.T) {
	r := newRig(t, 2, 1<<20)
	p := r.producer("id")
	for range 3 {
		for partition := range int32(2) {
			r.write(p, partition, 1, 1_000_000, true)
		}
		r.end(p, true)
	}
	size := len(r.fetch(nil, at{0, 0, 1}).read(0))
	both := size + batch.MarkerBytes
	for _, e := range []struct {
		max, first, second int
		offset             int64
		want               [][]int64
	}{
		{1 << 20, 1 << 20, 1 << 20, 0, [][]int64{{0, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 5}}},
		{1 << 20, both - 1, both, 0, [][]int64{{0}, {0, 1}}},
		{1 << 20, 1, batch.MarkerBytes, 1, [][]int64{{1}, {1}}},
		{1 << 20, 1, batch.MarkerBytes - 1, 1, [][]int64{{1}, nil}},
		{both + batch.MarkerBytes, both, both, 1, [][]int64{{1, 2}, {1}}},
		{0, 1, 1, 1, [][]int64{{1}, nil}},
	} {
		for _, isolation := range []bool{false, true} {
			c := r.fetch(func(f *api.FetchCall) { f.MaxBytes, f.ReadCommitted = e.max, isolation },
				at{0, e.offset, e.first}, at{1, e.offset, e.second})
			for i, want := range e.want {
				if got := c.offsets(t, i); !slices.Equal(got, want) {
					t.Errorf("%+v: part %d has %v", e, i, got)
				}
			}
		}
	}
}

// Semantics line 44: the aborted transactions that overlap what is returned, none for readers of everything, none where
// nothing is returned.
func TestAborted(t *testing.T) {
	r := newRig(t, 1, 1<<20)
	a, b, c := r.producer("a"), r.producer("b"), r.producer("c")
	r.write(a, 0, 1, 1_000_000, true)  // 0
	r.write(b, 0, 2, 1_000_000, true)  // 1, 2
	r.write(c, 0, 1, 1_000_000, false) // 3
	r.end(b, false)                    // 4
	r.end(c, true)                     // 5
	r.write(b, 0, 1, 1_000_000, true)  // 6
	r.end(a, false)                    // 7
	r.end(b, false)                    // 8
	A, B1, B2 := api.Aborted{ProducerID: a.id}, api.Aborted{ProducerID: b.id, FirstOffset: 1}, api.Aborted{ProducerID: b.id, FirstOffset: 6}
	size := len(r.fetch(nil, at{0, 0, 1}).read(0))
	for _, e := range []struct {
		offset int64
		max    int
		last   int64
		want   []api.Aborted
	}{
		{0, 1 << 20, 8, []api.Aborted{A, B1, B2}}, // in the order of their beginnings, not of their markers
		{0, 1, 0, []api.Aborted{A}},
		{1, 1, 2, []api.Aborted{A, B1}},
		{2, 1, 2, []api.Aborted{A, B1}}, // begins below the offset
		{3, 1, 3, []api.Aborted{A, B1}},
		{4, 1, 4, []api.Aborted{A, B1}}, // the marker itself
		{5, 1, 5, []api.Aborted{A}},
		{5, batch.MarkerBytes + size, 6, []api.Aborted{A, B2}},
		{7, 1, 7, []api.Aborted{A, B2}},
		{8, 1, 8, []api.Aborted{B2}},
		{9, 1, 0, nil},
	} {
		got := r.fetch(committed, at{0, e.offset, e.max})
		if part := got.Parts[0]; !slices.Equal(part.Aborted, e.want) || e.want != nil && lastOffset(part.Records) != e.last {
			t.Errorf("from %d with %d bytes: %v to offset %d", e.offset, e.max, part.Aborted, lastOffset(part.Records))
		}
		if got := r.fetch(nil, at{0, e.offset, e.max}); got.Parts[0].Aborted != nil {
			t.Errorf("from %d, not committed: %v", e.offset, got.Parts[0].Aborted)
		}
	}
}

// Semantics line 34: min_bytes counts stable bytes alone where committed records are read, markers among them, and the
// end of a transaction answers who waits for it; what it says is of one State, aborted transactions too (Semantics line 44).
func TestWaitingForStableBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, 1<<20)
		p := r.producer("id")
		size := len(r.write(p, 0, 1, 1_000_000, true))
		wait := func(f *api.FetchCall) { f.ReadCommitted, f.MinBytes, f.MaxWait = true, 1, time.Second }
		for _, commit := range []bool{true, false} {
			began := time.Now()
			c := r.start(wait, at{0, 0, 0})
			full := r.start(func(f *api.FetchCall) { wait(f); f.MinBytes = size + batch.MarkerBytes }, at{0, 0, 0})
			more := r.start(func(f *api.FetchCall) { wait(f); f.MinBytes = 10 << 10 }, at{0, 0, 0})
			everything := r.start(func(f *api.FetchCall) { wait(f); f.ReadCommitted = false }, at{0, 0, 0})
			time.Sleep(100 * time.Millisecond)
			r.write(nil, 0, 1, 1_000_000, true)
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if commit == (!c.waits() || !full.waits()) || everything.waits() {
				t.Fatalf("commit %t: waits %t, %t, %t", commit, c.waits(), full.waits(), everything.waits())
			}
			r.end(p, commit)
			<-full.done
			if <-c.done; time.Since(began) > 200*time.Millisecond {
				t.Errorf("answered after %s", time.Since(began))
			}
			if <-more.done; time.Since(began) != time.Second {
				t.Errorf("bytes that are not there answer after %s", time.Since(began))
			}
			if !commit && (len(more.Parts[0].Aborted) != 1 || more.Parts[0].Aborted[0].FirstOffset != 3) {
				t.Errorf("aborted %v", more.Parts[0].Aborted)
			}
			r.write(p, 0, 1, 1_000_000, true)
		}
	})
}

// Semantics line 34: what lies behind the last stable offset does not make up min_bytes, however few stable bytes there
// are before it, in one run or in several.
func TestOpenTransactionIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, e := range []struct {
			stable []int // records of each run
			offset int64
		}{{[]int{1}, 0}, {[]int{1, 1, 1}, 0}, {[]int{2000, 1}, 1999}} { // the last one begins at a long run's end
			r := newRig(t, 1, 1<<20)
			for _, n := range e.stable {
				r.write(nil, 0, n, 1_000_000, true)
			}
			p := r.producer("id")
			r.write(p, 0, 5000, 1_000_000, false)
			began := time.Now()
			c := r.fetch(func(f *api.FetchCall) {
				f.ReadCommitted, f.MinBytes, f.MaxWait = true, 10_000, time.Second
			}, at{0, e.offset, 20_000})
			if got := c.offsets(t, 0); time.Since(began) != time.Second || got[0] != 0 {
				t.Errorf("%v: %v after %s", e, got, time.Since(began))
			}
		}
	})
}

// A merge that takes an object away while it is read: what is read instead has its own aborted transactions and markers.
func TestReadAgainWithMarkers(t *testing.T) {
	r := newRig(t, 1, 1<<20)
	p := r.producer("id")
	r.write(p, 0, 1, 1_000_000, false)
	r.end(p, false)
	r.write(p, 0, 1, 1_000_000, true)
	r.end(p, false)
	r.store.Script(fault.Fault{Op: fault.Get, Do: fault.FailBefore(objstore.ErrNotFound)})
	c := r.fetch(committed, at{0, 0, 0})
	if got := c.offsets(t, 0); !slices.Equal(got, []int64{0, 1, 2, 3}) || len(c.Parts[0].Aborted) != 2 || r.v.barriers != 1 {
		t.Errorf("%v (%v), aborted %v, %d barriers", got, c.Parts[0].Err, c.Parts[0].Aborted, r.v.barriers)
	}
}

// A partition whose records are all gone from the transaction's middle on, as DeleteRecords leaves it.
func TestLogStartInATransaction(t *testing.T) {
	r := newRig(t, 1, 1<<20)
	p := r.producer("id")
	r.write(p, 0, 4, 1_000_000, true)
	r.trim(0, 2)
	c := r.fetch(committed, at{0, 2, 0})
	if part := c.Parts[0]; part.Err != nil || part.LastStable != 2 || len(part.Records) != 0 {
		t.Errorf("open: %+v", part)
	}
	r.end(p, false)
	c = r.fetch(committed, at{0, 2, 0})
	if got := c.offsets(t, 0); !slices.Equal(got, []int64{0, 4}) || len(c.Parts[0].Aborted) != 1 {
		t.Errorf("aborted: %v, %v", got, c.Parts[0].Aborted)
	}
}
