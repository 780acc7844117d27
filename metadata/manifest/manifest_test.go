package manifest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"

	"wadi/internal/layout"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

// content is what a manifest is made of.
type content struct {
	topic     [16]byte
	partition int32
	runs      []Run
	objects   []Object
	aborted   []Aborted
}

// finish gives objects what follows from their runs, sorts them by their last offsets and tells the runs their index.
func (c *content) finish() {
	type key = uint64 // Number
	at := map[key]*Object{}
	for i := range c.objects {
		o := &c.objects[i]
		o.First, o.Last, o.Bytes = -1, -1, 0
		at[o.Number] = o
	}
	for _, r := range c.runs {
		o := at[r.Place]
		if o.First < 0 {
			o.First = r.Base
		}
		o.Last, o.Bytes = r.Last, o.Bytes+int64(r.Length)
	}
	c.objects = slices.DeleteFunc(c.objects, func(o Object) bool { return o.Bytes == 0 })
	sort.Slice(c.objects, func(i, j int) bool { return c.objects[i].Last < c.objects[j].Last })
	for i := range c.runs {
		k := slices.IndexFunc(c.objects, func(o Object) bool { return o.Number == c.runs[i].Place })
		c.runs[i].Index, c.runs[i].Object = uint32(k), c.objects[k]
	}
}

func (c *content) write(t rapid.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, c.topic, c.partition)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.runs {
		err = errors.Join(err, w.Run(r.Base, r.Last, r.MaxTimestamp, r.Index, r.Offset, r.Length))
	}
	for _, o := range c.objects {
		o.First, o.Last, o.Bytes = 0, 0, 0
		err = errors.Join(err, w.Object(o))
	}
	for _, a := range c.aborted {
		err = errors.Join(err, w.Aborted(a))
	}
	info, cerr := w.Close()
	if err = errors.Join(err, cerr); err != nil {
		t.Fatal(err)
	}
	if w.Size() != uint64(out.Len()) || info.Runs != uint32(len(c.runs)) || info.Objects != uint32(len(c.objects)) || info.Aborted != uint32(len(c.aborted)) {
		t.Fatalf("%d bytes written, not %d; %+v", w.Size(), out.Len(), info)
	}
	return out.Bytes()
}

const key = "test/00000001/5c/manifest/m"

