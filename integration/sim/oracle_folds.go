package sim

import (
	"fmt"
	"slices"

	"wadi/metadata/journal"
	"wadi/metadata/manifest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// folded follows a FoldRuns that State took: the new manifest lists the log up to where it says, byte for byte, and the
// aborted transactions that end there, and owns the objects that it lists, each as it was introduced.
func (o *compactions) folded(e journal.Entry, c *pb.FoldRuns) {
	w := o.w
	w.stats.Folded++
	key := w.oracle.objects.Manifest(e.Session, c.N)
	if err := o.foldedTo(c, key); err != nil {
		w.violated("position %d, %s of partition %d of topic %d up to %d: %v", e.Position, key, c.Partition, c.Topic, c.Last, err)
	}
}

func (o *compactions) foldedTo(c *pb.FoldRuns, key string) error {
	w := o.w
	if body := w.bucket.objects[key]; uint64(len(body)) != c.Size {
		return fmt.Errorf("the bucket has %d bytes of %d", len(body), c.Size)
	}
	r, err := manifest.Open(background, plainBucket{w.bucket, w.wall()}, key, c.Size)
	if err == nil {
		err = r.Verify(background)
	}
	if err != nil {
		return err
	}
	log, known := w.logOf(c.Topic, c.Partition)
	next, listed := c.First, map[string]bool{}
	err = r.EachRun(background, func(x manifest.Run) error {
		key := x.Key(w.oracle.objects)
		listed[key] = true
		body := w.bucket.objects[key]
		if x.Base != next || uint64(x.Offset)+uint64(x.Length) > uint64(len(body)) {
			return fmt.Errorf("a run at offset %d, expected at %d, in %s of %d bytes", x.Base, next, key, len(body))
		}
		next = x.Last + 1
		if known {
			return w.oracle.holds(log, x.Base, x.Last, body[x.Offset:x.Offset+x.Length], false, nil)
		}
		return sound(x.Base, x.Last, body[x.Offset:x.Offset+x.Length])
	})
	if err == nil && next != c.Last+1 {
		err = fmt.Errorf("it ends at %d", next-1)
	}
	if err != nil {
		return err
	}
	objects, err := r.Objects(background)
	if err != nil {
		return err
	}
	for _, x := range objects {
		key := x.Key(w.oracle.objects)
		if x.Introduced != o.introduced[key] || x.Size != uint64(len(w.bucket.objects[key])) {
			return fmt.Errorf("it owns %+v, introduced at position %d, of %d bytes", x, o.introduced[key], len(w.bucket.objects[key]))
		}
		delete(listed, key)
	}
	if len(listed) > 0 {
		return fmt.Errorf("its runs lie in objects that it does not own: %v", listed)
	}
	if known {
		return o.lists(log, c, r)
	}
	return nil
}

// lists compares a manifest's aborted transactions with those of the log.
func (o *compactions) lists(log int32, c *pb.FoldRuns, r *manifest.Reader) error {
	list, err := r.Aborted(background, c.First, c.Last)
	if err != nil {
		return err
	}
	n := 0
	entries := o.w.oracle.logs[log]
	for i := range entries {
		x := &entries[i]
		if x.attempt != nil || x.txn.fate != aborted || x.base < c.First || x.base > c.Last {
			continue
		}
		n++
		if !slices.ContainsFunc(list, func(a state.AbortedTxn) bool {
			return a.ProducerID == x.txn.by.id && a.First == x.txn.first[log] && a.Last == x.base
		}) {
			return fmt.Errorf("it does not list %v, aborted at offset %d: %v", x.txn, x.base, list)
		}
	}
	if n != len(list) {
		return fmt.Errorf("it lists %d aborted transactions, there are %d: %v", len(list), n, list)
	}
	return nil
}
