package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"wadi/agent"
	"wadi/integration/binary"
	"wadi/integration/etcd"
	"wadi/integration/kafka"
	"wadi/integration/minio"
	"wadi/integration/s3server"
	"wadi/internal/config"
	"wadi/internal/listen"
	"wadi/internal/metrics"
	"wadi/metadata/kv/etcdkv"
	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
	"wadi/objstore/steady"
)

func TestMain(m *testing.M) {
	code := m.Run()
	binary.Cleanup()
	os.Exit(code)
}

// target is an agent under load and where to read its metrics.
type target struct {
	address string
	http    string              // "" = none
	process *binary.Process     // nil = this one
	metrics prometheus.Gatherer // of an agent in this process
}

// dev is `wadi dev`: embedded etcd, files, every write synced.
func dev(b *testing.B) target {
	b.Helper()
	t := target{address: local(b), http: local(b)}
	t.process = binary.Start(b, binary.Spec{
		Name: "wadi dev", Path: binary.Path(b), Ready: "ready", Dir: b.TempDir(),
		Args: []string{"dev", "--listen", t.address, "--data-dir", b.TempDir(), "--http", t.http},
	})
	return t
}

// onMinIO is `wadi agent` with an etcd process and MinIO.
func onMinIO(b *testing.B) target {
	b.Helper()
	return newPlace(b).agent(b, "")
}

// place is an etcd process and MinIO, for the agents of one cluster.
type place struct {
	etcd   *etcd.Server
	minio  *s3server.Server
	bucket string
}

func newPlace(b *testing.B) *place {
	b.Helper()
	p := &place{etcd: etcd.Start(b, etcd.Options{QuotaBytes: 8 << 30, Fsync: true}), minio: minio.Start(b)}
	p.bucket = p.minio.NewBucket(b)
	return p
}

// agent starts one, with further lines of configuration.
func (p *place) agent(b *testing.B, more string) target {
	b.Helper()
	t := target{address: local(b), http: local(b)}
	t.process = binary.Start(b, binary.Spec{
		Name: "wadi agent", Path: binary.Path(b), Ready: "ready", Dir: b.TempDir(), Env: p.minio.Env(),
		Args: []string{"agent", "--config", p.config(b, fmt.Sprintf("listeners: [\"PLAINTEXT://%s\"]\nhttp: %s\n%s", t.address, t.http, more))},
	})
	return t
}

// config writes a configuration file.
func (p *place) config(b *testing.B, more string) string {
	b.Helper()
	file := filepath.Join(b.TempDir(), "wadi.yaml")
	text := fmt.Sprintf("cluster: bench\netcd: {endpoints: [%q]}\nstore: %q\n%s", p.etcd.Endpoint(), p.minio.URL(p.bucket), more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return file
}

// discarding stores everything but the content of flush segments, so that a fast writer does not fill the memory that is
// being measured. Nobody reads them.
type discarding struct{ objstore.Store }

func (d discarding) Put(ctx context.Context, key string, body objstore.Body) error {
	if strings.HasSuffix(key, ".seg") {
		return nil
	}
	return d.Store.Put(ctx, key, body)
}

// onS3Profile is an agent in this process on a store in memory that takes as long as S3 does on a day of the profile,
// with an embedded etcd. Its CPU time is not told apart from the clients'.
func onS3Profile(b *testing.B, p fault.Profile, seed uint64, cfg steady.Config) target {
	b.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	ctx, cancel := context.WithCancel(context.Background())
	store, err := etcdkv.Embed(ctx, b.TempDir(), etcdkv.EmbedOptions{Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	loaded, err := config.Load(config.Input{
		OwnEtcd: true,
		Defaults: []config.Given{
			{Key: "cluster", Value: "bench"}, {Key: "etcd.endpoints", Value: ""}, {Key: "store", Value: "s3://profile/bench"},
			{Key: "listeners", Value: "PLAINTEXT://127.0.0.1:9092"},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port := socket.Addr().(*net.TCPAddr).Port
	registry, err := metrics.NewRegistry()
	if err != nil {
		b.Fatal(err)
	}
	set, err := metrics.New(registry)
	if err != nil {
		b.Fatal(err)
	}
	a, err := agent.New(agent.Options{
		Config:    loaded.Config,
		Endpoints: []listen.Endpoint{{Sockets: []net.Listener{socket}, Advertised: config.Listener{Host: "127.0.0.1", Port: uint16(port)}}},
		KV:        store, Store: metrics.Store(fault.New(discarding{mem.New()}, fault.WithLatency(p, seed, nil)), set),
		Log: log, Metrics: set, Steady: cfg,
	})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	select {
	case <-a.Ready():
	case err := <-done:
		b.Fatal(err)
	}
	return target{address: fmt.Sprintf("127.0.0.1:%d", port), metrics: registry}
}

func local(b *testing.B) string { return "127.0.0.1:" + strconv.Itoa(binary.FreePort(b)) }

// apacheKafka is the peer: one KRaft node with its defaults, which do not sync writes to the disk.
func apacheKafka(b *testing.B) target {
	k := kafka.Start(b)
	return target{address: k.Address, process: k.Process}
}

// figures are the agent's metrics by name, labels included as Prometheus prints them.
type figures map[string]float64

func read(b *testing.B, t target) figures {
	b.Helper()
	f := figures{}
	if t.process != nil {
		f["cpu"] = cpuSeconds(b, t.process.Pid())
	}
	if t.metrics != nil {
		gather(b, t.metrics, f)
	}
	if t.http == "" {
		return f
	}
	resp, err := http.Get("http://" + t.http + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(name, "#") {
			f[name] = v
		}
	}
	return f
}

// gather reads the counters and gauges.
func gather(b *testing.B, from prometheus.Gatherer, f figures) {
	families, err := from.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := family.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			f[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
}

// since is what a counter grew by, summed over all its labels that contain part.
func (f figures) since(before figures, name, part string) float64 {
	sum := 0.0
	for k, v := range f {
		if (k == name || strings.HasPrefix(k, name+"{")) && strings.Contains(k, part) {
			sum += v - before[k]
		}
	}
	return sum
}

// cpuSeconds is what a process has used so far, in user and kernel mode, from /proc/PID/stat.
func cpuSeconds(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before may hold spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		b.Fatalf("/proc/%d/stat: %q", pid, text)
	}
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Go runs on
	sum := 0.0
	for _, f := range fields[11:13] {
		ticks, err := strconv.ParseFloat(f, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += ticks / ticksPerSecond
	}
	return sum
}