func open(t rapid.TB, data []byte) (*Reader, *fault.Store) {
	t.Helper()
	store := mem.New()
	if err := store.Put(context.Background(), key, objstore.NewBody(data)); err != nil {
		t.Fatal(err)
	}
	counted := fault.New(store, fault.WithTranscript(10_000))
	r, err := Open(context.Background(), counted, key, uint64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return r, counted
}

// drawn is any content: objects that hold one or several runs, side by side or with others in between.
func drawn(t *rapid.T) *content {
	c := &content{partition: rapid.Int32Min(0).Draw(t, "partition")}
	copy(c.topic[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "topic"))
	n := rapid.SampledFrom([]int{1, 2, 7, 40, 4096, 5000}).Draw(t, "runs")
	base := rapid.Int64Range(0, 1<<40).Draw(t, "first")
	ends := map[int]uint64{}
	held := rapid.IntRange(1, 9).Draw(t, "runs of an object")
	ms := rapid.Int64().Draw(t, "ms")
	seed := rapid.Uint64().Draw(t, "seed")
	random := func(n uint64) uint64 { // quicker than drawing each number
		seed = seed*6364136223846793005 + 1442695040888963407
		return seed >> 33 % n
	}
	for i := range n {
		k := i / held
		if random(10) == 0 {
			k = max(0, k-int(random(3)))
		}
		for len(c.objects) <= k {
			c.objects = append(c.objects, Object{
				Number: random(1<<30) + 1 + uint64(len(c.objects))<<32, Session: layout.Session(random(3)) - 1, N: random(1<<20) + 1, Introduced: int64(random(1 << 30)),
			})
		}
		r := Run{Run: state.Run{
			Base: base, Last: base + int64(random(1<<20)), MaxTimestamp: ms + int64(random(1<<20)), Place: c.objects[k].Number,
			Offset: uint32(ends[k] + random(2)*16), Length: uint32(random(1<<20) + 1), Flags: state.RunPlaced,
		}}
		ends[k] = uint64(r.Offset) + uint64(r.Length)
		c.objects[k].Size = ends[k] + random(2)*100
		base = r.Last + 1
		c.runs = append(c.runs, r)
	}
	c.finish()
	for at := c.runs[0].Base; at < base && len(c.aborted) < 5000; at += int64(random(1 << 21)) {
		if len(c.aborted) == 0 || at > c.aborted[len(c.aborted)-1].Last {
			c.aborted = append(c.aborted, Aborted{
				ProducerID: int64(random(1 << 40)), First: max(0, at-int64(random(1<<22))), Last: at, Stable: max(0, at+1-int64(random(2)*random(1<<20))),
			})
		}
	}
	return c
}

// What was written is read, whole and from any offset, and the index says what the blocks hold.
func TestRoundTrip(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t)
		r, _ := open(t, c.write(t))
		var runs []Run
		if err := r.EachRun(ctx, func(x Run) error { runs = append(runs, x); return nil }); err != nil || !slices.Equal(runs, c.runs) {
			t.Fatalf("%v, %d runs, not %d", err, len(runs), len(c.runs))
		}
		objects, err := r.Objects(ctx)
		if err != nil || !slices.Equal(objects, c.objects) {
			t.Fatalf("%v, objects\n%v, not\n%v", err, objects, c.objects)
		}
		if err := r.Verify(ctx); err != nil {
			t.Fatal(err)
		}
		first, last := c.runs[0].Base, c.runs[len(c.runs)-1].Last
		i := r.Info()
		bytes, top := int64(0), int64(math.MinInt64)
		for _, x := range c.runs {
			bytes, top = bytes+int64(x.Length), max(top, x.MaxTimestamp)
		}
		if want := (Info{c.topic, c.partition, first, last, uint32(len(c.runs)), uint32(len(c.objects)), uint32(len(c.aborted)), bytes, top}); i != want {
			t.Fatalf("%+v, want %+v", i, want)
		}
		from := rapid.Int64Range(0, last+2).Draw(t, "from")
		limit := rapid.IntRange(0, 5000).Draw(t, "limit")
		want := c.runs[sort.Search(len(c.runs), func(i int) bool { return c.runs[i].Last >= from }):]
		if got, err := r.RunsFrom(ctx, from, limit); err != nil || !slices.Equal(got, want[:min(limit, len(want))]) {
			t.Fatalf("from %d: %v, %d runs", from, err, len(got))
		}
		skip := rapid.IntRange(0, len(c.objects)+1).Draw(t, "skip")
		some := c.objects[min(skip, len(c.objects)):]
		if got, err := r.ObjectsFrom(ctx, uint32(skip), limit); err != nil || !slices.Equal(got, some[:min(limit, len(some))]) {
			t.Fatalf("objects from %d: %v, %d", skip, err, len(got))
		}
		all, err := r.Aborted(ctx, 0, math.MaxInt64)
		if err != nil || !slices.Equal(all, c.aborted) {
			t.Fatalf("%v, %d aborted transactions, not %d", err, len(all), len(c.aborted))
		}
		var sessions []layout.Session
		for _, o := range c.objects {
			sessions = append(sessions, o.Session)
		}
		slices.SortFunc(sessions, compareSessions)
		if sessions = slices.Compact(sessions); !slices.Equal(r.Sessions(), sessions) {
			t.Fatalf("sessions %v, want %v", r.Sessions(), sessions)
		}
	})
}

// Aborted finds those that overlap a range as a naive reader does, when markers know how far they matter.
func TestAbortedOverlap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := small()
		c.aborted = nil
		var open []int64 // first offsets
		for at := int64(100); at < 200; at++ {
			switch rapid.IntRange(0, 3).Draw(rt, "op") {
			case 0:
				open = append(open, at)
			case 1:
				if len(open) > 0 {
					k := rapid.IntRange(0, len(open)-1).Draw(rt, "which")
					first := open[k]
					open = slices.Delete(open, k, k+1)
					stable := at + 1
					if len(open) > 0 {
						stable = slices.Min(open)
					}
					c.aborted = append(c.aborted, Aborted{ProducerID: at, First: first, Last: at, Stable: stable})
				}
			}
		}
		r, _ := open2(t, c)
		from := rapid.Int64Range(90, 210).Draw(rt, "from")
		to := from + rapid.Int64Range(0, 50).Draw(rt, "more")
		var want []Aborted
		for _, a := range c.aborted {
			if a.Last >= from && a.First <= to {
				want = append(want, a)
			}
		}
		got, err := r.Aborted(context.Background(), from, to)
		if err != nil || !slices.Equal(got, want) {
			rt.Fatalf("%d to %d: %v %v, want %v of %v", from, to, err, got, want, c.aborted)
		}
	})
}

