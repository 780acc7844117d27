// Package s3server starts S3-compatible services as child processes of a test, on loopback, with data in a temporary
// directory. Packages minio and versitygw say how each of them is started.
package s3server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"wadi/integration/binary"
	"wadi/integration/child"
	"wadi/integration/ports"
)

// Server is a running service. It ends with the test that started it.
type Server struct {
	Endpoint  string // http://127.0.0.1:port
	AccessKey string
	SecretKey string
	Process   *os.Process // to be stopped or killed by tests of failures
}

// Spec is how to start one kind of service.
type Spec struct {
	Binary string // in .tools/bin of the repository
	// Command returns arguments and extra environment for a service that listens on address and keeps its data in dir.
	Command func(address, dir, access, secret string) (args, env []string)
}

const (
	accessKey    = "wadi-test-access"
	secretKey    = "wadi-test-secret-key"
	startTimeout = 2 * time.Minute
	startTries   = 3 // another process may take the free port that was found
)

// Start runs the service until t ends. Without its binary the test is skipped, or fails where clients are required:
// WADI_REQUIRE_CLIENTS=1 or CI=true.
func Start(t testing.TB, spec Spec) *Server {
	t.Helper()
	program := binary.Tool(t, spec.Binary)
	var err error
	for range startTries {
		var s *Server
		if s, err = start(t, program, spec); err == nil {
			return s
		}
	}
	t.Fatalf("start %s: %v", spec.Binary, err)
	return nil
}

func start(t testing.TB, program string, spec Spec) (*Server, error) {
	port, err := ports.Free(1)
	if err != nil {
		return nil, err
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	args, env := spec.Command(address, t.TempDir(), accessKey, secretKey)
	var output tail
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := child.Start(cmd); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait(); close(exited) }()
	stop := func() {
		_ = cmd.Process.Kill() // it may have ended by itself, or by the test
		<-exited
	}
	s := &Server{Endpoint: "http://" + address, AccessKey: accessKey, SecretKey: secretKey, Process: cmd.Process}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	if err := s.waitReady(ctx, exited); err != nil {
		stop()
		return nil, fmt.Errorf("%w; its output:\n%s", err, output.String())
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("end of %s's output:\n%s", spec.Binary, output.String())
		}
	})
	return s, nil
}

func (s *Server) waitReady(ctx context.Context, exited <-chan error) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	for {
		_, err := client.ListBuckets(ctx)
		if err == nil {
			return nil
		}
		select {
		case ended := <-exited:
			return fmt.Errorf("the process ended: %w", errors.Join(ended, err))
		case <-ctx.Done():
			return fmt.Errorf("not ready in %v: %w", startTimeout, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Server) client() (*minio.Client, error) {
	return minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{
		Creds:        credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""),
		Region:       "us-east-1",
		BucketLookup: minio.BucketLookupPath,
		MaxRetries:   1,
	})
}

// Client is an S3 client other than the product's, to look at objects behind its back.
func (s *Server) Client(t testing.TB) *minio.Client {
	t.Helper()
	c, err := s.client()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var buckets atomic.Int64

// NewBucket makes an empty bucket and returns its name.
func (s *Server) NewBucket(t testing.TB) string {
	t.Helper()
	name := "wadi-" + strconv.FormatInt(buckets.Add(1), 10)
	if err := s.Client(t).MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

// URL is the store URL of a bucket, with or without "/prefix" behind it.
func (s *Server) URL(bucket string) string {
	return "s3://" + bucket + "?" + url.Values{"endpoint": {s.Endpoint}, "region": {"us-east-1"}}.Encode()
}

// Env is what a process needs in its environment to use the service.
func (s *Server) Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey}
}

// tail keeps the end of a process's output.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 16 << 10

func (o *tail) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, p...)
	if len(o.buf) > 2*tailBytes {
		o.buf = append([]byte(nil), o.buf[len(o.buf)-tailBytes:]...)
	}
	return len(p), nil
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf)
}
