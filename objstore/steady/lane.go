package steady

import (
	"math/bits"
	"sync"
	"time"
)

// lane is what writes, or reads, have in common.
type lane struct {
	cfg  *Config
	op   Op
	gate *gate
	mu   struct {
		sync.Mutex
		retries   bucket
		hedges    bucket
		latencies [sizeClasses]quantile
	}
}

func newLane(cfg *Config, op Op) *lane {
	l := &lane{cfg: cfg, op: op}
	l.gate = newGate(cfg.Limit, func(n int) { cfg.Observe.Limit(op, n) })
	l.mu.retries = newBucket(cfg.RetryShare, cfg.RetryBurst)
	l.mu.hedges = newBucket(cfg.Hedge.Share, cfg.Hedge.Burst)
	return l
}

func (l *lane) earn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.retries.earn()
}

func (l *lane) spend() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.retries.spend(0)
}

// sizeClasses tell requests apart that move up to 64 KiB, 256 KiB, 1 MiB, 4 MiB, 16 MiB, and more or an unknown number of
// bytes: their latencies differ.
const sizeClasses = 6

func sizeClass(bytes int64) int {
	if bytes < 0 {
		return sizeClasses - 1
	}
	return min((bits.Len64(uint64(max(bytes-1, 0))>>16)+1)/2, sizeClasses-1)
}

// stuck times the median is late whatever share of the requests is: where more of them hang than the quantile leaves out,
// the quantile is how long they hang.
const stuck = 3

// delay counts a first attempt that is about to be made and is how long to wait before its hedge.
func (l *lane) delay(bytes int64) time.Duration {
	h := &l.cfg.Hedge
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.hedges.earn()
	// A class that is new may be judged by one of larger requests, which are not faster.
	for i := sizeClass(bytes); i < sizeClasses; i++ {
		if q := &l.mu.latencies[i]; q.count() >= h.Samples {
			return max(min(q.at(h.Quantile), stuck*q.at(0.5)), h.Floor)
		}
	}
	return h.Initial
}

// took counts a first attempt's latency.
func (l *lane) took(bytes int64, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.latencies[sizeClass(bytes)].add(d)
}

// reserve is the part of the hedges' budget that is kept for requests that are slower than slow.
const reserve = 0.5

// hedge takes what a second request needs: a token, and a pass. One that has only just become slow leaves the reserve to
// those that stay so: most end a moment later, and one that lasts may be waited for by everything behind it.
func (l *lane) hedge(lasting bool) (pass, bool) {
	stays := reserve
	if lasting {
		stays = 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.mu.hedges.spend(stays) {
		return pass{}, false
	}
	p, ok := l.gate.tryEnter()
	if !ok {
		l.mu.hedges.refund()
	}
	return p, ok
}
