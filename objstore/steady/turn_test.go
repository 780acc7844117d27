package steady

import (
	"context"
	"testing"
)

// endsWithTurn is a context that ends at the moment at which another pass is given back.
type endsWithTurn struct {
	context.Context
	other pass
}

func (c endsWithTurn) Done() <-chan struct{} {
	c.other.done(nil)
	return c.Context.Done()
}

// A turn that comes at the moment at which its caller gives up is taken, or goes to the next one; it is not lost.
func TestTurnAndEndTogether(t *testing.T) {
	g := newGate(Limit{Max: 1, Min: 1, Queue: 10}, func(int) {})
	taken, left := 0, 0
	for i := range uint64(200) {
		other, err := g.enter(t.Context(), 2*i)
		if err != nil {
			t.Fatal(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if p, err := g.enter(endsWithTurn{ended, other}, 2*i+1); err == nil {
			taken++
			p.done(nil)
		} else {
			left++
		}
	}
	if taken == 0 || left == 0 {
		t.Errorf("%d taken, %d left", taken, left)
	}
	if p, ok := g.tryEnter(); !ok {
		t.Error("a turn is lost")
	} else {
		p.done(nil)
	}
}
