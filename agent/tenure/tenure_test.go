package tenure

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/internal/layout"
)

type lease struct {
	id          layout.Session
	dead, close bool
}

func (l *lease) Alive() bool                            { return !l.dead }
func (l *lease) Current() (layout.Session, int32, bool) { return l.id, 0, !l.close }

// F2: the first session answers at once, every later one only when what lay in the sockets has been read.
func TestHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lease{id: 1}
		x := New(l)
		require.True(t, x.Holds())
		time.Sleep(time.Hour)
		l.id = 2
		require.False(t, x.Holds())
		time.Sleep(Settle - 1)
		require.False(t, x.Holds())
		time.Sleep(time.Nanosecond)
		require.True(t, x.Holds())
		l.dead = true
		require.False(t, x.Holds(), "the lease may be over")
		l.dead, l.close = false, true
		require.False(t, x.Holds(), "State does not have the session yet")
		l.close = false
		require.True(t, x.Holds(), "it is the same session")
	})
}
