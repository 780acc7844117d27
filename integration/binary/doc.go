// Package binary builds the wadi binary and runs it as a child process of a test, to be paused, killed and started again.
// Every process ends with its test, and a test that fails shows the last lines of its output. Packages etcd, minio and
// versitygw start what it runs against.
package binary

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"wadi/integration/ports"
)

// Root is the module's directory.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Need ends the test when err is not nil: by skipping it, or, where the programs are required (CI=true or
// WADI_REQUIRE_CLIENTS=1), by failing it.
func Need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("WADI_REQUIRE_CLIENTS") == "1" || os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// FreePort is a TCP port of 127.0.0.1 that is this test's alone; see package ports.
func FreePort(t testing.TB) int {
	t.Helper()
	return FreePorts(t, 1)
}

// FreePorts is the first of n such ports in a row.
func FreePorts(t testing.TB, n int) int {
	t.Helper()
	first, err := ports.Free(n)
	if err != nil {
		t.Fatal(err)
	}
	return first
}
