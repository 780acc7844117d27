package segment

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
	"wadi/objstore"
)

func verifyBuilt(t *testing.T, sections ...Section) error {
	t.Helper()
	body, _, err := Build(Meta{Kind: Flush}, sections)
	require.NoError(t, err)
	return Verify(context.Background(), stored(body), "k", body.Size(), nil)
}

// A segment whose checksums are all right and that still lies about its batches.
func TestVerifyFindsWrongCountsAndBatches(t *testing.T) {
	b := makeBatch(t, batch.Gzip, 0, 5)
	good := makeSection(1, 0, -1, b, b)
	require.NoError(t, verifyBuilt(t, good))
	for name, change := range map[string]func(*Section){
		"batches":       func(s *Section) { s.Batches-- },
		"records":       func(s *Section) { s.Records++ },
		"max timestamp": func(s *Section) { s.MaxTimestamp++ },
		"half a batch":  func(s *Section) { s.Chunks = [][]byte{b, b[:len(b)-1]} },
		"a short rest":  func(s *Section) { s.Chunks = [][]byte{b, b, b[:20]} },
		"batch CRC": func(s *Section) {
			bad := append(batch.Batch(nil), b...)
			bad[len(bad)-1] ^= 1
			s.Chunks = [][]byte{b, bad}
		},
		"batch across the border": func(s *Section) { s.Chunks = [][]byte{b, b[:len(b)/2+40]} },
	} {
		s := good
		change(&s)
		require.ErrorIs(t, verifyBuilt(t, s, good), ErrCorrupt, name)
	}
}

// Objects larger than a window are read in windows, and a batch across the border of two is whole for visit.
func TestVerifyStreams(t *testing.T) {
	var w batch.Builder
	w.Reset(batch.NoProducer(batch.None))
	require.NoError(t, w.Append(batch.Record{Timestamp: 1, Value: make([]byte, 3<<20)}))
	b, err := w.Build(nil)
	require.NoError(t, err)
	s := makeSection(1, 0, -1, b, b, b, b, b, b, b)
	body, _, err := Build(Meta{Kind: Flush}, []Section{s, s})
	require.NoError(t, err)
	store := stored(body)
	seen := 0
	require.NoError(t, Verify(context.Background(), store, "k", store.size(), func(info SectionInfo, got batch.Batch) error {
		require.Equal(t, 7, info.Batches)
		require.Equal(t, len(b), len(got))
		seen++
		return nil
	}))
	require.Equal(t, 14, seen)
	require.LessOrEqual(t, store.gets, 1+int(store.size()/window)+1)
}

func TestVerifyReturnsOthersErrors(t *testing.T) {
	store := stored(samples(t)["v1-merged.seg"])
	stop := errors.New("stop")
	calls := 0
	err := Verify(context.Background(), store, "k", store.size(), func(SectionInfo, batch.Batch) error { calls++; return stop })
	require.ErrorIs(t, err, stop)
	require.Equal(t, 1, calls)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, Verify(ctx, store, "k", store.size(), nil), context.Canceled)
	err = Verify(context.Background(), &failing{store, fmt.Errorf("x: %w", objstore.ErrNotFound)}, "k", store.size(), nil)
	require.ErrorIs(t, err, objstore.ErrNotFound)
	require.NotErrorIs(t, err, ErrCorrupt)
}

// failing answers every Get with err.
type failing struct {
	objstore.Store
	err error
}

func (f *failing) Get(context.Context, string, int64, int64) ([]byte, error) { return nil, f.err }
