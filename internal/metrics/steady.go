package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"wadi/objstore/steady"
)

// Steady counts what a steady store does beyond the requests that it is asked for. Deletes count among puts, lists and
// dates among gets: they share a limit.
func (s *Set) Steady() steady.Observer {
	inc := func(c *prometheus.CounterVec) func(steady.Op) {
		return func(op steady.Op) { c.WithLabelValues(string(op)).Inc() }
	}
	return steady.Observer{
		Retried: inc(s.ObjectRetries), Spent: inc(s.ObjectRetriesRefused), Hedged: inc(s.ObjectHedges), HedgeWon: inc(s.ObjectHedgesWon),
		Limit: func(op steady.Op, n int) { s.ObjectLimit.WithLabelValues(string(op)).Set(float64(n)) },
	}
}
