// Package binary builds the wadi binary and runs it as a child process of a test, to be paused, killed and started again.
// Every process ends with its test, and a test that fails shows the last lines of its output. Packages etcd, minio and
// versitygw start what it runs against.
package binary

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
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

// FreePort is a TCP port of 127.0.0.1 that nobody listened on a moment ago. Somebody may take it before the caller
// does; the process that then cannot listen fails its test with a clear line.
func FreePort(t testing.TB) int {
	t.Helper()
	return FreePorts(t, 1)
}

// FreePorts is the first of n such ports in a row.
func FreePorts(t testing.TB, n int) int {
	t.Helper()
	for range 100 {
		first, err := listenInARow(n)
		if err == nil {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

func listenInARow(n int) (first int, err error) {
	for i := range n {
		port := 0
		if i > 0 {
			port = first + i
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return 0, err
		}
		defer l.Close()
		if i == 0 {
			first = l.Addr().(*net.TCPAddr).Port
		}
	}
	return first, nil
}
