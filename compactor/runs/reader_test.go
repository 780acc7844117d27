package runs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"wadi/compactor/job"
	"wadi/integration/rawbatch"
	"wadi/internal/batch"
	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

const me layout.Session = 1

var keys = layout.NewObjects("c", 1)

// rig is a State of one topic, with objects that hold what was written.
type rig struct {
	t        rapid.TB
	s        *state.State
	position int64
	flush    uint64
	entries  map[int64][]byte
	live     map[int64]bool // entries that the journal has in memory
	archived int            // entries that were read out of archives
	mem      *mem.Store
	store    *fault.Store
	env      *job.Env
	want     [][]batch.Batch // by partition
}

const partitions = 3

func newRig(t rapid.TB) *rig {
	r := &rig{t: t, s: state.New(), entries: map[int64][]byte{}, live: map[int64]bool{}, mem: mem.New(), want: make([][]batch.Batch, partitions)}
	r.store = fault.New(r.mem, fault.WithTranscript(1<<20))
	r.env = &job.Env{Store: r.store, Archives: r, Objects: keys, Inline: func(position int64) []byte {
		if r.live[position] {
			return r.entries[position]
		}
		return nil
	}}
	r.apply(nil, &pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: "c", Incarnation: 1, FeatureLevel: 1}}},
		&pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
	r.apply(nil, &pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: "t", Partitions: partitions}}})
	return r
}

func (r *rig) apply(inline []byte, commands ...*pb.Command) []state.Result {
	r.position++
	if inline != nil {
		r.entries[r.position] = inline
	}
	res := r.s.Apply(state.Entry{Position: r.position, Session: me, Seq: uint64(r.position), Body: &pb.Entry{Commands: commands, Inline: inline}})
	for i, c := range res.Commands {
		if c.Code != state.OK {
			r.t.Fatalf("%v: %v", commands[i], c.Code)
		}
	}
	return res.Commands
}

// Inline implements job.Archives.
func (r *rig) Inline(_ context.Context, _ string, _ uint64, position int64) ([]byte, error) {
	r.archived++
	return bytes.Clone(r.entries[position]), nil
}

// write appends batches to each partition, one of which may have none, side by side with `gap` bytes between them.
func (r *rig) write(inline bool, gap int, list ...[]batch.Batch) {
	k := &pb.AppendBatches{}
	data := []byte{}
	for p, batches := range list {
		if len(batches) == 0 {
			continue
		}
		k.Topics, k.Partitions, k.Offsets, k.Runs = append(k.Topics, 1), append(k.Partitions, uint32(p)), append(k.Offsets, uint64(len(data))), append(k.Runs, 1)
		k.ProducerIds, k.ProducerEpochs, k.Sequences = append(k.ProducerIds, -1), append(k.ProducerEpochs, -1), append(k.Sequences, -1)
		k.Batches = append(k.Batches, uint32(len(batches)))
		next := r.s.TopicByNumber(1).Partition(int32(p)).Next
		for _, b := range batches {
			k.Records, k.Bytes, k.MaxTimestamps = append(k.Records, uint32(b.NumRecords())), append(k.Bytes, uint32(len(b))), append(k.MaxTimestamps, 0)
			data = append(data, b...)
			b = bytes.Clone(b)
			b.SetBaseOffset(next)
			b.SetPartitionLeaderEpoch(0)
			next = b.LastOffset() + 1
			r.want[p] = append(r.want[p], b)
		}
		data = append(data, make([]byte, gap)...)
	}
	if !inline {
		r.flush++
		k.Flush, k.Size = r.flush, uint64(len(data))
		if err := r.mem.Put(context.Background(), keys.Flush(me, r.flush), objstore.NewBody(data)); err != nil {
			r.t.Fatal(err)
		}
		data = nil
	}
	r.apply(data, &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: k}})
}

// runs are those of all partitions, one behind the other, and where each partition's end.
func (r *rig) runs() (list []state.Run, ends []int) {
	for p := range int32(partitions) {
		r.s.TopicByNumber(1).Partition(p).EachRun(func(x state.Run) { list = append(list, x) })
		ends = append(ends, len(list))
	}
	return list, ends
}

