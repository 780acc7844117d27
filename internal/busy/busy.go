// Package busy tells for how long the machine kept work waiting. Where a test bounds how long the product may take, the time
// in which processes could not run is none of the product's: on a quiet machine the bound is what it says, and a busy one
// proves less instead of failing.
package busy

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// Since begins to measure. What it returns is the time since then in which some process of the machine waited for a
// processor, a disk or memory (/proc/pressure), or the host kept a processor to itself (steal in /proc/stat), as far as the
// system tells, and the time for which this process stood still itself, which it sees without being told. It is not for
// bubbles of testing/synctest: it watches real time.
func Since() (waited func() time.Duration) {
	watching.Do(watch)
	before, stood, began := total(), still(), time.Now()
	return func() time.Duration {
		// A standstill may have begun before.
		own := min(still()-stood, time.Since(began))
		return max(0, total()-before) + max(0, own)
	}
}

func total() (sum time.Duration) {
	for _, file := range []string{"/proc/pressure/cpu", "/proc/pressure/io", "/proc/pressure/memory"} {
		if text, err := os.ReadFile(file); err == nil {
			sum += pressure(string(text))
		}
	}
	if text, err := os.ReadFile("/proc/stat"); err == nil {
		sum += stolen(string(text))
	}
	return sum
}

// pressure is the total of the line "some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS".
func pressure(text string) time.Duration {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "some "); ok {
			_, total, _ := strings.Cut(strings.TrimSpace(rest), "total=")
			us, err := strconv.ParseInt(total, 10, 64)
			if err != nil {
				return 0
			}
			return time.Duration(us) * time.Microsecond
		}
	}
	return 0
}

// tick is the unit of /proc/stat, USER_HZ, on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// stolen is the eighth number of the line "cpu USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ STEAL ...", of all processors.
func stolen(text string) time.Duration {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 8 && f[0] == "cpu" {
			ticks, err := strconv.ParseInt(f[8], 10, 64)
			if err != nil {
				return 0
			}
			return time.Duration(ticks) * tick
		}
	}
	return 0
}
