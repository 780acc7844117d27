package unfold

import (
	"context"
	"errors"
	"fmt"

	"wadi/compactor/job"
	"wadi/metadata/manifest"
	"wadi/metadata/state"
	"wadi/objstore"
)

// Error is an error of reading the manifest that a partition has.
type Error struct{ Err error }

func (e *Error) Error() string { return fmt.Sprintf("read the manifest there is: %v", e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Lasting reports whether reading it again will not help: it is lost or damaged.
func (e *Error) Lasting() bool {
	for _, kind := range []error{objstore.ErrNotFound, objstore.ErrRange, objstore.ErrCorrupt, manifest.ErrCorrupt, manifest.ErrVersion, manifest.ErrInvalid} {
		if errors.Is(e.Err, kind) {
			return true
		}
	}
	return false
}

// Open opens a partition's manifest, as a State names it, and compares it with what that says of it. Errors are an *Error.
func Open(ctx context.Context, env *job.Env, s *state.State, ref state.PartRef, id state.TopicID, m state.Manifest) (*manifest.Reader, error) {
	v := volume{PartRef: ref, Manifest: m, id: id}
	v.object, v.known = s.Object(m.Object)
	return v.open(ctx, env)
}

// volume is a partition's manifest as State names it.
type volume struct {
	state.PartRef
	state.Manifest
	id      state.TopicID
	version uint64       // of the partition
	object  state.Object // that holds it
	known   bool         // State has the object
}

// volumeOf finds a partition's manifest, if it has one.
func volumeOf(s *state.State, ref state.PartRef) (v volume, ok bool) {
	t := s.TopicByNumber(ref.Topic)
	if t == nil {
		return v, false
	}
	p := t.Partition(int32(ref.Partition))
	if p == nil || p.Manifest == nil {
		return v, false
	}
	v = volume{PartRef: ref, Manifest: *p.Manifest, id: t.ID, version: p.Version}
	v.object, v.known = s.Object(v.Object)
	return v, true
}

func (v *volume) open(ctx context.Context, env *job.Env) (*manifest.Reader, error) {
	if !v.known {
		return nil, &Error{fmt.Errorf("object %d is not in State: %w", v.Object, objstore.ErrNotFound)}
	}
	key := v.object.Key(env.Objects)
	r, err := manifest.Open(ctx, env.Store, key, v.object.Size)
	if err != nil {
		return nil, &Error{err}
	}
	i := r.Info()
	if i.Topic != [16]byte(v.id) || i.Partition != int32(v.Partition) || i.Last != v.Last || i.Runs != v.Runs || i.Objects != v.Owned {
		return nil, &Error{fmt.Errorf("%w: %s holds %+v, State says %+v", manifest.ErrCorrupt, key, i, v.Manifest)}
	}
	return r, nil
}

// Replaced reports whether a partition's manifest is not, or no more, the object of that number: then an error of reading it
// says nothing. It waits for what was appended before.
func Replaced(ctx context.Context, env *job.Env, ref state.PartRef, object uint64) (replaced bool, err error) {
	if err := env.Barrier(ctx); err != nil {
		return false, err
	}
	env.Read(func(s *state.State) {
		v, ok := volumeOf(s, ref)
		replaced = !ok || v.Object != object
	})
	return replaced, nil
}
