package steady

import "time"

// Op names a lane to an Observer.
type Op string

// The lanes. Puts, deletes and the calls of uploads are writes; gets, lists and dates are reads.
const (
	Write Op = "put"
	Read  Op = "get"
)

// Config of a Store. Zero values are the defaults; the zero Config repeats, and neither hedges nor limits.
type Config struct {
	// Attempts is the most requests that one call makes, hedges and refusals aside, 8 by default.
	Attempts int
	// Pause is before the second attempt, 50 ms by default; it doubles up to MaxPause, 3 s by default. Each pause is
	// drawn evenly between a half and the whole of that. Without Limit, a store that asks to slow down gets four times
	// as long.
	Pause    time.Duration
	MaxPause time.Duration
	// Timeout is one attempt's, 10 s by default, and gets longer with the bytes to be moved, at BytesPerSecond: 1 MB/s by
	// default. The first attempt gets a quarter of it and the second a half: an answer that late is mostly one that never
	// comes, on a connection that died without a word.
	Timeout        time.Duration
	BytesPerSecond int64
	// RetryShare is how many repetitions a success allows, 0.2 by default, RetryBurst how many may come in a row without
	// one, 20 by default.
	RetryShare float64
	RetryBurst int

	Hedge Hedge
	Limit Limit
	// Observe is told what happens.
	Observe Observer
}

// Hedge says when a second request is sent.
type Hedge struct {
	// Quantile of the latencies after which it is, 0.97 for S3. 0: never.
	Quantile float64
	// Share is the most hedges per first attempt, 0.035 by default, Burst how many may come in a row beyond it, 6 by
	// default.
	Share float64
	Burst int
	// Initial is the delay until Samples, 64 by default, were seen in a size class or a larger one: 400 ms by default,
	// which few requests to S3 take. Floor is the least delay, 20 ms by default.
	Initial time.Duration
	Samples int
	Floor   time.Duration
}

// Limit bounds the requests of a lane that are under way.
type Limit struct {
	// Max is where the limit begins and the most that it grows to. 0: no limit, and no hold either.
	Max int
	// Min is the least that it is cut to, 4 by default.
	Min int
	// Queue is how many may wait, 4096 by default; more are refused at once with objstore.ErrThrottled.
	Queue int
	// Hold is the first pause after the store asked to slow down, 50 ms by default; it grows by a quarter with every refused
	// probe up to MaxHold, 2 s by default. Each is drawn evenly between a half and the whole of that.
	Hold    time.Duration
	MaxHold time.Duration
	// Refusals is how often one call may be refused before it fails, 40 by default: with the pauses in between a minute.
	// They count neither among the Attempts nor against the retry budget.
	Refusals int
	// Calm is how long after the last such answer a store counts as well again, 1 s by default.
	Calm time.Duration
}

// Observer hears what a Store does. Any function may be nil; they are called from many goroutines and must be quick.
type Observer struct {
	Retried  func(Op)      // a request is repeated
	Spent    func(Op)      // a request would be, but the budget is empty
	Hedged   func(Op)      // a second request is sent
	HedgeWon func(Op)      // it brought the answer
	Limit    func(Op, int) // how many requests may be under way from now on
}

// ForS3 is the configuration for S3 and what speaks its protocol.
func ForS3() Config {
	return Config{Hedge: Hedge{Quantile: 0.97}, Limit: Limit{Max: 128}}
}

func (c Config) withDefaults() Config {
	def(&c.Attempts, 8)
	def(&c.Pause, 50*time.Millisecond)
	def(&c.MaxPause, 3*time.Second)
	def(&c.Timeout, 10*time.Second)
	def(&c.BytesPerSecond, 1e6)
	def(&c.RetryShare, 0.2)
	def(&c.RetryBurst, 20)
	def(&c.Hedge.Share, 0.035)
	def(&c.Hedge.Burst, 6)
	def(&c.Hedge.Initial, 400*time.Millisecond)
	def(&c.Hedge.Samples, 64)
	def(&c.Hedge.Floor, 20*time.Millisecond)
	def(&c.Limit.Min, 4)
	c.Limit.Min = min(c.Limit.Min, max(c.Limit.Max, 1))
	def(&c.Limit.Queue, 4096)
	def(&c.Limit.Hold, 50*time.Millisecond)
	def(&c.Limit.MaxHold, 2*time.Second)
	def(&c.Limit.Refusals, 40)
	def(&c.Limit.Calm, time.Second)
	for _, f := range []*func(Op){&c.Observe.Retried, &c.Observe.Spent, &c.Observe.Hedged, &c.Observe.HedgeWon} {
		if *f == nil {
			*f = func(Op) {}
		}
	}
	if c.Observe.Limit == nil {
		c.Observe.Limit = func(Op, int) {}
	}
	return c
}

func def[T int | int64 | float64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
