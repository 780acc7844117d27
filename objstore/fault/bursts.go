package fault

import (
	"math/rand/v2"
	"time"
)

// Bursts are stretches of time in which the service refuses every call with objstore.ErrThrottled. Time is cut into
// periods of Every from the store's making on; in each a burst of Length happens with probability Chance, beginning at
// a moment at which it fits. Which periods and which moments depends on the seed alone. The zero value has none.
//
// They go by the clock of package time, synctest's or the real one, whatever the Sleeper is.
type Bursts struct {
	Every  time.Duration
	Length time.Duration // at most Every
	Chance float64
	Answer time.Duration // how long a refusal takes
}

// at reports whether a burst is under way.
func (b Bursts) at(seed uint64, since time.Duration) bool {
	if b.Every <= 0 || b.Length <= 0 {
		return false
	}
	period := since / b.Every
	r := rand.New(rand.NewPCG(seed, uint64(period)))
	if r.Float64() >= b.Chance {
		return false
	}
	begins := time.Duration(r.Float64() * float64(b.Every-b.Length))
	into := since - period*b.Every
	return into >= begins && into < begins+b.Length
}
