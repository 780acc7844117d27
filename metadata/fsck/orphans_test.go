package fsck_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/metadata/fsck"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore"
	"wadi/objstore/mem"
)

// aged is a store whose clock is ahead, and some of whose objects are old.
type aged struct {
	*mem.Store
	ahead time.Duration
	old   map[string]time.Duration
}

func (a aged) Date(ctx context.Context) (time.Time, error) {
	d, err := a.Store.Date(ctx)
	return d.Add(a.ahead), err
}

func (a aged) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, error) {
	list, err := a.Store.List(ctx, prefix, after, limit)
	for i := range list {
		list[i].Modified = list[i].Modified.Add(-a.old[list[i].Key])
	}
	return list, err
}

func (f fixture) checkOn(t *testing.T, store objstore.Store, grace time.Duration) *fsck.Report {
	t.Helper()
	r, err := fsck.Run(t.Context(), fsck.Options{KV: f.kv, Store: store, Cluster: cluster, Grace: grace})
	require.NoError(t, err)
	return r
}

func (f fixture) put(t *testing.T, key string) string {
	t.Helper()
	require.NoError(t, f.store.Put(t.Context(), key, objstore.NewBody([]byte("x"))))
	return key
}

// An orphan that nobody has deleted within the grace is a finding, whatever wrote it.
func TestOverdueOrphans(t *testing.T) {
	f := work(t)
	closed, err := f.keys.ParseFlush(f.keyOf(t, "/flush/", 0))
	require.NoError(t, err)
	f.merge(t, 5, 0, 10, nil).land(t)
	live, _ := f.last(t)
	dead := map[string]fsck.Kind{
		f.put(t, f.keys.Flush(closed.Session, 1<<40)):    fsck.OrphanClosed,
		f.put(t, f.keys.Merged(closed.Session, 1<<40)):   fsck.OrphanClosed,
		f.put(t, f.keys.Manifest(closed.Session, 1<<40)): fsck.OrphanClosed,
		f.put(t, f.keys.Merged(live, 3)):                 fsck.OrphanLive,
		f.put(t, f.keys.Manifest(live, 4)):               fsck.OrphanLive,
	}
	waiting := []string{f.put(t, f.keys.Merged(live, 6)), f.put(t, f.keys.Manifest(live, 7)), f.put(t, f.keys.Flush(live, 1))}
	check := func(r *fsck.Report, overdue bool) {
		t.Helper()
		found := map[string]fsck.Kind{}
		list, other := r.Leftovers, r.Findings
		if overdue {
			list, other = r.Findings, r.Leftovers
		}
		for _, i := range list {
			if _, ok := dead[i.Subject]; ok {
				found[i.Subject] = i.Kind
			}
		}
		require.Equal(t, dead, found, "%v", r)
		for _, i := range other {
			require.NotContains(t, dead, i.Subject)
		}
		for _, key := range waiting {
			require.Contains(t, kindsOf(r.Leftovers, key), fsck.Uncommitted)
		}
	}
	check(f.checkOn(t, f.store, 0), false)
	hour := f.checkOn(t, aged{Store: f.store, ahead: time.Hour}, 0)
	check(hour, true)
	require.Len(t, hour.Findings, len(dead), "%v", hour.Findings)
	check(f.checkOn(t, aged{Store: f.store, ahead: time.Hour}, 2*time.Hour), false)
	// Old objects whose sessions were closed, or went past their numbers, a moment ago, had no time to be deleted.
	old := map[string]time.Duration{}
	for key := range dead {
		old[key] = time.Hour
	}
	check(f.checkOn(t, aged{Store: f.store, old: old}, 0), false)
}

func kindsOf(items []fsck.Item, subject string) (kinds []fsck.Kind) {
	for _, i := range items {
		if i.Subject == subject {
			kinds = append(kinds, i.Kind)
		}
	}
	return kinds
}

// Objects of sessions that State has forgotten, or never had, are named; those that State or a manifest names are not
// orphans, whatever became of their session.
func TestForgottenSessions(t *testing.T) {
	f := folded(t)
	f.fold(t, 9, 3).land(t)
	session, _ := f.last(t)
	f.live(t, 2, 3)
	f.propose(t, &pb.Command{Kind: &pb.Command_CloseSession{CloseSession: &pb.CloseSession{Session: int64(session)}}})
	s := f.state(t)
	before := f.check(t)
	require.True(t, before.Clean(), "%v", before.Findings)
	_, ok := s.Session(session)
	require.True(t, ok)
	f.propose(t, &pb.Command{Kind: &pb.Command_ForgetSessions{ForgetSessions: &pb.ForgetSessions{
		Began: s.Position(), Sessions: []int64{int64(session)},
	}}})
	_, ok = f.state(t).Session(session)
	require.False(t, ok)
	after := f.check(t)
	require.True(t, after.Clean(), "%v", after.Findings)
	key := f.put(t, f.keys.Merged(session, 100))
	named(t, f.check(t), fsck.UnknownSession, key)
}

// Uploads that nobody finishes are told of after a day.
func TestUnfinishedUploads(t *testing.T) {
	f := work(t)
	session, _ := f.last(t)
	key := f.keys.Merged(session, 1)
	_, err := f.store.Begin(t.Context(), key)
	require.NoError(t, err)
	require.Empty(t, kindsOf(f.check(t).Leftovers, key))
	r := f.checkOn(t, aged{Store: f.store, ahead: 25 * time.Hour}, 0)
	require.Equal(t, []fsck.Kind{fsck.UnfinishedUpload}, kindsOf(r.Leftovers, key))
	require.True(t, r.Clean(), "%v", r.Findings)
}
