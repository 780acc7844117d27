package unfold

import (
	"context"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"wadi/internal/layout"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/mem"
)

var keys = layout.NewObjects("test", 1)

// drawn is what a manifest lists.
type drawn struct {
	objects []manifest.Object
	runs    []manifest.Run
	aborted []manifest.Aborted
}

// drawManifest draws some objects of some runs each, and aborted transactions whose markers lie anywhere in them.
func drawManifest(t *rapid.T) (x drawn) {
	next := rapid.Int64Range(0, 5).Draw(t, "first")
	for i := range rapid.IntRange(1, 12).Draw(t, "objects") {
		o := manifest.Object{Number: uint64(3 + 2*i), Session: layout.Session(1 + i%3), N: uint64(1 + i), Size: 1 << 20, Introduced: int64(1 + i), First: next}
		for range rapid.IntRange(1, 6).Draw(t, "runs") {
			r := state.Run{
				Base: next, Last: next + rapid.Int64Range(0, 5).Draw(t, "offsets"), MaxTimestamp: rapid.Int64Range(-5, 5).Draw(t, "time"),
				Place: o.Number, Offset: uint32(100 * next), Length: 9, Flags: state.RunPlaced,
			}
			o.Last, o.Bytes, next = r.Last, o.Bytes+9, r.Last+1
			x.runs = append(x.runs, manifest.Run{Index: uint32(i), Run: r})
		}
		x.objects = append(x.objects, o)
	}
	for i := range x.runs {
		x.runs[i].Object = x.objects[x.runs[i].Index]
	}
	for o := x.runs[0].Base + 1; o < next; o++ {
		if rapid.IntRange(0, 2).Draw(t, "marker") == 0 {
			x.aborted = append(x.aborted, manifest.Aborted{ProducerID: o % 4, First: o - 1, Last: o, Stable: o - o%2})
		}
	}
	return x
}

