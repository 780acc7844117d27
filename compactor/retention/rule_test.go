package retention

import (
	"math"
	"testing"

	"wadi/internal/kafkaconfig"
)

// What configs ask for: cleanup.policy must delete, -1 is for ever, and without a clock nothing goes by time.
func TestRuleOf(t *testing.T) {
	for name, c := range map[string]struct {
		e     kafkaconfig.Effective
		clock bool
		want  rule
	}{
		"both":             {kafkaconfig.Effective{Delete: true, RetentionMs: 10, RetentionBytes: 7}, true, rule{990, 7}},
		"compact, delete":  {kafkaconfig.Effective{Delete: true, Compact: true, RetentionMs: 10, RetentionBytes: -1}, true, rule{990, -1}},
		"compact alone":    {kafkaconfig.Effective{Compact: true, RetentionMs: 10, RetentionBytes: 7}, true, rule{math.MinInt64, -1}},
		"an empty policy":  {kafkaconfig.Effective{RetentionMs: 10, RetentionBytes: 7}, true, rule{math.MinInt64, -1}},
		"for ever":         {kafkaconfig.Effective{Delete: true, RetentionMs: -1, RetentionBytes: -1}, true, rule{math.MinInt64, -1}},
		"nothing":          {kafkaconfig.Effective{Delete: true, RetentionMs: 0, RetentionBytes: 0}, true, rule{1000, 0}},
		"longer than time": {kafkaconfig.Effective{Delete: true, RetentionMs: math.MaxInt64, RetentionBytes: -1}, true, rule{1000 - math.MaxInt64, -1}},
		"no clock":         {kafkaconfig.Effective{Delete: true, RetentionMs: 10, RetentionBytes: 7}, false, rule{math.MinInt64, 7}},
	} {
		if got := ruleOf(&c.e, 1000, c.clock); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// Kafka compares with "more than": what is exactly retention.ms old stays. A timestamp in the future is not due, and
// neither is what lies behind it. What has no timestamp goes with what follows.
func TestByTime(t *testing.T) {
	const now = 1_000_000
	for name, c := range map[string]struct {
		timestamps []int64 // of batches of one record
		want       int64
	}{
		"older":                         {[]int64{now - 101, now - 101, now - 50}, 2},
		"exactly as old":                {[]int64{now - 101, now - 100, now - 200}, 1},
		"all of it":                     {[]int64{now - 101, now - 102}, 2},
		"a newer one before older ones": {[]int64{now - 10, now - 500, now - 500}, 0},
		"the future":                    {[]int64{now + 3_600_000, now - 500}, 0},
		"none, then an old one":         {[]int64{-1, -1, now - 500, now}, 3},
		"none, then a new one":          {[]int64{-1, now}, 0},
		"an old one, then none":         {[]int64{now - 500, -1}, 1},
		"none at all":                   {[]int64{-1, -1}, 0},
		"time zero":                     {[]int64{0, now}, 1},
	} {
		r := newRig(t, 1)
		r.now = now
		for _, ts := range c.timestamps {
			r.append(1, 0, 1, 10, ts, true)
		}
		r.set(1, func(e *kafkaconfig.Effective) { e.RetentionMs = 100 })
		r.settle()
		if got := r.part(1, 0).LogStart; got != c.want {
			t.Errorf("%s: the log starts at %d, want %d", name, got, c.want)
		}
	}
}

// As in Kafka, what stays is at least retention.bytes: the oldest run goes when the others hold as much.
func TestBySize(t *testing.T) {
	for name, c := range map[string]struct {
		sizes []uint32
		bytes int64
		want  int64
	}{
		"less than the bound":              {[]uint32{10, 10}, 30, 0},
		"as much":                          {[]uint32{10, 20}, 30, 0},
		"not enough behind the first":      {[]uint32{10, 29}, 30, 0},
		"just enough behind it":            {[]uint32{10, 30}, 30, 1},
		"several":                          {[]uint32{10, 10, 10, 15, 15}, 30, 3},
		"a large one keeps those behind":   {[]uint32{100, 10, 10}, 30, 0},
		"one that is larger than all that": {[]uint32{100}, 30, 0},
		"nothing is to stay":               {[]uint32{10, 10}, 0, 2},
	} {
		r := newRig(t, 1)
		for _, n := range c.sizes {
			r.append(1, 0, 1, n, r.now, true)
		}
		r.set(1, func(e *kafkaconfig.Effective) { e.RetentionBytes = c.bytes })
		r.clock = errNoClock // size knows no clock
		r.settle()
		if got := r.part(1, 0).LogStart; got != c.want {
			t.Errorf("%s: the log starts at %d, want %d", name, got, c.want)
		}
	}
}

// Both rules: first by size, then what of the rest is too old.
func TestBySizeThenTime(t *testing.T) {
	r := newRig(t, 1)
	for _, ts := range []int64{r.now, r.now - 500, r.now - 500, r.now} {
		r.append(1, 0, 1, 10, ts, true)
	}
	r.set(1, func(e *kafkaconfig.Effective) { e.RetentionBytes, e.RetentionMs = 30, 100 })
	r.settle()
	r.startsAt(1, 0, 3)
}