func open2(t rapid.TB, c *content) (*Reader, *fault.Store) { return open(t, c.write(t)) }

// small is a manifest of offsets 100 to 199: three objects, the second within the first.
func small() *content {
	c := &content{topic: [16]byte{1, 2, 3}, partition: 7}
	c.objects = []Object{
		{Number: 11, Session: 5, N: 1, Size: 500, Introduced: 70}, {Number: 12, Session: -2, N: 9, Size: 1 << 20, Introduced: 71},
		{Number: 9, Session: 5, N: 2, Size: 300, Introduced: 90},
	}
	for _, x := range []struct {
		base, last, ms int64
		number         uint64
		offset, length uint32
	}{{100, 109, 1_700_000_000_000, 11, 16, 200}, {110, 149, 1_700_000_000_050, 12, 16, 1 << 19}, {150, 159, 1_699_999_999_000, 11, 216, 100}, {160, 199, -1, 9, 0, 299}} {
		c.runs = append(c.runs, Run{Run: state.Run{
			Base: x.base, Last: x.last, MaxTimestamp: x.ms, Place: x.number, Offset: x.offset, Length: x.length, Flags: state.RunPlaced,
		}})
	}
	c.finish()
	c.aborted = []Aborted{{ProducerID: 4000, First: 90, Last: 120, Stable: 110}, {ProducerID: 3, First: 110, Last: 130, Stable: 131}}
	return c
}

// What version 1 looks like never changes: manifests live as long as the records that they list.
func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "v1.man")
	data := small().write(t)
	if *rewrite {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, want) {
		t.Fatalf("a manifest is now\n%x\nand was\n%x", data, want)
	}
	r, _ := open(t, want)
	c := small()
	if objects, err := r.Objects(t.Context()); err != nil || !slices.Equal(objects, c.objects) || objects[0].Number != 12 {
		t.Errorf("%v %+v", err, objects)
	}
	if runs, err := r.RunsFrom(t.Context(), 0, 10); err != nil || !slices.Equal(runs, c.runs) {
		t.Errorf("%v %+v", err, runs)
	}
	keys := layout.NewObjects("test", 1)
	if got := c.runs[1].Key(keys); got != c.runs[1].Object.Stored().Key(keys) {
		t.Errorf("key %s", got)
	}
}

// large is the manifest of a terabyte in runs of 8 MiB.
func large() *content {
	c := &content{}
	base := int64(0)
	for i := range 131_072 {
		if i%16 == 0 {
			c.objects = append(c.objects, Object{Number: uint64(1000 + i), Session: 0x694d8f2c1a2b3c4d, N: uint64(1 + i/16), Size: 16*8<<20 + 200, Introduced: int64(5000 + i*700)})
		}
		n := int64(8000 + i%300)
		c.runs = append(c.runs, Run{Run: state.Run{
			Base: base, Last: base + n - 1, MaxTimestamp: 1_700_000_000_000 + int64(i)*800 + int64(i%7), Place: uint64(1000 + i - i%16),
			Offset: uint32(16 + i%16*(8<<20)), Length: uint32(8<<20 - i%50), Flags: state.RunPlaced,
		}})
		base += n
	}
	for i := range c.objects {
		o := &c.objects[i]
		o.First, o.Last = c.runs[16*i].Base, c.runs[16*i+15].Last
		for k := 16 * i; k < 16*i+16; k++ {
			o.Bytes += int64(c.runs[k].Length)
		}
	}
	for i := range c.runs {
		c.runs[i].Index, c.runs[i].Object = uint32(i/16), c.objects[i/16]
	}
	return c
}

// A terabyte costs some bytes a run, and few requests: two for the footer and an offset when it is small, four at most.
func TestSizeAndRequests(t *testing.T) {
	c := large()
	data := c.write(t)
	t.Logf("%d bytes, %.1f a run", len(data), float64(len(data))/float64(len(c.runs)))
	if per := float64(len(data)) / float64(len(c.runs)); per > 20 || len(data) > 3<<20 {
		t.Errorf("%d bytes, %.1f a run", len(data), per)
	}
	r, store := open(t, data)
	for _, i := range []int{0, 70_000, 131_071} {
		runs, err := r.RunsFrom(t.Context(), c.runs[i].Last, 1)
		if err != nil || !slices.Equal(runs, c.runs[i:i+1]) {
			t.Errorf("run %d: %v %v", i, err, runs)
		}
	}
	if n := len(store.Transcript()); n > 1+3*2 {
		t.Errorf("%d requests:\n%s", n, store.Transcript())
	}
	if r.Cost() > 200<<10 {
		t.Errorf("a reader takes %d bytes", r.Cost())
	}
	if err := r.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	r, store = open2(t, small())
	if err := r.Verify(t.Context()); err != nil || len(store.Transcript()) != 1 {
		t.Errorf("%v, requests:\n%s", err, store.Transcript())
	}
}

