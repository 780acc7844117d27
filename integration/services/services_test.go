package services

import (
	"context"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestEtcdServes(t *testing.T) {
	etcd := StartEtcd(t)
	cl, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint}, DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := cl.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	got, err := cl.Get(ctx, "k")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "v" {
		t.Fatalf("got %v, %v", got, err)
	}
	if !strings.HasPrefix(mustVersion(t, cl, etcd.Endpoint), "3.7.") {
		t.Error("the etcd under test is not the one that go.mod requires")
	}
}

func mustVersion(t *testing.T, cl *clientv3.Client, endpoint string) string {
	t.Helper()
	status, err := cl.Status(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return status.Version
}

func TestMinIOServes(t *testing.T) {
	m := StartMinIO(t)
	m.CreateBucket(t, "bucket")
	keys, err := m.Keys(t.Context(), "bucket")
	if err != nil || len(keys) != 0 {
		t.Fatalf("a new bucket holds %q, %v", keys, err)
	}
}

func TestStartReportsWhatTheProcessSaid(t *testing.T) {
	_, err := start(Spec{Name: "sh", Path: "/bin/sh", Args: []string{"-c", "echo no luck; exit 3"}, Ready: "ready"})
	if err == nil || !strings.Contains(err.Error(), "no luck") || !strings.Contains(err.Error(), "exit status 3") {
		t.Fatalf("got %v", err)
	}
}

func TestStopReportsTheExitCode(t *testing.T) {
	p, err := start(Spec{Name: "sh", Path: "/bin/sh", Args: []string{"-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"}, Ready: "ready"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "7") {
		t.Fatalf("got %v", err)
	}
}
