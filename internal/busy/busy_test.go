package busy

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestFormats(t *testing.T) {
	if got := pressure("some avg10=1.55 avg60=4.35 avg300=5.75 total=24200870118\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"); got != 24200870118*time.Microsecond {
		t.Error(got)
	}
	if got := stolen("cpu  10132153 290696 3084719 46828483 16683 0 25195 173 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n"); got != 1730*time.Millisecond {
		t.Error(got)
	}
	for _, text := range []string{"", "some", "some total=x\n", "full total=5\n", "cpu 1 2 3\n", "cpu 1 2 3 4 5 6 7 x 9 10\n"} {
		if p, s := pressure(text), stolen(text); p != 0 || s != 0 {
			t.Errorf("%q: %v, %v", text, p, s)
		}
	}
}

// More threads that compute than there are processors: some of them wait all the time.
func TestWaits(t *testing.T) {
	if _, err := os.ReadFile("/proc/pressure/cpu"); err != nil {
		t.Skip(err)
	}
	began := time.Now()
	waited := Since()
	w := waited()
	// Each of the three resources for as long as it took at most, each processor's steal, and the process's own standstill.
	if most := time.Duration(4+runtime.NumCPU())*time.Since(began) + 10*tick; w > most {
		t.Errorf("%v at once, of %v", w, most)
	}
	threads := 3 * runtime.NumCPU()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
	deadline := time.Now().Add(time.Minute)
	var all sync.WaitGroup
	for range threads {
		all.Go(func() {
			for waited() < 100*time.Millisecond && time.Now().Before(deadline) {
			}
		})
	}
	all.Wait()
	if w = waited(); w < 100*time.Millisecond {
		t.Errorf("%d threads waited for %v", threads, w)
	}
}

// A standstill counts at once, before the next look notices it.
func TestStandstill(t *testing.T) {
	watching.Do(watch)
	before := still()
	due.Add(-int64(time.Minute)) // as if it had stood still since then
	if stood := still() - before; stood < 59*time.Second {
		t.Errorf("%v", stood)
	}
	// What came before a measurement is no part of it.
	began := time.Now()
	waited := Since()
	if w := waited(); w > 30*time.Second && time.Since(began) < time.Second {
		t.Errorf("%v", w)
	}
}
