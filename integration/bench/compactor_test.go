package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"wadi/integration/binary"
)

const (
	loadPartitions = 200
	loadProducers  = 4
	loadBytes      = 20_000_000 // a second, of all producers
	recordBytes    = 1000
	loadDisk       = 36 << 30 // bytes that must be free
)

var loadFor = flag.Duration("load", 0, "run BenchmarkTwoHundredPartitions, whose load goes on for so long: 10m for the figures in docs/benchmarks.md")

// BenchmarkTwoHundredPartitions is 4 producers that write 20 MB/s to 200 partitions for ten minutes, on MinIO, with one
// agent that serves and one compactor beside it, garbage of a minute going away. It reports what that writes, holds and leaves,
// and what it costs to read one partition with a cold cache: of a minute's load that nobody merged, then of the ten minutes.
func BenchmarkTwoHundredPartitions(b *testing.B) {
	if *loadFor == 0 {
		b.Skip("go tool task soak:compactor")
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(b.TempDir(), &disk); err != nil || disk.Bavail*uint64(disk.Bsize) < loadDisk {
		b.Fatalf("needs %d GiB on the disk of temporary files: %d blocks of %d are free (%v)", loadDisk>>30, disk.Bavail, disk.Bsize, err)
	}
	for b.Loop() {
		p := newPlace(b)
		serving := "roles: [broker]\nrecover: {roots: 3, hourly: 0s}\n"
		t := p.agent(b, serving)
		createTopic(b, t, "apart", loadPartitions)
		load(b, t, "apart", time.Minute, nil)
		t = p.coldAgent(b, t, serving)
		cold(b, t, "apart", "unmerged")

		compactor := target{http: local(b)}
		compactor.process = binary.Start(b, binary.Spec{
			Name: "wadi compactor", Path: binary.Path(b), Ready: "ready", Dir: b.TempDir(), Env: p.minio.Env(),
			Args: []string{"compactor", "--config", p.config(b, "http: "+compactor.http+"\ngc: {grace: 60s}\nrecover: {roots: 3, hourly: 0s}\n")},
		})
		createTopic(b, t, "load", loadPartitions)
		before, compacted := read(b, t), read(b, compactor)
		var third, last storage
		most := 0
		produced := load(b, t, "load", *loadFor, func(minute int) {
			last = p.storage(b)
			most = max(most, last.Runs.Max)
			if minute == 3 {
				third = last
			}
			b.Logf("minute %d: %+v", minute, last)
		})
		after, done := read(b, t), read(b, compactor)
		gb := float64(produced) / 1e9
		put := after.since(before, "wadi_object_bytes_total", `op="put"`) + done.since(compacted, "wadi_object_bytes_total", `op="put"`)
		b.ReportMetric(float64(produced)/1e6/loadFor.Seconds(), "in-MB/s")
		b.ReportMetric(put/float64(produced), "PUT-bytes/byte")
		b.ReportMetric(float64(most), "most-runs/partition")
		b.ReportMetric(float64(last.Etcd.Size)/float64(third.Etcd.Size), "etcd-end/minute3")
		b.ReportMetric(float64(last.Etcd.Size)/(1<<20), "etcd-file-MiB")
		b.ReportMetric(float64(last.State)/gb, "State-bytes/GB")
		b.ReportMetric(float64(last.objects())/gb, "objects/GB")
		b.ReportMetric((done["cpu"]-compacted["cpu"])/gb, "compactor-cpu-s/GB")
		b.ReportMetric((after["cpu"]-before["cpu"])/gb, "agent-cpu-s/GB")
		p.settled(b)
		cold(b, p.coldAgent(b, t, serving), "load", "merged")
	}
}

// coldAgent starts an agent in the place of one, which nobody is led to any more.
func (p *place) coldAgent(b *testing.B, t target, more string) target {
	b.Helper()
	if err := t.process.Stop(); err != nil {
		b.Fatal(err)
	}
	return p.agent(b, more)
}

// settled waits until the compactor has merged what the load left, which takes it some turns.
func (p *place) settled(b *testing.B) {
	b.Helper()
	for began := time.Now(); p.storage(b).Debt.Objects > 3; time.Sleep(2 * time.Second) {
		if time.Since(began) > 3*time.Minute {
			b.Fatal("flushes are not merged")
		}
	}
}

// load writes for a while, and calls each after every minute. It returns the bytes of the records' values.
func load(b *testing.B, t target, topic string, length time.Duration, each func(minute int)) int64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), length+time.Minute)
	defer cancel()
	var wait sync.WaitGroup
	var mu sync.Mutex
	total := int64(0)
	began := time.Now()
	for range loadProducers {
		c := client(b, t, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
			kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(100*time.Millisecond), kgo.MaxBufferedRecords(50_000))
		value := make([]byte, recordBytes)
		if _, err := rand.Read(value); err != nil {
			b.Fatal(err)
		}
		wait.Go(func() {
			sent := 0
			for ; time.Since(began) < length; time.Sleep(5 * time.Millisecond) {
				for due := int(time.Since(began).Seconds() * loadBytes / loadProducers / recordBytes); sent < due; sent++ {
					c.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
						if err != nil {
							b.Error(err)
						}
					})
				}
			}
			if err := c.Flush(ctx); err != nil {
				b.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += int64(sent) * recordBytes
		})
	}
	for minute := 1; each != nil && time.Duration(minute)*time.Minute <= length; minute++ {
		time.Sleep(time.Until(began.Add(time.Duration(minute) * time.Minute)))
		each(minute)
	}
	wait.Wait()
	return total
}

