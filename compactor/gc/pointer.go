package gc

import (
	"context"
	"errors"
	"fmt"

	"wadi/metadata/checkpoint"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/objstore"
)

// roots is what is known of the kept roots. What was read once is read again only when State tells that the pointer has
// moved: a quiet cluster is asked nothing.
type roots struct {
	pointer *pb.Pointer // as last read, nil = not yet
	// Which archives a root replays, by its key; roots never change. Of kept ones only.
	replayed map[string][]archiveName
}

// refresh reads the pointer if State knows of a newer one, or none was read yet. Every pointer that moves is followed by
// an Archived up to its position.
func (r *roots) refresh(ctx context.Context, c *Config, s *state.State) error {
	if s.ArchivedTo() == 0 || r.pointer != nil && s.ArchivedTo() <= r.pointer.Position {
		return nil
	}
	p, err := checkpoint.ReadPointer(ctx, c.KV, c.Keys)
	if err != nil {
		return err
	}
	r.pointer = p
	return nil
}

// replays are the archives that kept roots replay. It reads the roots that it has not read yet.
func (r *roots) replays(ctx context.Context, store objstore.Store) (map[archiveName]bool, error) {
	replayed := map[string][]archiveName{}
	all := map[archiveName]bool{}
	for _, k := range r.pointer.Kept {
		list, known := r.replayed[k.Key]
		if !known {
			root, err := checkpoint.ReadRoot(ctx, store, k.Key)
			switch {
			case errors.Is(err, objstore.ErrNotFound) && k.Key != r.pointer.Root:
				// The pointer has moved on since and keeps it no more.
			case err != nil:
				return nil, fmt.Errorf("kept root: %w", err)
			default:
				for _, a := range root.Archives {
					list = append(list, nameOfArchive(a))
				}
			}
		}
		replayed[k.Key] = list
		for _, a := range list {
			all[a] = true
		}
	}
	r.replayed = replayed
	return all, nil
}
