package retention

import (
	"context"
	"errors"
	"fmt"

	"wadi/compactor/job"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// release frees objects of manifests, oldest first. cut tells that the bound on commands ended it.
func (t *Task) release(ctx context.Context, in *job.View, list []release) (cut bool, err error) {
	left := maxReleases
	for i := range list {
		if left == 0 {
			return true, nil
		}
		m := &list[i].manifest
		n, err := t.releaseOf(ctx, in, &list[i], left)
		left -= n
		switch {
		case err == nil || t.damaged(in, m, err):
		default:
			return false, fmt.Errorf("release objects of manifest %d: %w", m.Object, err)
		}
	}
	return false, nil
}

// releaseOf frees what it can of one manifest and tells how many commands that took.
func (t *Task) releaseOf(ctx context.Context, in *job.View, x *release, limit int) (n int, err error) {
	r, err := open(ctx, t.env, in.State, x.manifest.Object)
	if err != nil {
		return 0, err
	}
	for released := x.manifest.Released; n < limit; n++ {
		list, err := r.ObjectsFrom(ctx, released, state.MaxSweep)
		if err != nil {
			return n, err
		}
		k := x.command(released, list)
		if len(k.Ns) < len(list) {
			// The next one stays; whoever comes here again need not look until the log starts behind it.
			y := t.notes.at(&x.manifest)
			y.next = list[len(k.Ns)].Last
			t.notes.keep(x.manifest.Object, y)
		}
		if len(k.Ns) == 0 {
			return n, nil
		}
		gone, err := t.propose(ctx, k)
		if gone || err != nil {
			return n + 1, err
		}
		released += uint32(len(k.Ns))
	}
	return n, nil
}

// command releases the first of a list of objects that end below the bound.
func (x *release) command(released uint32, list []manifest.Object) *pb.ReleaseObjects {
	k := &pb.ReleaseObjects{Manifest: x.manifest.Object, Topic: x.topic, Partition: x.partition, Released: released}
	for _, o := range list {
		if o.Last >= x.below {
			break
		}
		k.Sessions, k.Ns, k.Sizes = append(k.Sessions, int64(o.Session)), append(k.Ns, o.N), append(k.Sizes, o.Size)
		k.Bytes, k.Introduced, k.Lasts = append(k.Bytes, uint64(o.Bytes)), append(k.Introduced, o.Introduced), append(k.Lasts, o.Last)
	}
	return k
}

// propose proposes a release. gone tells that this manifest has nothing more to release, or is not State's any more: the
// next pass sees what is.
func (t *Task) propose(ctx context.Context, k *pb.ReleaseObjects) (gone bool, err error) {
	var refused error
	err = t.env.Do(ctx, &pb.Command{Kind: &pb.Command_ReleaseObjects{ReleaseObjects: k}}, func(o session.Outcome) {
		switch o.Result.Code {
		case state.OK:
			gone = o.Result.ID == 0
		case state.Conflict, state.UnknownTopic:
			gone = true
		default:
			refused = fmt.Errorf("refused: %v", o.Result.Code)
		}
	})
	return gone, errors.Join(err, refused)
}
