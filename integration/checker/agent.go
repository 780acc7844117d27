package checker

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	minioclient "github.com/minio/minio-go/v7"

	"wadi/integration/binary"
	"wadi/integration/checker/halt"
	"wadi/integration/etcd"
	"wadi/integration/minio"
	"wadi/integration/s3server"
)

// ttl is the agents' session.ttl.
const ttl = 2 * time.Second

// wadi is three agents on one etcd and one MinIO, with a compactor each that looks every second and deletes garbage after
// some seconds. It is used from the test's goroutine.
type wadi struct {
	etcd   *etcd.Server
	store  *s3server.Server
	bucket string
	agents []*agent
}

// agent is one `wadi agent` process.
type agent struct {
	t       testing.TB
	name    string
	address string
	http    string
	path    string
	file    string // of the configuration
	order   string // the file that package halt looks for
	env     []string
	run     *binary.Process
}

// startWadi starts everything and waits until the agents serve.
func startWadi(t testing.TB, path string) *wadi {
	t.Helper()
	w := &wadi{etcd: etcd.Start(t, etcd.Options{})}
	w.store = minio.Start(t)
	w.bucket = w.store.NewBucket(t)
	url := w.store.URL(w.bucket + "/streams")
	for i := range 3 {
		dir := t.TempDir()
		a := &agent{
			t: t, name: string(rune('A' + i)), path: path, file: filepath.Join(dir, "wadi.yaml"), order: filepath.Join(dir, "order"),
			address: fmt.Sprintf("127.0.0.1:%d", binary.FreePort(t)), http: fmt.Sprintf("127.0.0.1:%d", binary.FreePort(t)),
		}
		a.env = append(w.store.Env(), halt.Variable+"="+a.order)
		text := fmt.Sprintf("cluster: checked\nlisteners: [PLAINTEXT://%s]\nhttp: %s\netcd: {endpoints: [%s]}\nstore: %q\nsession.ttl: %s\n"+
			"inline.max.bytes: 2KiB\ncompactor.interval: 1s\ngc.grace: 5s\nrecover.hourly: 0s\nkafka: {auto.create.topics.enable: false}\nkafka.group.initial.rebalance.delay.ms: 0\n",
			a.address, a.http, w.etcd.Endpoint(), url, ttl)
		if err := os.WriteFile(a.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.agents = append(w.agents, a)
	}
	for _, a := range w.agents {
		a.start("ready ")
	}
	return w
}

// watchBucket looks at the bucket until the context ends, and reports whether it ever held what a merge wrote, and lacked
// a segment that it had held. It calls both when it has seen the two.
func (w *wadi) watchBucket(ctx context.Context, t testing.TB, both func()) (merged, deleted bool) {
	c, seen := w.store.Client(t), map[string]bool{}
	for pause(ctx, 2*time.Second) {
		now := map[string]bool{}
		for o := range c.ListObjects(ctx, w.bucket, minioclient.ListObjectsOptions{Recursive: true}) {
			if o.Err != nil {
				now = nil // the context has ended, or it was a bad moment
				break
			}
			if strings.HasSuffix(o.Key, ".seg") {
				now[o.Key] = true
				merged = merged || strings.Contains(o.Key, "/merge/")
			}
		}
		for key := range seen {
			deleted = deleted || now != nil && !now[key]
		}
		maps.Copy(seen, now)
		if merged && deleted {
			both()
		}
	}
	return merged, deleted
}

func (w *wadi) addresses() []string {
	var list []string
	for _, a := range w.agents {
		list = append(list, a.address)
	}
	return list
}

// start runs the process and waits for a line of its output; "" does not wait.
func (a *agent) start(ready string) {
	a.t.Helper()
	a.run = binary.Start(a.t, binary.Spec{
		Name: "agent " + a.name, Path: a.path, Args: []string{"agent", "--config", a.file}, Env: a.env, Ready: ready,
	})
}

// ready waits until it serves, as its operations endpoint says; false when that takes too long, or nobody cares any more.
func (a *agent) ready(cares func() bool) bool {
	client := http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	for began := time.Now(); time.Since(began) < patience && cares(); time.Sleep(50 * time.Millisecond) {
		resp, err := client.Get("http://" + a.http + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return true
		}
	}
	return false
}

// alive reports whether the process runs.
func (a *agent) alive() bool {
	select {
	case <-a.run.Done():
		return false
	default:
		return true
	}
}

// kill ends the process at once and reports whether it is gone.
func (a *agent) kill() bool {
	a.run.Kill()
	return !a.alive()
}

// frozen reports whether the process is stopped by a signal.
func (a *agent) frozen() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.run.Pid()))
	if err != nil {
		return false
	}
	_, after, ok := strings.Cut(string(text), ") ")
	return ok && strings.HasPrefix(after, "T")
}

// freeze stops the process where it is; who is gone already needs none.
func (a *agent) freeze() {
	if err := a.run.Freeze(); err != nil && a.alive() {
		a.t.Errorf("freeze agent %s: %v", a.name, err)
	}
}

// signal sends a signal; who is gone already needs none.
func (a *agent) signal(s syscall.Signal) {
	if err := a.run.Signal(s); err != nil && a.alive() {
		a.t.Errorf("%v to agent %s: %v", s, a.name, err)
	}
}

// orderHalt gives the process an order and waits until it is taken. It takes the order back where it is not.
func (a *agent) orderHalt(way, point string, within time.Duration) bool {
	taken := a.order + halt.Taken
	_ = os.Remove(taken) // of an order before
	if err := os.WriteFile(a.order+".new", []byte(way+" "+point), 0o600); err != nil {
		a.t.Error(err)
		return false
	}
	if way == halt.Kill {
		// It will be gone without being asked by the test.
		go a.run.Wait(within + time.Minute)
	}
	if err := os.Rename(a.order+".new", a.order); err != nil {
		a.t.Error(err)
		return false
	}
	for began := time.Now(); time.Since(began) < within; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(taken); err == nil {
			return true
		}
	}
	if os.Remove(a.order) != nil { // taken just now
		return true
	}
	return false
}
