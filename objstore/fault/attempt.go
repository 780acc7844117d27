package fault

import (
	"context"
	"fmt"
)

// attempt is one call on its way through the faults.
type attempt struct {
	store   *Store
	call    Call
	effects []Effect
	size    int64
}

func (s *Store) begin(c Call) *attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.calls++
	c.N = s.mu.calls
	a := &attempt{store: s, call: c}
	for _, f := range s.mu.faults {
		if f.matchLocked(c) {
			a.effects = append(a.effects, f.fault.Do)
		}
	}
	return a
}

// around runs the call between what happens before and after it. atLeast is the share of the latency that passes before
// the effect: 1 for a read; a write happens at any time between, so that a caller who gives up learns nothing.
func (a *attempt) around(ctx context.Context, atLeast float64, effect func() (int64, error)) error {
	for _, e := range a.effects {
		if e.before != nil {
			if err := e.before(ctx, a.call); err != nil {
				return a.wrap(err)
			}
		}
	}
	wait := a.store.latency.draw(a.call, atLeast)
	if err := wait.before(ctx); err != nil {
		return a.wrap(err)
	}
	size, err := effect()
	if err == nil {
		a.size = size
		if werr := wait.after(ctx, size); werr != nil {
			return a.wrap(werr)
		}
	}
	for _, e := range a.effects {
		if e.after != nil {
			if ferr := e.after(ctx, a.call); ferr != nil {
				return a.wrap(ferr) // whatever the answer was, it is lost
			}
		}
	}
	return err
}

func (a *attempt) wrap(err error) error {
	return fmt.Errorf("%s %s: %w", a.call.Op, a.call.Key, err)
}