// cold reads partition 0 of a topic from an agent that has nothing in memory.
func cold(b *testing.B, t target, topic, name string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	from := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}
	c := client(b, t, kgo.ConsumePartitions(from))
	before, began, bytes := read(b, t), time.Now(), 0
	for done := false; !done; {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			b.Fatal(err)
		}
		f.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				bytes += len(r.Value)
			}
			if n := len(p.Records); n > 0 {
				done = p.Records[n-1].Offset+1 == p.HighWatermark
			}
		})
	}
	b.ReportMetric(float64(bytes)/1e6/time.Since(began).Seconds(), name+"-MB/s")
	b.ReportMetric(read(b, t).since(before, "wadi_object_requests_total", `op="get"`)/(float64(bytes)/1e9), name+"-GET/GB")
}

// storage is some of what `wadi storage --output json` says.
type storage struct {
	Runs struct {
		Max    int `json:"max_per_partition"`
		Median int `json:"median_per_partition"`
	} `json:"runs"`
	State int64 `json:"state_total_bytes"`
	Etcd  struct {
		Size  int64 `json:"db_bytes"`
		InUse int64 `json:"in_use_bytes"`
	} `json:"etcd"`
	Amplification float64 `json:"write_amplification"`
	Debt          struct {
		Objects int64 `json:"objects"`
	} `json:"merge_debt"`
	Objects []struct {
		Kind string `json:"kind"`
		Live struct {
			Objects int64 `json:"objects"`
			Bytes   int64 `json:"bytes"`
		} `json:"live"`
	} `json:"objects"`
}

// objects counts those that hold records.
func (s *storage) objects() (n int64) {
	for _, o := range s.Objects {
		if o.Kind == "flush" || o.Kind == "merge" {
			n += o.Live.Objects
		}
	}
	return n
}

func (p *place) storage(b *testing.B) (s storage) {
	b.Helper()
	cmd := exec.Command(binary.Path(b), "storage", "--output", "json", "--config", p.config(b, ""))
	cmd.Env = append(cmd.Environ(), p.minio.Env()...)
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		b.Fatalf("wadi storage: %v: %s", err, out)
	}
	return s
}
