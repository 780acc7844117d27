package fsck

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sort"

	"wadi/metadata/checkpoint"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// replay checks every kept root's base and archives, and that from the oldest root on the archives lead to the very State
// that the newest root describes. On the way it notes what the kept roots' States name. Roots that are kept for long have
// no archives between them: the replay begins anew there.
func (c *checker) replay(ctx context.Context) error {
	if len(c.roots) == 0 {
		return nil
	}
	if err := c.bases(ctx); err != nil {
		return err
	}
	archives, whole, err := c.rootArchives(ctx)
	if err != nil || !whole {
		return err
	}
	var s *state.State
	for i, r := range c.roots {
		if s != nil {
			follows, err := c.replayTo(ctx, s, archives, r.root.Position)
			if err != nil {
				return c.badCheckpoint(r.kept.Key, err)
			}
			// Of the previous checkpoint, which trimming goes by, and the newest it is certain that they follow each other.
			if before := c.roots[i-1].root.Position; !follows && before >= c.anchor.Pointer.TrimPosition {
				c.finding(BadCheckpoint, r.kept.Key, "no archive of a kept root goes on behind position %d", s.Position())
			}
			if !follows {
				s = nil
			} else if i == len(c.roots)-1 {
				if err := c.same(ctx, s, r.root); err != nil {
					return err
				}
			}
		}
		if s == nil {
			if s, err = checkpoint.LoadRoot(ctx, c.o.Store, r.root); err != nil {
				return c.badCheckpoint(r.kept.Key, err)
			}
		}
		c.wantedAt(s, r.root.Position)
	}
	return nil
}

// replayTo applies archives up to a position; false tells that there is a gap between them.
func (c *checker) replayTo(ctx context.Context, s *state.State, archives []*pb.ArchiveRef, position int64) (bool, error) {
	for _, a := range archives {
		if a.To <= s.Position() || a.To > position {
			continue
		}
		if a.From != s.Position() {
			return false, nil
		}
		_, _, err := checkpoint.EachEntry(ctx, c.o.Store, a.Object.Key, a.Object.Size, func(e journal.Entry) error {
			d, err := state.Decode(e.Position, e.Session, e.Seq, e.Value)
			if err == nil {
				s.Apply(d)
			}
			return err
		})
		if err != nil {
			return false, err
		}
	}
	return s.Position() == position, nil
}

// wantedAt notes what the State of a kept root names and State does not list any more.
func (c *checker) wantedAt(s *state.State, position int64) {
	if c.state == nil {
		return
	}
	s.EachObject(func(number uint64, o state.Object) {
		if _, known := c.state.Object(number); !known && o.Refs > 0 {
			c.wants = append(c.wants, want{name: nameOf(o), size: o.Size, root: position})
		}
	})
	s.EachManifest(func(m state.Manifest) { c.folds.add(c, s, m, nil, position) })
}

// same compares a replayed State with the one that a root leads to by its base, as it would be written.
func (c *checker) same(ctx context.Context, s *state.State, r *pb.Root) error {
	subject := fmt.Sprintf("position %d", r.Position)
	digest := s.Digest()
	if s.Position() != r.Position || string(digest[:]) != string(r.Digest) {
		c.finding(BadState, subject, "a replay from the oldest kept root leads to position %d with digest %s, not to %x",
			s.Position(), digest, r.Digest)
		return nil
	}
	replayed, err := contentHash(s)
	if err != nil {
		return err
	}
	loaded, err := checkpoint.LoadRoot(ctx, c.o.Store, r)
	if err != nil {
		return c.badCheckpoint(c.roots[len(c.roots)-1].kept.Key, err)
	}
	direct, err := contentHash(loaded)
	if err != nil {
		return err
	}
	if replayed != direct {
		c.finding(BadState, subject, "a replay from the oldest kept root and the newest base have one digest but differ in content")
	}
	return nil
}

func contentHash(s *state.State) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	err = s.EncodeBase(func(record []byte) error {
		_, err := h.Write(record)
		return err
	})
	return [sha256.Size]byte(h.Sum(nil)), err
}

// badCheckpoint makes a finding of damage; other errors end the check.
func (c *checker) badCheckpoint(subject string, err error) error {
	if !damage(err) {
		return err
	}
	c.finding(BadCheckpoint, subject, "%v", err)
	return nil
}

// bases checks the bases of the kept roots, each once.
func (c *checker) bases(ctx context.Context) error {
	seen := map[string]bool{}
	for _, r := range c.roots {
		if len(r.root.Base.Parts) == 0 {
			c.finding(BadCheckpoint, r.kept.Key, "its base has no parts")
			continue
		}
		key := r.root.Base.Parts[0].Key
		if seen[key] {
			continue
		}
		seen[key] = true
		if err := checkpoint.VerifyBase(ctx, c.o.Store, r.root.Base); err != nil {
			if err := c.badCheckpoint(key, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// rootArchives checks the archives that kept roots list, each once, and returns them in order; whole is false when one
// cannot be read.
func (c *checker) rootArchives(ctx context.Context) (list []*pb.ArchiveRef, whole bool, err error) {
	seen := map[string]*pb.ArchiveRef{}
	whole = true
	for _, r := range c.roots {
		for _, a := range r.root.Archives {
			if seen[a.Object.Key] != nil {
				continue
			}
			seen[a.Object.Key] = a
			ok, err := c.archive(ctx, a)
			if err != nil {
				return nil, false, err
			}
			whole = whole && ok
			list = append(list, a)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].To < list[j].To })
	c.count(func(n *Counts) { n.Archives = len(list) })
	return list, whole, nil
}

var errBounds = errors.New("its entries are not those that the root lists")

// archive compares an archive's entries with what a root says of them.
func (c *checker) archive(ctx context.Context, a *pb.ArchiveRef) (bool, error) {
	var n, position, head int64
	from, to, err := checkpoint.EachEntry(ctx, c.o.Store, a.Object.Key, a.Object.Size, func(e journal.Entry) error {
		n, position, head = n+1, e.Position, e.Head
		return nil
	})
	c.count(func(x *Counts) { x.Entries += n })
	if err == nil && (from != a.From || to != a.To || n != a.Entries || position != a.To || head != a.Head) {
		err = fmt.Errorf("%w: %d entries of (%d, %d] up to head %d, the root says %d of (%d, %d] up to %d: %w",
			errBounds, n, from, to, head, a.Entries, a.From, a.To, a.Head, checkpoint.ErrFormat)
	}
	if err == nil {
		return true, nil
	}
	return false, c.badCheckpoint(a.Object.Key, err)
}
