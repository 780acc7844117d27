package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
)

// Clean deletes the objects of dropped roots, or with sweep all checkpoint objects, that neither a kept root nor, for
// archives, a run needs. Only what this session or a closed one wrote is touched: a live session's object may be one
// that it still writes about, an unknown one's is for fsck to name. Nothing newer than next is touched either: a call
// that takes long may see the objects of checkpoints that came after it, its own agent's included, and does not know which
// of them are kept. Those it does touch, no later checkpoint can come to need: it takes over from the kept ones or writes
// anew. again tells that something has to wait.
func (j *Steps) Clean(ctx context.Context, dropped []*pb.KeptRoot, next Written, sweep bool) (again bool, err error) {
	if len(dropped) == 0 && !sweep {
		return false, nil
	}
	kept := map[string]bool{}
	oldest := next.Pointer.Position
	for _, k := range next.Pointer.Kept {
		oldest = min(oldest, k.Position)
		root, err := ReadRoot(ctx, j.o.Store, k.Key)
		if errors.Is(err, objstore.ErrNotFound) && k.Key != next.Pointer.Root {
			continue
		}
		if err != nil {
			return false, err
		}
		for _, key := range objectsOf(k.Key, root) {
			kept[key] = true
		}
	}
	var candidates []string
	if sweep {
		candidates, err = j.all(ctx)
	} else {
		candidates, err = j.dropped(ctx, dropped)
	}
	if err != nil {
		return false, err
	}
	return j.remove(ctx, candidates, kept, oldest, next.Pointer.Head)
}

// all are the checkpoint objects of the incarnation, roots last.
func (j *Steps) all(ctx context.Context) (keys []string, err error) {
	for _, kind := range []layout.CheckpointKind{layout.Base, layout.Archive, layout.Root} {
		for after := ""; ; {
			list, err := j.o.Store.List(ctx, j.o.Objects.CheckpointPrefix(kind), after, 1000)
			if err != nil {
				return nil, fmt.Errorf("list checkpoint objects: %w", err)
			}
			for _, o := range list {
				keys, after = append(keys, o.Key), o.Key
			}
			if len(list) < 1000 {
				break
			}
		}
	}
	return keys, nil
}

// dropped are the objects of dropped roots, each root behind its own: as long as it is there, a repeat finds the others.
func (j *Steps) dropped(ctx context.Context, dropped []*pb.KeptRoot) (keys []string, err error) {
	for _, k := range dropped {
		root, err := ReadRoot(ctx, j.o.Store, k.Key)
		if errors.Is(err, objstore.ErrNotFound) {
			continue // cleaned before
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, objectsOf(k.Key, root)...)
	}
	return keys, nil
}

func objectsOf(rootKey string, root *pb.Root) []string {
	var keys []string
	for _, p := range root.Base.Parts {
		keys = append(keys, p.Key)
	}
	for _, a := range root.Archives {
		keys = append(keys, a.Object.Key)
	}
	return append(keys, rootKey)
}

// remove deletes the candidates that may go, in order.
func (j *Steps) remove(
	ctx context.Context, candidates []string, kept map[string]bool, oldest, newestHead int64,
) (again bool, err error) {
	own, _, _ := j.o.Session.Current()
	var keys []string
	j.view.Read(func(s *state.State) {
		for _, key := range candidates {
			name, err := j.o.Objects.ParseCheckpoint(key)
			if err != nil || kept[key] {
				continue
			}
			if name.Head > newestHead {
				again = true
				continue
			}
			if name.Kind == layout.Archive {
				// Runs lie in it, now or in the State of a kept root.
				if o, ok := s.FindArchive(name.Session, name.Head); ok && (o.Refs > 0 || o.Lost > oldest) {
					continue
				}
			}
			switch v, ok := s.Session(name.Session); {
			case name.Session == own || ok && v.Closed != 0:
				keys = append(keys, key)
			case ok:
				again = true
			}
		}
	})
	for len(keys) > 0 {
		n := min(len(keys), 1000)
		if err := j.o.Store.Delete(ctx, keys[:n]); err != nil {
			return again, fmt.Errorf("delete checkpoint objects: %w", err)
		}
		keys = keys[n:]
	}
	return again, nil
}
