package checkpoint

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		var used []int
		read := func(_ context.Context, i int) (int, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			time.Sleep(time.Duration(1+i%3) * 10 * time.Millisecond) // they end in another order
			return i, nil
		}
		began := time.Now()
		require.NoError(t, ahead(t.Context(), 9, 3, read, func(i int) error { used = append(used, i); return nil }))
		require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}, used)
		require.Equal(t, int64(3), most.Load())
		require.Less(t, time.Since(began), 100*time.Millisecond, "one after the other it takes 180 ms")
		require.NoError(t, ahead(t.Context(), 0, 3, read, nil))
		used = nil
		most.Store(0)
		require.NoError(t, ahead(t.Context(), 3, 1, read, func(i int) error { used = append(used, i); return nil }))
		require.Equal(t, []int{0, 1, 2}, used)
		require.Equal(t, int64(1), most.Load())
	})
}

func TestAheadEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var under atomic.Int64
		read := func(ctx context.Context, i int) (int, error) {
			under.Add(1)
			defer under.Add(-1)
			if i == 1 {
				return 0, broken
			}
			if i > 1 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return i, nil
		}
		require.ErrorIs(t, ahead(t.Context(), 5, 4, read, func(int) error { return nil }), broken)
		require.Zero(t, under.Load(), "reads that are under way have returned")
		refused := errors.New("refused")
		require.ErrorIs(t, ahead(t.Context(), 5, 4, read, func(int) error { return refused }), refused)
		require.Zero(t, under.Load())
	})
}
