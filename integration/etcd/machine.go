package etcd

import (
	"os"
	"path/filepath"
	"testing"

	"wadi/integration/ports"
)

func freePort(t testing.TB) int {
	t.Helper()
	port, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func binary(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if up := filepath.Dir(dir); up != dir {
			dir = up
			continue
		}
		t.Fatal("no go.mod above the working directory")
	}
	bin := filepath.Join(dir, ".tools", "bin", "etcd")
	if _, err := os.Stat(bin); err != nil {
		const how = "build it at the root of the repository: go build -o .tools/bin/etcd go.etcd.io/etcd/server/v3"
		if os.Getenv("CI") == "true" || os.Getenv("WADI_REQUIRE_CLIENTS") == "1" {
			t.Fatalf("no etcd: %v; %s", err, how)
		}
		t.Skipf("no etcd: %v; %s", err, how)
	}
	return bin
}
