package unfold

import (
	"context"
	"fmt"
	"math"

	"wadi/compactor/job"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/parts"
)

// Partition brings back all that a partition's manifest lists, step by step, unless somebody else works on the partition.
// It holds some 10 MiB, and 100 bytes per object of the manifest. An *Error says that the manifest cannot be read; after any
// error the partition may be unfolded in part.
func Partition(ctx context.Context, env *job.Env, ref state.PartRef, l Limits) error {
	l = l.withDefaults()
	for {
		var v volume
		var ok bool
		env.Read(func(s *state.State) { v, ok = volumeOf(s, ref) })
		if !ok {
			return nil
		}
		if on, err := v.unfold(ctx, env, l); err != nil || !on {
			return err
		}
	}
}

// unfold does one step, and tells whether State has taken it.
func (v *volume) unfold(ctx context.Context, env *job.Env, l Limits) (taken bool, err error) {
	r, err := v.open(ctx, env)
	if err != nil {
		return false, err
	}
	x, err := next(ctx, r, v.Manifest, l)
	if err != nil {
		return false, &Error{err}
	}
	c := x.command(v)
	code := state.OK
	take := func(o session.Outcome) { code = o.Result.Code }
	cmd := &pb.Command{Kind: &pb.Command_UnfoldRuns{UnfoldRuns: c}}
	if x.stays == 0 {
		err = env.Do(ctx, cmd, take)
	} else {
		var name job.Name
		if name, err = env.Name(); err != nil {
			return false, err
		}
		if err := v.write(ctx, env.Store, env.Objects.Manifest(name.Session, name.N), r, &x, c); err != nil {
			return false, err
		}
		c.N = name.N
		err = env.Introduce(ctx, name, cmd, take)
	}
	switch {
	case err != nil:
		return false, err
	case code == state.OK:
		env.Log.Debug("brought runs back out of a manifest", "topic", v.Topic, "partition", v.Partition, "runs", len(x.runs), "objects_left", x.stays)
		return true, nil
	case code == state.Conflict || code == state.UnknownTopic:
		env.Log.Debug("an unfold came too late", "topic", v.Topic, "partition", v.Partition, "code", code)
		return false, nil
	default:
		return false, fmt.Errorf("unfold of partition %d of topic %d refused: %v", v.Partition, v.Topic, code)
	}
}

// write writes the manifest of what stays, and says in the command what it holds.
func (v *volume) write(ctx context.Context, store objstore.Store, key string, r *manifest.Reader, x *step, c *pb.UnfoldRuns) error {
	out, err := parts.New(ctx, store, key, parts.Config{PartSize: objstore.MinPart, Parallel: 1})
	if err != nil {
		return err
	}
	defer out.Abort()
	w, err := manifest.NewWriter(out, v.id, int32(v.Partition))
	if err != nil {
		return err
	}
	part := Part{Reader: r, Released: v.Released, First: v.First, Last: x.last}
	if err := part.Runs(ctx, w); err != nil {
		return err
	}
	objects, err := part.Objects(ctx)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := w.Object(o); err != nil {
			return invalid(err)
		}
	}
	below := int64(math.MaxInt64)
	if len(x.aborted) > 0 {
		below = x.aborted[0].Last
	}
	if err := part.Aborted(ctx, w, below); err != nil {
		return err
	}
	info, err := w.Close()
	if err != nil {
		return invalid(err)
	}
	if info.First != v.First || info.Last != x.last || int(info.Objects) != x.stays {
		return &Error{fmt.Errorf("%w: %+v would be left, State says %+v", manifest.ErrCorrupt, info, v.Manifest)}
	}
	if w.Size() > math.MaxUint32 {
		return fmt.Errorf("manifest of %d bytes", w.Size())
	}
	c.Size, c.Runs, c.MaxTimestamp = w.Size(), info.Runs, info.MaxTimestamp
	return out.Close()
}
