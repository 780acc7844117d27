package merge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"wadi/compactor/job"
	"wadi/compactor/runs"
	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore/parts"
	"wadi/objstore/segment"
)

// ErrNothing: nothing of an output could be read, so there is no object.
var ErrNothing = errors.New("nothing to merge")

// Unread is a range that was left out of an output.
type Unread struct {
	Topic     uint64
	Partition uint32
	Err       *runs.Unreadable
}

// Build writes an output under a name and returns the command that puts it in the place of its inputs, the ranges that it
// left out as they cannot be read, and what it did. nowMs is for the object's footer. After an error that wraps
// objstore.ErrConflict or objstore.ErrExists it may be built anew, under another name; ErrNothing leaves no object; any
// other is the store's or the context's, and the object may be there, now or later.
func Build(ctx context.Context, env *job.Env, c Config, name job.Name, o *Output, nowMs int64) (*pb.Command, []Unread, Stats, error) {
	c = c.withDefaults()
	in := open(ctx, env, &c, []Output{*o})
	defer in.Close()
	return build(ctx, env, &c, in, 0, name, o, nowMs)
}

// open is a reader of outputs that follow each other: what is read of an input for one of them serves the next.
func open(ctx context.Context, env *job.Env, c *Config, outputs []Output) *runs.Reader {
	n := 0
	for i := range outputs {
		n += outputs[i].runs()
	}
	list := make([]state.Run, 0, n)
	for i := range outputs {
		for _, r := range outputs[i].Ranges {
			list = append(list, r.Runs...)
		}
	}
	reading, _ := c.split()
	return runs.New(ctx, env, outputs[0].from, list, reading)
}

// build is Build with a reader in which the output's runs begin at index first.
func build(
	ctx context.Context, env *job.Env, c *Config, in *runs.Reader, first int, name job.Name, o *Output, nowMs int64,
) (*pb.Command, []Unread, Stats, error) {
	b := builder{c: c, o: o, cmd: &pb.ReplaceRuns{N: name.N}, end: first, cuts: maxOutputCuts}
	for i := range o.Ranges {
		b.end += len(o.Ranges[i].Runs)
		b.ends = append(b.ends, b.end)
	}
	_, writing := c.split()
	out, err := parts.New(ctx, env.Store, env.Objects.Merged(name.Session, name.N), writing)
	if err != nil {
		return nil, nil, Stats{}, err
	}
	before := in.Stats()
	in.Skip(first)
	in.Until(b.end)
	err = b.write(in, out, segment.Meta{Kind: segment.Merged, CreatedMs: nowMs, ClusterID: o.from.ClusterID()})
	read := in.Stats()
	b.stats.Reads, b.stats.BytesRead, b.stats.Memory = read.Reads-before.Reads, read.Bytes-before.Bytes, read.Peak
	b.stats.Skipped = len(b.unread)
	if err == nil && len(b.cmd.Topics) == 0 {
		err = ErrNothing
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		if left := out.Abort(); left != nil {
			env.Log.Warn("merge: upload left behind", "error", left) // a sweep finds it
		}
		return nil, b.unread, b.stats, fmt.Errorf("merge: %w", err)
	}
	b.stats.Objects, b.stats.BytesWritten = 1, out.Size()
	b.cmd.Size = uint64(out.Size())
	b.finish()
	return &pb.Command{Kind: &pb.Command_ReplaceRuns{ReplaceRuns: b.cmd}}, b.unread, b.stats, nil
}

// builder is an output in the making.
type builder struct {
	c      *Config
	o      *Output
	ends   []int // per range: where its runs end in the reader
	end    int   // where the last one's do
	cmd    *pb.ReplaceRuns
	cuts   int // by time that are left
	unread []Unread
	stats  Stats

	// Of the range that is written.
	began bool
	cut   cutter
	first int64  // offset that the open run begins at
	runAt uint64 // in the object
	kept  columns
}

// columns is how long the command's columns were before a range.
type columns struct{ ranges, runs int }

