package bench

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"wadi/integration/binary"
)

var tenMinutes = flag.Bool("ten-minutes", false, "run BenchmarkTenMinutes, which takes that long")

// BenchmarkTenMinutes is 100 small produces a second on `wadi dev` for ten minutes of real time. It reports how large
// etcd's database file became, and how the appends near a checkpoint compare with the others: those within a second
// after a new root object appeared.
func BenchmarkTenMinutes(b *testing.B) {
	if !*tenMinutes {
		b.Skip("go tool task soak:quiet")
	}
	for b.Loop() {
		dir := b.TempDir()
		t := target{address: local(b), http: local(b)}
		t.process = binary.Start(b, binary.Spec{
			Name: "wadi dev", Path: binary.Path(b), Ready: "ready", Dir: b.TempDir(),
			Args: []string{"dev", "--listen", t.address, "--data-dir", dir, "--http", t.http},
		})
		soak(b, t, dir, 10*time.Minute)
	}
}

func soak(b *testing.B, t target, dir string, length time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), length+time.Minute)
	defer cancel()
	createTopic(b, t, "soak", 10)
	c := client(b, t, kgo.DefaultProduceTopic("soak"), kgo.ProducerLinger(0))
	type sample struct {
		at   time.Time
		took time.Duration
	}
	var samples []sample
	var marks []time.Time
	var largest, roots int64
	before := read(b, t)
	for next, began := time.Now(), time.Now(); time.Since(began) < length; {
		at := time.Now()
		if err := c.ProduceSync(ctx, &kgo.Record{Value: make([]byte, 200)}).FirstErr(); err != nil {
			b.Fatal(err)
		}
		samples = append(samples, sample{at, time.Since(at)})
		if len(samples)%100 == 0 {
			if n := newestRoot(b, dir); n > roots {
				roots, marks = n, append(marks, at)
			}
			largest = max(largest, databaseBytes(b, dir))
		}
		next = next.Add(10 * time.Millisecond)
		time.Sleep(time.Until(next))
	}
	after := read(b, t)
	var near, far []time.Duration
	for _, s := range samples {
		if slices.ContainsFunc(marks, func(m time.Time) bool { return m.Sub(s.at).Abs() < 2*time.Second }) {
			near = append(near, s.took)
		} else {
			far = append(far, s.took)
		}
	}
	b.ReportMetric(float64(largest)/(1<<20), "etcd-file-MiB")
	b.ReportMetric(float64(len(marks)), "checkpoints")
	b.ReportMetric(after.since(before, "wadi_object_requests_total", "")/length.Minutes(), "object-requests/min")
	b.ReportMetric(after.since(before, "wadi_state_bytes", "runs")/float64(len(samples)), "run-bytes/produce")
	percentiles(b, "away-from-checkpoints", far)
	if len(near) > 0 {
		percentiles(b, "near-checkpoints", near)
	}
}

// databaseBytes is the size of the embedded etcd's database file.
func databaseBytes(b *testing.B, dir string) (size int64) {
	b.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "etcd", "*", "member", "snap", "db"))
	if err != nil || len(found) != 1 {
		b.Fatalf("etcd's database under %s: %v %v", dir, found, err)
	}
	info, err := os.Stat(found[0])
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// newestRoot is the modification time of the newest root object, in nanoseconds; 0 = there is none.
func newestRoot(b *testing.B, dir string) (newest int64) {
	b.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "objects", "*", "*", "checkpoint", "root", "*"))
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range found {
		if info, err := os.Stat(f); err == nil { // a root may go meanwhile
			newest = max(newest, info.ModTime().UnixNano())
		}
	}
	return newest
}
