package fsck_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/metadata/fsck"
	"wadi/metadata/state"
	"wadi/objstore"
)

// moving is a store that does something at the first read of a segment's bytes, after all listing is done.
type moving struct {
	aged
	once *sync.Once
	do   func()
}

func (m moving) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	if strings.HasSuffix(key, ".seg") {
		m.once.Do(m.do)
	}
	return m.aged.Get(ctx, key, off, length)
}

// What is merged and deleted while the check reads is no loss; what is deleted and still named is.
func TestMovingCluster(t *testing.T) {
	for name, merged := range map[string]bool{"merged": true, "only deleted": false} {
		t.Run(name, func(t *testing.T) {
			f := work(t)
			m := f.merge(t, 1, 0, 10, nil)
			var gone []string
			for _, r := range m.old {
				if !r.Inline() {
					o, _ := m.s.Object(r.Place)
					gone = append(gone, o.Key(f.keys))
				}
			}
			alone := f.aloneIn(m)
			require.NotEmpty(t, alone)
			store := moving{aged{Store: f.store}, &sync.Once{}, func() {
				if merged {
					m.land(t)
				}
				require.NoError(t, f.store.Delete(t.Context(), alone))
			}}
			r := f.checkOn(t, store, 0)
			if merged {
				require.True(t, r.Clean(), "%v", r.Findings)
				return
			}
			require.Subset(t, gone, alone)
			named(t, r, fsck.LostRecords, "t-0")
			require.Len(t, kinds(r.Findings), 1, "%v", r.Findings)
		})
	}
}

// aloneIn are the objects that nothing but the merge's runs lie in.
func (f fixture) aloneIn(m *merging) (keys []string) {
	refs := map[uint64]uint64{}
	for _, r := range m.old {
		if !r.Inline() {
			refs[r.Place]++
		}
	}
	m.s.EachObject(func(number uint64, o state.Object) {
		if n := refs[number]; n > 0 && n == o.Refs {
			keys = append(keys, o.Key(f.keys))
		}
	})
	return keys
}

var _ objstore.Store = moving{}
