package fsck_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/internal/layout"
	"wadi/metadata/fsck"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore"
)

func (f fixture) repair(t *testing.T, store objstore.Store, dry bool) (*fsck.Report, error) {
	t.Helper()
	return fsck.Run(t.Context(), fsck.Options{KV: f.kv, Store: store, Cluster: cluster, Repair: true, DryRun: dry})
}

func subjects(items []fsck.Item) (list []string) {
	for _, i := range items {
		list = append(list, i.Subject)
	}
	return list
}

// A repair deletes orphans of closed sessions past the grace and of forgotten ones past a day, and nothing else.
func TestRepair(t *testing.T) {
	f := work(t)
	closed, err := f.keys.ParseFlush(f.keyOf(t, "/flush/", 0))
	require.NoError(t, err)
	f.merge(t, 5, 0, 10, nil).land(t)
	live, _ := f.last(t)
	forgotten := layout.Session(12345)
	orphans := []string{f.put(t, f.keys.Flush(closed.Session, 1<<40)), f.put(t, f.keys.Merged(closed.Session, 1<<40))}
	unknown := []string{
		f.put(t, f.keys.Flush(forgotten, 1)), f.put(t, f.keys.Manifest(forgotten, 2)),
		f.put(t, f.keys.Checkpoint(layout.Archive, 1, forgotten, 0)),
	}
	stay := []string{
		f.put(t, f.keys.Merged(live, 3)), f.put(t, f.keys.Merged(live, 6)), f.put(t, f.keys.Flush(live, 1)),
		f.put(t, f.keys.Checkpoint(layout.Base, 1<<40, closed.Session, 0)), f.put(t, f.keys.Root()+"notes.txt"),
	}
	before := f.keysOf(t, "")

	young, err := f.repair(t, f.store, false)
	require.NoError(t, err)
	require.Empty(t, young.Deleted)
	require.Equal(t, before, f.keysOf(t, ""))

	hour := aged{Store: f.store, ahead: time.Hour}
	dry, err := f.repair(t, hour, true)
	require.NoError(t, err)
	require.ElementsMatch(t, orphans, subjects(dry.Deleted))
	require.Subset(t, subjects(dry.Findings), orphans)
	require.Equal(t, before, f.keysOf(t, ""))

	done, err := f.repair(t, hour, false)
	require.NoError(t, err)
	require.ElementsMatch(t, orphans, subjects(done.Deleted))
	require.NotSubset(t, subjects(done.Findings), orphans)
	require.Len(t, f.keysOf(t, ""), len(before)-len(orphans))

	day, err := f.repair(t, aged{Store: f.store, ahead: 25 * time.Hour}, false)
	require.NoError(t, err)
	require.ElementsMatch(t, unknown, subjects(day.Deleted))
	left := f.keysOf(t, "")
	require.Len(t, left, len(before)-len(orphans)-len(unknown))
	require.Subset(t, left, stay)
	again, err := f.repair(t, aged{Store: f.store, ahead: 25 * time.Hour}, false)
	require.NoError(t, err)
	require.Empty(t, again.Deleted)
}

// Where there is damage a repair touches nothing.
func TestRepairRefuses(t *testing.T) {
	f := work(t)
	closed, err := f.keys.ParseFlush(f.keyOf(t, "/flush/", 0))
	require.NoError(t, err)
	f.put(t, f.keys.Flush(closed.Session, 1<<40))
	require.NoError(t, f.store.Delete(t.Context(), []string{f.keyOf(t, "/flush/", 3)}))
	before := f.keysOf(t, "")
	r, err := f.repair(t, aged{Store: f.store, ahead: time.Hour}, false)
	require.ErrorIs(t, err, fsck.ErrRefused)
	require.NotEmpty(t, r.Findings)
	require.Empty(t, r.Deleted)
	require.Equal(t, before, f.keysOf(t, ""))

	f = work(t)
	f.put(t, f.keys.Flush(closed.Session, 1<<40))
	broken := errors.New("denied")
	r, err = f.repair(t, denied{aged{Store: f.store, ahead: time.Hour}, broken}, false)
	require.ErrorIs(t, err, broken)
	require.Empty(t, r.Deleted)
	require.NotEmpty(t, r.Findings)
}

type denied struct {
	aged
	err error
}

func (d denied) Delete(context.Context, []string) error { return d.err }

// A session that opened while the bucket was listed is none that was forgotten, however old the store says its objects are.
func TestSessionOpensDuringTheListing(t *testing.T) {
	f := work(t)
	session, _ := f.last(t)
	key := f.put(t, f.keys.Merged(session+1, 1))
	r, err := f.repair(t, opening{aged{Store: f.store, ahead: 48 * time.Hour}, func() {
		if last, _ := f.last(t); last == session {
			f.open(t)
			f.propose(t, &pb.Command{Kind: &pb.Command_Mark{Mark: &pb.Mark{}}})
		}
	}}, false)
	require.NoError(t, err)
	require.Empty(t, r.Deleted)
	require.Equal(t, []fsck.Kind{fsck.Uncommitted}, kindsOf(r.Leftovers, key))
	require.Contains(t, f.keysOf(t, ""), key)
}

type opening struct {
	aged
	open func()
}

func (o opening) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, error) {
	o.open()
	return o.aged.List(ctx, prefix, after, limit)
}
