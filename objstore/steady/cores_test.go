package steady

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The estimate is at least the quantile of the last one to two windows, and at most a sixteenth of a doubling above it.
func TestQuantileAgainstSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q quantile
		var all []time.Duration
		median := rapid.Float64Range(1, 1000).Draw(t, "median")
		spread := rapid.SliceOfN(rapid.Float64Range(-3, 3), 1, 50).Draw(t, "spread")
		n := rapid.IntRange(1, 4*window).Draw(t, "n")
		for i := range n {
			d := time.Duration(median * math.Exp(spread[(i*i+i/7)%len(spread)]) * float64(time.Millisecond))
			q.add(d)
			all = append(all, d)
		}
		// What is left: the windows that were filled last.
		kept := n
		if n > window {
			kept = window + (n-1)%window + 1
		}
		if q.count() != kept {
			t.Fatalf("%d samples count, want %d of %d", q.count(), kept, n)
		}
		last := slices.Sorted(slices.Values(all[n-kept:]))
		p := rapid.Float64Range(0, 1).Draw(t, "p")
		want := max(last[max(int(math.Ceil(p*float64(kept))), 1)-1], smallest)
		got := q.at(p)
		most := time.Duration(float64(want)*math.Exp2(1.0/steps)) + 1
		if want < cellEnd(cells-1) && (got+1 < want || got > most) {
			t.Fatalf("p%v is %v, want %v to %v", p, got, want, most)
		}
	})
}

func TestQuantileOfNothing(t *testing.T) {
	var q quantile
	if q.at(0.5) != 0 || q.count() != 0 {
		t.Error(q.at(0.5), q.count())
	}
	q.add(time.Hour)
	if got := q.at(1); got < 2*time.Minute {
		t.Errorf("an hour is estimated as %v", got)
	}
}

func TestSizeClasses(t *testing.T) {
	for bytes, want := range map[int64]int{
		-1: 5, 0: 0, 1: 0, 64 << 10: 0, 64<<10 + 1: 1, 256 << 10: 1, 256<<10 + 1: 2, 1 << 20: 2, 1<<20 + 1: 3, 4 << 20: 3,
		8 << 20: 4, 16 << 20: 4, 16<<20 + 1: 5, math.MaxInt64: 5,
	} {
		if got := sizeClass(bytes); got != want {
			t.Errorf("%d bytes are in class %d, want %d", bytes, got, want)
		}
	}
}

// Over any stretch, what is spent is at most a burst and the share of what was earned in it.
func TestBucketBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most, share = 5, 0.25
		b := newBucket(share, most)
		var earned, spent []int // so far, after each event
		e, s := 0, 0
		for _, earns := range rapid.SliceOfN(rapid.Bool(), 0, 200).Draw(t, "events") {
			if earns {
				b.earn()
				e++
			} else if had := b.tokens; b.spend(0) {
				s++
			} else if had >= 1 {
				t.Fatalf("refused with %v tokens", had)
			}
			earned, spent = append(earned, e), append(spent, s)
		}
		for i := range spent {
			for j := i; j < len(spent); j++ {
				if n := spent[j] - spent[i]; float64(n) > most+share*float64(earned[j]-earned[i]) {
					t.Fatalf("%d spent between %d and %d", n, i, j)
				}
			}
		}
	})
}

// What shall stay stays for those who may spend it.
func TestBucketReserve(t *testing.T) {
	b := newBucket(0.1, 6)
	n := 0
	for b.spend(0.5) {
		n++
	}
	for b.spend(0) {
		n += 100
	}
	if n != 303 {
		t.Errorf("%d spent without the reserve and %d from it, want 3 each", n%100, n/100)
	}
}

func TestTimeouts(t *testing.T) {
	cfg := Config{Timeout: 8 * time.Second, BytesPerSecond: 1e6}.withDefaults()
	for _, c := range []struct {
		n     int
		bytes int64
		want  time.Duration
	}{{1, 0, 2 * time.Second}, {2, 0, 4 * time.Second}, {3, 0, 8 * time.Second}, {9, 0, 8 * time.Second}, {1, 5e6, 7 * time.Second}} {
		if got := cfg.timeout(c.n, c.bytes); got != c.want {
			t.Errorf("attempt %d, %d bytes: %v, want %v", c.n, c.bytes, got, c.want)
		}
	}
}
