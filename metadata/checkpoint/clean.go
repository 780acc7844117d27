package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
)

// Clean deletes the objects of dropped roots, or with sweep all checkpoint objects, that no kept root needs. Archives that
// State lists are left to the compactor: runs lie in them, or did and may yet be read. Only what this session or a closed
// one wrote is touched: a live session's object may be one that it still writes about, an unknown one's is for fsck to
// name. Nothing newer than next is touched either: a call that takes long may see the objects of checkpoints that came
// after it, its own agent's included, and does not know which of them are kept. Those it does touch, no later checkpoint
// can come to need: it takes over from the kept ones or writes anew. again tells that something has to wait.
func (j *Steps) Clean(ctx context.Context, dropped []*pb.KeptRoot, next Written, sweep bool) (again bool, err error) {
	if next.Root != nil {
		j.known.add(next.Pointer.Root, objectsOf(next.Pointer.Root, next.Root))
	}
	if len(dropped) == 0 && !sweep {
		return false, nil
	}
	kept := map[string]bool{}
	for _, k := range next.Pointer.Kept {
		keys, err := j.objectsOf(ctx, k.Key)
		if errors.Is(err, objstore.ErrNotFound) && k.Key != next.Pointer.Root {
			continue
		}
		if err != nil {
			return false, err
		}
		for _, key := range keys {
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
	again, err = j.remove(ctx, candidates, kept, next.Pointer.Head)
	if err == nil {
		j.known.only(next.Pointer.Kept)
	}
	return again, err
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
		list, err := j.objectsOf(ctx, k.Key)
		if errors.Is(err, objstore.ErrNotFound) {
			continue // cleaned before
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, list...)
	}
	return keys, nil
}

// knownRoots remembers which objects kept roots consist of: roots never change, and with those of a day each checkpoint
// would read dozens.
type knownRoots struct {
	sync.Mutex
	objects map[string][]string // by the root's key
}

func (k *knownRoots) add(root string, objects []string) {
	k.Lock()
	defer k.Unlock()
	if k.objects == nil {
		k.objects = map[string][]string{}
	}
	k.objects[root] = objects
}

// only forgets all roots but those.
func (k *knownRoots) only(kept []*pb.KeptRoot) {
	k.Lock()
	defer k.Unlock()
	objects := map[string][]string{}
	for _, r := range kept {
		if keys, ok := k.objects[r.Key]; ok {
			objects[r.Key] = keys
		}
	}
	k.objects = objects
}

// objectsOf reads a root, if it is not known yet.
func (j *Steps) objectsOf(ctx context.Context, key string) ([]string, error) {
	j.known.Lock()
	keys, ok := j.known.objects[key]
	j.known.Unlock()
	if ok {
		return keys, nil
	}
	root, err := ReadRoot(ctx, j.o.Store, key)
	if err != nil {
		return nil, err
	}
	keys = objectsOf(key, root)
	j.known.add(key, keys)
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
	ctx context.Context, candidates []string, kept map[string]bool, newestHead int64,
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
				if _, listed := s.FindArchive(name.Session, name.Head); listed {
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
