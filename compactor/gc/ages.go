package gc

// ages tells up to which position of the journal this process has known State for a time, so that it can tell for how
// long it has seen something there without remembering each thing.
type ages struct {
	grace   int64 // ms
	samples []sample
	aged    int64 // position known for the grace or longer
}

type sample struct{ position, at int64 }

// samplesPerGrace is how finely time is told apart: what is due is seen to be so a sixteenth of the grace late at most.
const samplesPerGrace = 16

// see notes that State is at a position now, in Unix ms. A clock that goes back makes things younger, never older.
func (a *ages) see(position, now int64) {
	kept := a.samples[:0]
	for _, s := range a.samples {
		s.at = min(s.at, now)
		switch n := len(kept); {
		case now-s.at >= a.grace:
			a.aged = max(a.aged, s.position)
		case n > 0 && kept[n-1].at == s.at:
			kept[n-1] = s // positions rise
		default:
			kept = append(kept, s)
		}
	}
	a.samples = kept
	switch n := len(a.samples); {
	case a.grace <= 0:
		a.aged = max(a.aged, position)
	case n == 0 || now-a.samples[n-1].at >= a.grace/samplesPerGrace:
		a.samples = append(a.samples, sample{position, now})
	}
}