func aBatch(records, size int, fill byte) batch.Batch {
	var list []string
	for range records {
		list = append(list, string(bytes.Repeat([]byte{fill}, size)))
	}
	return rawbatch.Of(1, nil, rawbatch.Values(list...)...)
}

// What comes out is what was written, in order, whatever lies where, however small the windows are and however large the
// batches, with runs skipped on the way; memory is kept to, and nothing is read twice.
func TestReaderReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		fill := byte(0)
		for range rapid.IntRange(1, 10).Draw(t, "writes") {
			list := make([][]batch.Batch, partitions)
			for p := range list {
				for range rapid.IntRange(0, 3).Draw(t, "batches") {
					fill++
					size := rapid.SampledFrom([]int{1, 100, 5000, 40_000}).Draw(t, "size")
					list[p] = append(list[p], aBatch(rapid.IntRange(1, 3).Draw(t, "records"), size, fill))
				}
			}
			if len(slices.Concat(list...)) > 0 {
				r.write(rapid.Bool().Draw(t, "inline"), rapid.IntRange(0, 200).Draw(t, "gap"), list...)
				r.live[r.position] = rapid.Bool().Draw(t, "in memory")
			}
		}
		runs, ends := r.runs()
		cfg := Config{
			Memory: rapid.Int64Range(1, 1<<20).Draw(t, "memory"), Parallel: rapid.IntRange(1, 4).Draw(t, "parallel"),
			Gap: rapid.SampledFrom([]int64{-1, 50, 1 << 20}).Draw(t, "ask around"),
		}
		in := New(context.Background(), r.env, r.s, runs, cfg)
		defer in.Close()
		skips := rapid.IntRange(0, 3).Draw(t, "skips")
		for p, next := 0, 0; ; {
			i, b, err := in.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for i >= ends[p] {
				p, next = p+1, 0
			}
			for r.want[p][next].BaseOffset() < runs[i].Base {
				next++ // skipped
			}
			if !bytes.Equal(b, r.want[p][next]) {
				t.Fatalf("run %d %+v: batch at offset %d, want %d", i, runs[i], b.BaseOffset(), r.want[p][next].BaseOffset())
			}
			next++
			if skips > 0 && rapid.Bool().Draw(t, "skip") {
				skips--
				in.Skip(rapid.IntRange(i+1, len(runs)).Draw(t, "to"))
			}
		}
		if _, _, err := in.Next(); err != io.EOF {
			t.Fatal(err)
		}
		read := map[string]int64{}
		for _, g := range r.store.TakeTranscript() {
			read[g.Key] += g.Length
		}
		for key, n := range read {
			if whole, err := r.mem.Get(context.Background(), key, 0, -1); err != nil || n > int64(len(whole)) {
				t.Fatalf("%d bytes of %d read, %v", n, len(whole), err)
			}
		}
	})
}

// What is skipped is not read, but for what shares a window with what is not.
func TestSkippedRunsAreNotRead(t *testing.T) {
	r := newRig(t)
	for i := range 20 {
		r.write(false, 1, []batch.Batch{aBatch(1, 50_000, byte(i))}, []batch.Batch{aBatch(1, 50_000, byte(i))})
	}
	runs, _ := r.runs()
	in := New(t.Context(), r.env, r.s, runs, Config{Gap: -1})
	defer in.Close()
	in.Skip(35)
	for want := 35; want < 40; want++ {
		if i, _, err := in.Next(); i != want || err != nil {
			t.Fatal(i, err)
		}
	}
	if s := in.Stats(); s.Reads != 5 || s.Bytes > 5*50_100 {
		t.Errorf("%+v", s)
	}
}

// A walk of many objects side by side holds what it may, whether it reads ahead or not.
func TestReaderKeepsToMemory(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		r := newRig(t)
		for i := range 30 {
			r.write(false, 0, []batch.Batch{aBatch(1, 150_000, byte(i))}, []batch.Batch{aBatch(1, 90_000, byte(i)), aBatch(1, 1000, 3)}, []batch.Batch{aBatch(2, 80_000, byte(i))})
		}
		runs, _ := r.runs()
		const memory = 3 << 20
		in := New(t.Context(), r.env, r.s, runs, Config{Memory: memory, Parallel: parallel})
		n := 0
		for {
			_, _, err := in.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		const largest = 161_000 // a batch that lies across windows
		if s := in.Stats(); n != 120 || s.Peak > memory+largest || s.Peak < memory/2 || in.held-int64(cap(in.scratch)) != 0 {
			t.Errorf("%d batches, %+v, %d held in the end", n, s, in.held)
		}
		in.Close()
		if _, _, err := in.Next(); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	}
}

