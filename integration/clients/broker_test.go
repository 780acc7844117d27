package clients

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	miniogo "github.com/minio/minio-go/v7"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/binary"
	"wadi/integration/etcd"
	"wadi/integration/minio"
)

func TestMain(m *testing.M) {
	code := m.Run()
	binary.Cleanup()
	os.Exit(code)
}

// broker is a Kafka endpoint under test.
type broker struct {
	bootstrap string
	process   *binary.Process // nil for an endpoint that was there before the test
	// segments lists the segment objects in the bucket, with a client other than Wadi's; nil without a bucket.
	segments func() ([]string, error)
}

// patience bounds what a test does as a whole. It ends what hangs.
const patience = 12 * time.Minute

// brokers are the ways to run Wadi that every client must work with.
var brokers = []struct {
	name  string
	start func(t *testing.T) broker
}{
	{"dev", func(t *testing.T) broker { return startDev(t, t.TempDir(), binary.FreePort(t)) }},
	{"dev of 3 agents", func(t *testing.T) broker { return startDev(t, t.TempDir(), binary.FreePorts(t, 3), "--agents", "3") }},
	{"agent", startAgent},
}

// eachBroker runs a test against all brokers, or against the one that WADI_BOOTSTRAP names.
func eachBroker(t *testing.T, test func(t *testing.T, b broker)) {
	if bootstrap := os.Getenv("WADI_BOOTSTRAP"); bootstrap != "" {
		test(t, broker{bootstrap: bootstrap})
		return
	}
	for _, kind := range brokers {
		t.Run(kind.name, func(t *testing.T) { test(t, kind.start(t)) })
	}
}

// oneBroker is for tests of what does not depend on how Wadi runs: three agents, or what WADI_BOOTSTRAP names.
// env holds configuration keys.
func oneBroker(t *testing.T, env ...string) broker {
	t.Helper()
	if bootstrap := os.Getenv("WADI_BOOTSTRAP"); bootstrap != "" {
		return broker{bootstrap: bootstrap}
	}
	return startConfiguredDev(t, env, t.TempDir(), binary.FreePorts(t, 3), "--agents", "3")
}

// context ends with the test, after limit, or when the process under test does: a client may try for minutes to reach
// a broker that is gone.
func (b broker) context(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	if b.process != nil {
		go func() {
			select {
			case <-b.process.Done():
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx
}

// waitFor skips a test of APIs that the broker does not serve yet. Once it does, the test runs.
func (b broker) waitFor(ctx context.Context, t *testing.T, apis ...kmsg.Key) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	answer, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, api := range apis {
		if !slices.ContainsFunc(answer.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool { return k.ApiKey == api.Int16() }) {
			t.Skipf("waits for %s", api.Name())
		}
	}
}

// startDev runs `wadi dev`: embedded etcd, files as object store.
func startDev(t *testing.T, dir string, port int, more ...string) broker {
	t.Helper()
	return startConfiguredDev(t, nil, dir, port, more...)
}

// startConfiguredDev runs it with configuration keys from the environment.
func startConfiguredDev(t *testing.T, env []string, dir string, port int, more ...string) broker {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p := binary.Start(t, binary.Spec{
		Name: "wadi dev", Path: binary.Path(t), Ready: "ready",
		Args: append([]string{"dev", "--listen", address, "--data-dir", dir, "--http", ""}, more...),
		Env:  append([]string{binary.NoCompactor, binary.LongSession}, env...),
		Dir:  t.TempDir(), // nothing may be written outside of the data directory
	})
	return broker{bootstrap: address, process: p}
}

// startAgent runs `wadi agent` with a configuration file, on a MinIO and an etcd process of its own.
func startAgent(t *testing.T) broker {
	t.Helper()
	metadata, store := etcd.Start(t, etcd.Options{}), minio.Start(t)
	bucket := store.NewBucket(t)
	address := fmt.Sprintf("127.0.0.1:%d", binary.FreePort(t))
	config := fmt.Sprintf("cluster: clients\nlisteners: [PLAINTEXT://%s]\nhttp: 127.0.0.1:%d\n"+
		"etcd: {endpoints: [%s]}\nstore: %q\n",
		address, binary.FreePort(t), metadata.Endpoint(), store.URL(bucket+"/streams"))
	file := filepath.Join(t.TempDir(), "wadi.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := binary.Start(t, binary.Spec{
		Name: "wadi agent", Path: binary.Path(t), Ready: "ready",
		Args: []string{"agent", "--config", file}, Env: append(store.Env(), binary.NoCompactor, binary.LongSession), Dir: t.TempDir(),
	})
	return broker{bootstrap: address, process: p, segments: func() ([]string, error) {
		var keys []string
		for object := range store.Client(t).ListObjects(t.Context(), bucket, miniogo.ListObjectsOptions{Recursive: true}) {
			if object.Err != nil {
				return nil, object.Err
			}
			if strings.HasSuffix(object.Key, ".seg") {
				keys = append(keys, object.Key)
			}
		}
		return keys, nil
	}}
}
