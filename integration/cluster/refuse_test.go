package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"wadi/integration/etcd"
	"wadi/integration/history/plain"
	"wadi/internal/layout"
	"wadi/metadata/kv"
)

// largeInline lets a test fill 16 MiB of journal, after which a checkpoint is due, within a second or two.
const largeInline = "inline: {max.bytes: 128KiB, budget: 64MiB}\n"

// checkpoint writes through the agent until etcd holds a newer checkpoint's pointer.
func checkpoint(t *testing.T, c *Cluster, a *Agent, topic Topic) {
	t.Helper()
	ctx, store, key := within(t, 3*patience), etcd.Patient(c.Etcd.Client()), layout.NewEtcd("cluster").Checkpoint()
	pointer := func() int64 {
		r, err := store.Range(ctx, kv.RangeRequest{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.KVs) == 0 {
			return 0
		}
		return r.KVs[0].ModRevision
	}
	before, raw, filler := pointer(), NewRaw(t, a), strings.Repeat(".", 100<<10)
	for n := 0; pointer() == before; n++ {
		if n < 200 {
			// etcd may have been away a moment ago.
			if _, err := raw.Produce(ctx, topic, 0, oneBatch(t, -1, -1, -1, fmt.Sprint(n, filler)), 5*time.Second); err != nil && !kerr.IsRetriable(err) {
				t.Fatal(err)
			}
			continue
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("no checkpoint was written")
		}
	}
}

// refuses starts the agent and wants it to end with one sentence that has all of these words.
func refuses(t *testing.T, a *Agent, words ...string) {
	t.Helper()
	a.Launch()
	saysWhy(t, a, words...)
}

func saysWhy(t *testing.T, a *Agent, words ...string) {
	t.Helper()
	last := a.Refusal(patience)
	for _, w := range words {
		if !strings.Contains(last, w) {
			t.Errorf("agent %s does not say %q: %s", a.Name, w, last)
		}
	}
	if strings.Contains(a.Output(), "panic") || strings.Contains(a.Output(), "goroutine ") {
		t.Errorf("agent %s fell over:\n%s", a.Name, a.Output())
	}
	t.Logf("agent %s: %s", a.Name, last)
}

// TestEtcdWiped: a bucket that holds a cluster is never taken for an empty one.
func TestEtcdWiped(t *testing.T) {
	t.Parallel()
	c := Prepare(t, Options{Agents: 3, Settings: largeInline})
	running, stopped, late := c.Agents[0], c.Agents[1], c.Agents[2]
	running.Start()
	stopped.Start()
	topic := newTopic(t, c, "t", 1)
	checkpoint(t, c, running, topic)
	stopped.Stop()

	c.Etcd.Kill() // an end in order waits for the watches
	c.Etcd.Wipe()
	c.Etcd.Restart()
	saysWhy(t, running, "etcd", "wadi recover")
	refuses(t, stopped, "etcd", "bucket", "wadi recover")
	refuses(t, late, "etcd", "bucket", "wadi recover")
	r, err := etcd.Patient(c.Etcd.Client()).Range(t.Context(), kv.RangeRequest{Key: "/", End: kv.PrefixEnd("/")})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.KVs {
		// A session may be registered by an agent that does not know yet; what decides anything may not be there.
		if !strings.Contains(x.Key, "/sessions/") {
			t.Errorf("the empty etcd got %s", x.Key)
		}
	}
}

// TestEtcdRolledBack: F13. Who has seen more than etcd shows stops, and so does who starts and finds that the bucket has.
func TestEtcdRolledBack(t *testing.T) {
	t.Parallel()
	c := Prepare(t, Options{Agents: 2, Settings: largeInline})
	running, late := c.Agents[0], c.Agents[1]
	running.Start()
	topic := newTopic(t, c, "t", 1)
	checkpoint(t, c, running, topic)
	c.Etcd.Kill()
	backup := c.Etcd.Backup()
	c.Etcd.Restart()
	checkpoint(t, c, running, topic)

	c.Etcd.Kill()
	c.Etcd.Rollback(backup)
	c.Etcd.Restart()
	saysWhy(t, running, "etcd", "rolled back", "wadi recover")
	refuses(t, late, "etcd", "rolled back", "wadi recover")
}

// TestWrongCombinations: Regression R7. Nothing is ever made up for what is missing.
func TestWrongCombinations(t *testing.T) {
	t.Parallel()
	c := Prepare(t, Options{Agents: 2, Settings: largeInline})
	a, probe := c.Agents[0], c.Agents[1]
	with := func(metadata, store string) {
		probe.Configure(map[string]string{"etcd": metadata, "store": store, "ttl": "2s"})
	}
	bucket := func(name string) string { return c.Store.URL(name + "/streams") }
	own := func() { with(c.Etcd.Endpoint(), bucket(c.Bucket)) }
	a.Start()
	topic := newTopic(t, c, "t", 1)
	newWriter(t, NewRaw(t, a), topic, plain.New()).store(within(t, patience), "v")

	empty := c.Store.NewBucket(t)
	with(c.Etcd.Endpoint(), bucket(empty))
	refuses(t, probe, "bucket", "cluster.json")

	other := etcd.Start(t, etcd.Options{})
	with(other.Endpoint(), bucket(c.Bucket))
	refuses(t, probe, "etcd", "bucket", "wadi recover")

	second := c.Store.NewBucket(t)
	with(other.Endpoint(), bucket(second))
	probe.Start() // another cluster of its own
	probe.Stop()
	with(other.Endpoint(), bucket(c.Bucket))
	refuses(t, probe, "etcd holds", "the bucket")
	with(c.Etcd.Endpoint(), bucket(second))
	refuses(t, probe, "etcd holds", "the bucket")

	with(c.Etcd.Endpoint(), bucket("there-is-none"))
	notReady(t, probe)
	own()
	probe.Start()
	if fp, err := NewRaw(t, probe).Fetch(t.Context(), topic, 0, 0, patience); err != nil || len(fp.Records) != 1 {
		t.Errorf("after all that: %v, %v, %d records", err, fp.Err, len(fp.Records))
	}
}

// notReady wants a started agent to end with an error or to say for a while, in words, why it does not serve.
func notReady(t *testing.T, a *Agent) {
	t.Helper()
	a.Launch()
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if ready, _ := a.Ready(); ready || strings.Contains(a.Output(), "ready ") {
			t.Fatalf("agent %s serves:\n%s", a.Name, a.Output())
		}
	}
	err := a.run.Wait(0)
	_, text := a.Ready()
	t.Logf("agent %s (%v) says %q and\n%s", a.Name, err, text, a.Output())
	a.run.Kill()
}

// TestStartsBeforeItsServices: L4. An agent waits for etcd and the store as long as it takes, and does not serve.
func TestStartsBeforeItsServices(t *testing.T) {
	t.Parallel()
	c := Prepare(t, Options{Agents: 1, Links: true})
	a := c.Agents[0]
	a.ToEtcd.Cut()
	a.ToStore.Down()
	a.Launch()
	for _, link := range []*Link{a.ToStore, a.ToEtcd} {
		time.Sleep(1500 * time.Millisecond)
		if ready, text := a.Ready(); ready || text == "" {
			t.Errorf("ready is %v: %q", ready, text)
		}
		link.Heal()
	}
	began := time.Now()
	for {
		if ready, _ := a.Ready(); ready {
			break
		}
		if time.Since(began) > patience {
			_, text := a.Ready()
			t.Fatalf("not ready %v after its services: %s", time.Since(began), text)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("ready %v after its services", time.Since(began).Round(time.Millisecond))
	if _, err := NewRaw(t, a).Make(within(t, patience), "t", 1); err != nil {
		t.Error(errors.Join(errors.New("after a late start"), err))
	}
}