// write makes it the manifest of a volume whose first objects are released.
func (x *drawn) write(t *rapid.T, store objstore.Store, released int) volume {
	var data buffer
	w, err := manifest.NewWriter(&data, [16]byte{7}, 3)
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(err)
	for _, r := range x.runs {
		check(w.Run(r.Base, r.Last, r.MaxTimestamp, r.Index, r.Offset, r.Length))
	}
	for _, o := range x.objects {
		check(w.Object(o))
	}
	for _, a := range x.aborted {
		check(w.Aborted(a))
	}
	i, err := w.Close()
	check(err)
	v := volume{id: state.TopicID{7}, known: true, Manifest: state.Manifest{
		Object: 1, First: i.First, Last: i.Last, Runs: i.Runs, Owned: i.Objects, Bytes: i.Bytes, MaxTimestamp: i.MaxTimestamp,
	}}
	v.Partition = 3
	v.object = state.Object{Session: 1, N: 1, Kind: state.ManifestObject, Size: w.Size()}
	if released > 0 {
		v.First, v.Released = x.objects[released].First, uint32(released)
		x.objects = x.objects[released:]
		x.runs = slices.DeleteFunc(x.runs, func(r manifest.Run) bool { return r.Base < v.First })
		x.aborted = slices.DeleteFunc(x.aborted, func(a manifest.Aborted) bool { return a.Last < v.First })
	}
	check(store.Put(context.Background(), v.object.Key(keys), objstore.NewBody(data)))
	return v
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// Step by step all that a manifest lists and has not released comes back, the newest first, whole objects and no more at a
// time than the limits say; what is left is a manifest that lists the rest.
func TestStepsBringAllBack(t *testing.T) {
	kinds := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		x := drawManifest(t)
		l := Limits{
			Runs: rapid.IntRange(1, 8).Draw(t, "most runs"), Objects: rapid.IntRange(1, 4).Draw(t, "most objects"),
			Aborted: rapid.IntRange(1, 6).Draw(t, "most aborted"),
		}
		store, ctx := mem.New(), context.Background()
		v := x.write(t, store, rapid.IntRange(0, len(x.objects)-1).Draw(t, "released"))
		for steps := 0; ; steps++ {
			r, err := manifest.Open(ctx, store, v.object.Key(keys), v.object.Size)
			if err != nil {
				t.Fatal(err)
			}
			got, err := next(ctx, r, v.Manifest, l)
			if err != nil {
				t.Fatal(err)
			}
			n, k, a := len(x.runs)-len(got.runs), len(x.objects)-len(got.objects), len(x.aborted)-len(got.aborted)
			if n < 0 || k < 0 || a < 0 || k != got.stays {
				t.Fatalf("%d runs, %d objects, %d aborted transactions stay, %d say the step", n, k, a, got.stays)
			}
			same := slices.EqualFunc(got.runs, x.runs[n:], func(a, b manifest.Run) bool { return a.Run == b.Run })
			if !same || !slices.Equal(got.objects, x.objects[k:]) || !slices.Equal(got.aborted, x.aborted[a:]) {
				t.Fatalf("%+v of %+v", got, x)
			}
			if len(got.objects) > l.Objects || len(got.objects) > 1 && len(got.runs) > l.Runs || len(got.aborted) > l.Aborted || len(got.runs)+len(got.aborted) == 0 {
				t.Fatalf("%d objects, %d runs, %d aborted transactions in a step of %+v", len(got.objects), len(got.runs), len(got.aborted), l)
			}
			if len(got.objects) == 0 {
				kinds["aborted alone"]++
			}
			x.runs, x.objects, x.aborted = x.runs[:n], x.objects[:k], x.aborted[:a]
			last := v.Last
			if n > 0 {
				last = x.runs[n-1].Last
			}
			if len(got.runs) > 0 && a > 0 && x.aborted[a-1].Last > last {
				t.Fatalf("%+v stays, runs to offset %d", x.aborted[a-1], last)
			}
			if k == 0 {
				return
			}
			c := got.command(&v)
			if err := v.write(ctx, store, keys.Manifest(2, uint64(steps+1)), r, &got, c); err != nil {
				t.Fatal(err)
			}
			v.Manifest = state.Manifest{
				Object: 1, First: v.First, Last: last, Runs: c.Runs, Owned: uint32(k), MaxTimestamp: c.MaxTimestamp, Bytes: int64(9 * n),
			}
			v.object = state.Object{Session: 2, N: uint64(steps + 1), Kind: state.ManifestObject, Size: c.Size}
			var file []manifest.Run
			again, err := manifest.Open(ctx, store, v.object.Key(keys), v.object.Size)
			if err == nil {
				err = errors.Join(again.Verify(ctx), again.EachRun(ctx, func(r manifest.Run) error {
					file = append(file, r)
					return nil
				}))
			}
			if err != nil || again.Info().Bytes != v.Bytes || again.Info().Aborted != uint32(a) {
				t.Fatalf("%v, %+v, %d aborted stay", err, again.Info(), a)
			}
			if !slices.EqualFunc(file, x.runs, func(a, b manifest.Run) bool { return a.Base == b.Base && a.Last == b.Last && a.Object.N == b.Object.N }) {
				t.Fatalf("%+v, want %+v", file, x.runs)
			}
			// In the new manifest the first object has index 0.
			for i := range x.runs {
				x.runs[i].Index = file[i].Index
			}
		}
	})
	if kinds["aborted alone"] == 0 {
		t.Error("aborted transactions never came without runs")
	}
}

// A command says what State must know to make the runs again.
func TestCommand(t *testing.T) {
	v := volume{PartRef: state.PartRef{Topic: 4, Partition: 2}, version: 9, Manifest: state.Manifest{Object: 8, Released: 1}}
	o := manifest.Object{Number: 77, Session: 6, N: 5, Size: 100, Introduced: 11, First: 20, Last: 29}
	x := step{
		stays: 2, last: 19, objects: []manifest.Object{o},
		runs: []manifest.Run{
			{Index: 3, Run: state.Run{Base: 20, Last: 22, MaxTimestamp: 1000, Offset: 7, Length: 8}},
			{Index: 3, Run: state.Run{Base: 23, Last: 29, MaxTimestamp: 990, Offset: 15, Length: 9}},
		},
		aborted: []manifest.Aborted{{ProducerID: 1, First: 2, Last: 21, Stable: 20}, {ProducerID: 2, First: 22, Last: 24, Stable: 25}},
	}
	want := &pb.UnfoldRuns{
		Topic: 4, Partition: 2, Version: 9, Old: 8, Released: 1, Sessions: []int64{6}, Ns: []uint64{5}, Sizes: []uint64{100}, Introduced: []int64{11},
		ObjectRuns: []uint32{2}, RunCounts: []uint64{3, 7}, MaxTimestamps: []int64{1000, -10}, Offsets: []uint64{7, 15}, Lengths: []uint32{8, 9},
		ProducerIds: []int64{1, 2}, Markers: []uint64{21, 3}, Records: []uint64{19, 2}, Stables: []int64{-1, 1},
	}
	if got := x.command(&v); got.String() != want.String() {
		t.Errorf("%v\nwant %v", got, want)
	}
}