// write streams what the runs hold.
func (b *builder) write(in *runs.Reader, out io.Writer, meta segment.Meta) error {
	w, err := segment.NewWriter(out, meta)
	if err != nil {
		return err
	}
	at := -1 // the range
	for {
		run, x, err := in.Next()
		if err == io.EOF {
			break
		}
		unreadable, err := asUnreadable(err)
		if err != nil {
			return err
		}
		if at < 0 || run >= b.ends[at] {
			b.closeRange(at)
			for at++; run >= b.ends[at]; at++ {
			}
			b.openRange()
		}
		r := &b.o.Ranges[at]
		if unreadable != nil {
			b.unread = append(b.unread, Unread{Topic: r.Topic, Partition: r.Partition, Err: unreadable})
			b.dropRange()
			in.Skip(b.ends[at])
			continue
		}
		if err := b.append(w, r, x); err != nil {
			return err
		}
	}
	b.closeRange(at)
	if len(b.cmd.Topics) == 0 {
		return nil
	}
	_, err = w.Close()
	return err
}

// asUnreadable tells an error that is about a run from one that is the end.
func asUnreadable(err error) (*runs.Unreadable, error) {
	if err == nil {
		return nil, nil // every batch comes here: what follows allocates
	}
	var u *runs.Unreadable
	if errors.As(err, &u) {
		return u, nil
	}
	return nil, err
}

func (b *builder) openRange() {
	b.kept = columns{len(b.cmd.Topics), len(b.cmd.RunCounts)}
	b.began = false
}

// append writes a batch. What is left out later stays in the object as a section of whole batches that nobody refers to.
func (b *builder) append(w *segment.Writer, r *Range, x batch.Batch) error {
	if !b.began {
		t := b.o.from.TopicByNumber(r.Topic)
		if _, err := w.Begin(t.ID, int32(r.Partition), x.BaseOffset()); err != nil {
			return err
		}
		b.began, b.first, b.runAt, b.cut = true, r.Runs[0].Base, uint64(w.Size()), r.shape.cutter(b.cuts)
	}
	open := b.cut
	if b.cut.next(int64(len(x)), x.MaxTimestamp()) && open.length > 0 {
		b.cuts -= open.cuts - b.cut.cuts
		b.closeRun(open, x.BaseOffset())
		b.runAt = uint64(w.Size())
	}
	return w.AppendBatch(x)
}

// closeRun ends a run in front of the offset that the next one begins at.
func (b *builder) closeRun(open cutter, next int64) {
	k := b.cmd
	k.RunCounts = append(k.RunCounts, uint64(next-b.first))
	k.MaxTimestamps = append(k.MaxTimestamps, open.newest)
	k.Offsets = append(k.Offsets, b.runAt)
	k.Lengths = append(k.Lengths, uint32(open.length))
	b.first = next
}

func (b *builder) closeRange(at int) {
	if at < 0 || !b.began {
		return
	}
	r, k := &b.o.Ranges[at], b.cmd
	last := r.Runs[len(r.Runs)-1].Last
	b.closeRun(b.cut, last+1)
	k.Topics, k.Partitions, k.Versions = append(k.Topics, r.Topic), append(k.Partitions, r.Partition), append(k.Versions, r.Version)
	k.Bases, k.Lasts = append(k.Bases, r.Runs[0].Base), append(k.Lasts, last)
	k.Runs = append(k.Runs, uint32(len(k.RunCounts)-b.kept.runs))
	b.stats.RunsBefore += len(r.Runs)
	b.began = false
}

func (b *builder) dropRange() {
	k, n := b.cmd, b.kept.runs
	k.RunCounts, k.MaxTimestamps, k.Offsets, k.Lengths = k.RunCounts[:n], k.MaxTimestamps[:n], k.Offsets[:n], k.Lengths[:n]
	b.began = false
}

// finish brings the columns into the form that a command has.
func (b *builder) finish() {
	b.stats.Ranges, b.stats.RunsAfter = len(b.cmd.Topics), len(b.cmd.RunCounts)
	for i, ms := range slices.Backward(b.cmd.MaxTimestamps) {
		if i > 0 {
			b.cmd.MaxTimestamps[i] = ms - b.cmd.MaxTimestamps[i-1]
		}
	}
}
