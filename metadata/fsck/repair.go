package fsck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"wadi/objstore"
)

// forgottenGrace is the age from which on a repair deletes objects of sessions that State does not know.
const forgottenGrace = 24 * time.Hour

// ErrRefused: there is damage, so that what looks useless may be what a repair by hand needs.
var ErrRefused = errors.New("nothing is deleted while there is damage")

// repair deletes what is useless. That nothing names these objects is known of State before the listing, and that is enough:
// State takes nothing of a closed session any more, what it has named once and lost it never names again, and what a
// manifest or a kept root names was named by them then. A session that State did not know is one that it has forgotten, or
// whose entries were lost with a rolled back etcd, which is damage: the newest root tells.
func (c *checker) repair(ctx context.Context) error {
	if len(c.useless) == 0 {
		return nil
	}
	if c.state == nil || c.mu.report.damaged() {
		return fmt.Errorf("%w: %d objects stay", ErrRefused, len(c.useless))
	}
	for list := range slices.Chunk(c.useless, objstore.MaxBatch) {
		keys := make([]string, len(list))
		for i, x := range list {
			keys[i] = x.Subject
		}
		if !c.o.DryRun {
			if err := c.o.Store.Delete(ctx, keys); err != nil {
				return fmt.Errorf("delete orphans: %w", err)
			}
		}
		c.deleted(list)
	}
	return nil
}

// deleted notes objects that are gone, and takes the findings about them out.
func (c *checker) deleted(list []Item) {
	gone := make(map[string]bool, len(list))
	for _, i := range list {
		gone[i.Subject] = true
	}
	r := &c.mu.report
	r.Deleted = append(r.Deleted, list...)
	if !c.o.DryRun {
		r.Findings = slices.DeleteFunc(r.Findings, func(i Item) bool { return gone[i.Subject] })
	}
}
