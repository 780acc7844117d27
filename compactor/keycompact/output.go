package keycompact

import (
	"context"
	"errors"
	"fmt"

	"wadi/compactor/job"
	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore/parts"
	"wadi/objstore/segment"
)

// ErrRefused: State did not take an object. What is in it is compacted anew.
var ErrRefused = errors.New("refused")

// output is one merged segment in the making, with the command that introduces it. Ranges of several partitions follow each
// other in it, each of one or more runs.
type output struct {
	env  *job.Env
	name job.Name
	up   *parts.Writer
	seg  *segment.Writer
	cmd  *pb.ReplaceRuns
	seen int64 // position of the State whose configs are gone by

	runBytes int64
	newest   int64 // max timestamp of the run before, which that of the next counts from

	open openRange
}

// openRange is the range that is being written.
type openRange struct {
	of     *section
	base   int64 // first offset of the run that is being written
	last   int64 // the last offset written; base-1: none of the run
	at     int64 // position of the run in the object
	newest int64 // its max timestamp
	runs   uint32

	// As the command was before the range: its runs, and what its timestamps count from.
	before      int
	newestSoFar int64
}

// newOutput takes the next name.
func newOutput(ctx context.Context, env *job.Env, cfg Config, in *job.View) (*output, error) {
	name, err := env.Name()
	if err != nil {
		return nil, err
	}
	up, err := parts.New(ctx, env.Store, env.Objects.Merged(name.Session, name.N), parts.Config{Parallel: cfg.Parallel})
	if err != nil {
		return nil, err
	}
	seg, err := segment.NewWriter(up, segment.Meta{Kind: segment.Merged, CreatedMs: in.Now, ClusterID: in.State.ClusterID()})
	if err != nil {
		return nil, errors.Join(err, up.Abort())
	}
	return &output{
		env: env, name: name, up: up, seg: seg, cmd: &pb.ReplaceRuns{N: name.N}, seen: in.State.Position(), runBytes: cfg.RunBytes,
	}, nil
}

// begin starts the range of a section whose first offset is base.
func (o *output) begin(s *section, base int64) {
	o.open = openRange{of: s, base: base, last: base - 1, before: len(o.cmd.RunCounts), newestSoFar: o.newest}
}

// drop gives the open range up, if there is one. What was written of it stays in the object, and nobody refers to it.
func (o *output) drop() {
	if o.open.of == nil {
		return
	}
	c, n := o.cmd, o.open.before
	c.RunCounts, c.MaxTimestamps, c.Offsets, c.Lengths = c.RunCounts[:n], c.MaxTimestamps[:n], c.Offsets[:n], c.Lengths[:n]
	o.newest, o.open = o.open.newestSoFar, openRange{}
}

// empty reports whether nothing of the open range was written.
func (o *output) empty() bool { return o.open.runs == 0 && o.open.last < o.open.base }

// add writes a batch of the open range.
func (o *output) add(b batch.Batch) error {
	r := &o.open
	switch {
	case o.empty():
		at, err := o.seg.Begin(r.of.id, int32(r.of.partition), b.BaseOffset())
		if err != nil {
			return err
		}
		r.at, r.newest = int64(at), b.MaxTimestamp()
	case r.last < r.base: // the first of a further run
		r.at, r.newest = o.seg.Size(), b.MaxTimestamp()
	}
	if err := o.seg.AppendBatch(b); err != nil {
		return err
	}
	r.last, r.newest = b.LastOffset(), max(r.newest, b.MaxTimestamp())
	if o.seg.Size()-r.at >= o.runBytes {
		o.endRun(r.last)
	}
	return nil
}

// endRun ends the run that is being written with an offset. One that has ended already, with the last batch that came, now
// ends there.
func (o *output) endRun(last int64) {
	r, c := &o.open, o.cmd
	if r.last < r.base {
		c.RunCounts[len(c.RunCounts)-1] += uint64(last - r.last)
		r.base, r.last = last+1, last
		return
	}
	c.RunCounts = append(c.RunCounts, uint64(last-r.base+1))
	c.MaxTimestamps = append(c.MaxTimestamps, r.newest-o.newest)
	c.Offsets = append(c.Offsets, uint64(r.at))
	c.Lengths = append(c.Lengths, uint32(o.seg.Size()-r.at))
	o.newest = r.newest
	r.runs++
	r.base, r.last = last+1, last
}

// end ends the open range, which begins with the first of two offsets and ends with the other. Something of it was written.
func (o *output) end(first, last int64, compacted bool) {
	o.endRun(last)
	r, c := &o.open, o.cmd
	c.Topics = append(c.Topics, r.of.topic)
	c.Partitions = append(c.Partitions, r.of.partition)
	c.Versions = append(c.Versions, r.of.version)
	c.Bases = append(c.Bases, first)
	c.Lasts = append(c.Lasts, last)
	c.Compacted = append(c.Compacted, compacted)
	c.Runs = append(c.Runs, r.runs)
	o.open = openRange{}
}

// finish stores the object and introduces it. Each range is judged on its own; codes are in their order.
func (o *output) finish(ctx context.Context) (codes []state.Code, err error) {
	if _, err := o.seg.Close(); err != nil {
		return nil, errors.Join(err, o.up.Abort())
	}
	if err := o.up.Close(); err != nil {
		return nil, err
	}
	o.cmd.Size = uint64(o.up.Size())
	refused := state.OK
	cmd := &pb.Command{Base: o.seen, Kind: &pb.Command_ReplaceRuns{ReplaceRuns: o.cmd}}
	err = o.env.Introduce(ctx, o.name, cmd, func(x session.Outcome) {
		refused = x.Result.Code
		for _, b := range x.Result.Batches {
			codes = append(codes, b.Code)
		}
	})
	if err == nil && refused != state.OK {
		err = fmt.Errorf("introduce merged object %d: %w: %v", o.name.N, ErrRefused, refused)
	}
	if err != nil {
		return nil, err
	}
	return codes, nil
}
