package gc

import "time"

// pace says how many keys the next delete request names and how long to rest behind it. Deletes share the way to the store
// with what producers wait for, so they take turns with it: a request is as large as is answered soon, and behind each
// comes a rest as long as it took.
type pace struct{ keys int }

const (
	firstKeys = 250
	mostKeys  = 1000 // that a request may name
	leastKeys = 10
	moreKeys  = 250
	slow      = time.Second // a request that takes longer is too large
	mostRest  = 2 * time.Second
)

func newPace() pace { return pace{keys: firstKeys} }

// done hears how a request of that many keys went (AIMD): up by a step, down by half.
func (p *pace) done(keys int, took time.Duration, failed bool) (rest time.Duration) {
	switch {
	case failed || took > slow:
		p.keys = max(leastKeys, min(p.keys, keys)/2)
	case keys >= p.keys:
		p.keys = min(mostKeys, p.keys+moreKeys)
	}
	return min(took, mostRest)
}
