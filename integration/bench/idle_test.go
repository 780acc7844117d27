package bench

import (
	"context"
	"testing"
	"time"
)

// BenchmarkIdle counts what an agent does in a minute in which nobody does anything, after some writes and the checkpoint
// that they ask for (DESIGN section 7: fewer than 3 object requests a minute).
func BenchmarkIdle(b *testing.B) {
	for b.Loop() {
		t := dev(b)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		createTopic(b, t, "idle", 3)
		write(b, ctx, t, "idle", 1000, 200)
		cancel()
		time.Sleep(40 * time.Second)
		before := read(b, t)
		time.Sleep(time.Minute)
		after := read(b, t)
		b.ReportMetric(after.since(before, "wadi_object_requests_total", ""), "object-requests/min")
		b.ReportMetric(after.since(before, "wadi_journal_appends_total", ""), "appends/min")
		b.ReportMetric(after["cpu"]-before["cpu"], "cpu-s/min")
		b.ReportMetric(after["go_goroutines"], "goroutines")
	}
}