// A footer that is longer than the first read takes one more.
func TestLongFooter(t *testing.T) {
	c := &content{}
	for i := range 20_000 {
		c.objects = append(c.objects, Object{Number: uint64(i + 1), Session: layout.Session(i + 1), N: 1, Size: 10, First: int64(i), Last: int64(i), Bytes: 10})
		c.runs = append(c.runs, Run{Index: uint32(i), Object: c.objects[i], Run: state.Run{Base: int64(i), Last: int64(i), Place: uint64(i + 1), Length: 10, Flags: state.RunPlaced}})
	}
	r, store := open2(t, c)
	if n := len(store.Transcript()); n != 2 || len(r.Sessions()) != 20_000 {
		t.Errorf("%d requests, %d sessions", n, len(r.Sessions()))
	}
	if err := r.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// A Writer refuses what could not be read back, and stays refused.
func TestWriterRefuses(t *testing.T) {
	for name, write := range map[string]func(w *Writer) error{
		"nothing":                func(w *Writer) error { return nil },
		"a gap":                  func(w *Writer) error { w.Run(0, 4, 0, 0, 0, 1); return w.Run(6, 7, 0, 0, 1, 1) },
		"no bytes":               func(w *Writer) error { return w.Run(0, 4, 0, 0, 0, 0) },
		"negative":               func(w *Writer) error { return w.Run(-1, 4, 0, 0, 0, 1) },
		"backwards":              func(w *Writer) error { return w.Run(4, 3, 0, 0, 0, 1) },
		"no object":              func(w *Writer) error { return w.Run(0, 4, 0, 0, 0, 1) },
		"an object without runs": func(w *Writer) error { w.Run(0, 4, 0, 1, 0, 1); return w.Object(Object{Number: 1, N: 1, Size: 1}) },
		"one object too many": func(w *Writer) error {
			w.Run(0, 4, 0, 0, 0, 1)
			w.Object(Object{Number: 1, N: 1, Size: 1})
			return w.Object(Object{Number: 2, N: 2, Size: 1})
		},
		"objects out of order": func(w *Writer) error {
			w.Run(0, 4, 0, 1, 0, 1)
			w.Run(5, 5, 0, 0, 0, 1)
			w.Object(Object{Number: 1, N: 1, Size: 1})
			return w.Object(Object{Number: 2, N: 2, Size: 1})
		},
		"an object that is too small": func(w *Writer) error {
			w.Run(0, 4, 0, 0, 0, 9)
			return w.Object(Object{Number: 1, N: 1, Size: 8})
		},
		"a marker outside": func(w *Writer) error {
			w.Run(0, 4, 0, 0, 0, 1)
			w.Object(Object{Number: 1, N: 1, Size: 1})
			return w.Aborted(Aborted{First: 4, Last: 5, Stable: 6})
		},
		"a run behind objects": func(w *Writer) error {
			w.Run(0, 4, 0, 0, 0, 1)
			w.Object(Object{Number: 1, N: 1, Size: 1})
			return w.Run(5, 5, 0, 0, 0, 1)
		},
	} {
		w, err := NewWriter(&bytes.Buffer{}, [16]byte{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		first := write(w)
		if _, err := w.Close(); !errors.Is(err, ErrInvalid) || first != nil && !errors.Is(first, ErrInvalid) {
			t.Errorf("%s: %v, then %v", name, first, err)
		}
	}
	w, err := NewWriter(&short{left: 20}, [16]byte{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.Run(0, 4, 0, 0, 0, 1)
	if err := w.Object(Object{Number: 1, N: 1, Size: 1}); err == nil {
		t.Error("a write that failed is no error")
	}
	if _, err := w.Close(); err == nil {
		t.Error("a manifest without its blocks closes")
	}
}

type short struct{ left int }

func (s *short) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		return 0, fmt.Errorf("no room")
	}
	return len(p), nil
}