// One bad run is told as such, and those behind it come.
func TestUnreadable(t *testing.T) {
	for name, x := range map[string]struct {
		do   fault.Effect
		want error
	}{
		"missing": {fault.FailBefore(objstore.ErrNotFound), objstore.ErrNotFound}, "short": {fault.FailBefore(objstore.ErrRange), objstore.ErrRange},
		"torn": {fault.TornBody(10), objstore.ErrCorrupt}, "flipped": {fault.FlipByte(-1), objstore.ErrCorrupt}, "no batch": {fault.FlipByte(16), objstore.ErrCorrupt},
		"too long": {fault.FlipByte(8), objstore.ErrCorrupt},
	} {
		for _, parallel := range []int{1, 3} {
			t.Run(fmt.Sprint(name, parallel), func(t *testing.T) {
				r := newRig(t)
				for i := range 3 {
					r.write(false, 0, []batch.Batch{aBatch(1, 10, byte(i))}, []batch.Batch{aBatch(1, 10, byte(i))})
				}
				r.store.Script(fault.Fault{Op: fault.Get, Key: keys.Flush(me, 2), Times: -1, Do: x.do})
				runs, _ := r.runs()
				in := New(t.Context(), r.env, r.s, runs, Config{Gap: -1, Parallel: parallel})
				defer in.Close()
				var good, bad []int
				for {
					i, _, err := in.Next()
					if err == io.EOF {
						break
					}
					var u *Unreadable
					switch {
					case err == nil:
						good = append(good, i)
					case errors.As(err, &u) && errors.Is(err, x.want) && u.Key == keys.Flush(me, 2) && u.Run == runs[i]:
						bad = append(bad, i)
					default:
						t.Fatal(err)
					}
				}
				// Both partitions' bytes lie side by side: where the first byte is bad the second partition's may be fine.
				if !slices.Contains(bad, 1) && !slices.Contains(bad, 4) || len(good)+len(bad) != 6 || len(good) < 4 {
					t.Errorf("good %d, bad %d", good, bad)
				}
			})
		}
	}
}

// Runs that do not hold what State says: too few offsets, too many, or an offset in front of the run.
func TestRunsThatLie(t *testing.T) {
	r := newRig(t)
	r.write(false, 0, []batch.Batch{aBatch(2, 10, 1), aBatch(3, 10, 2)})
	good, _ := r.runs()
	for name, edit := range map[string]func(*state.Run){
		"ends later":   func(x *state.Run) { x.Last++ },
		"ends earlier": func(x *state.Run) { x.Last-- },
		"is longer":    func(x *state.Run) { x.Length += 10 },
		"is shorter":   func(x *state.Run) { x.Length -= 10 },
		"placed":       func(x *state.Run) { x.Flags, x.Base, x.Last = state.RunPlaced, 5, 9 },
		"nowhere":      func(x *state.Run) { x.Place = 77 },
	} {
		x := good[0]
		edit(&x)
		in := New(t.Context(), r.env, r.s, []state.Run{x}, Config{})
		var err error
		for err == nil {
			_, _, err = in.Next()
		}
		var u *Unreadable
		if !errors.As(err, &u) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := in.Next(); err != io.EOF {
			t.Errorf("%s: %v afterwards", name, err)
		}
		in.Close()
	}
}

// An error of the store is the end, and is not about the run.
func TestStoreFails(t *testing.T) {
	r := newRig(t)
	r.write(false, 0, []batch.Batch{aBatch(2, 10, 1)})
	r.store.Script(fault.Fault{Op: fault.Get, Do: fault.FailBefore(objstore.ErrThrottled)})
	runs, _ := r.runs()
	in := New(t.Context(), r.env, r.s, runs, Config{})
	defer in.Close()
	for range 2 {
		_, _, err := in.Next()
		var u *Unreadable
		if !errors.Is(err, objstore.ErrThrottled) || errors.As(err, &u) {
			t.Error(err)
		}
	}
}
