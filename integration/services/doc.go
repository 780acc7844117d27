// Package services starts what the integration tests run against: the wadi binary, an etcd process, a MinIO. Every
// process ends with the test that started it, and a test that fails shows the last lines of their output.
//
// The outside programs come from .tools/bin, never from the machine: a test says nothing when it met another version.
// Where they are missing, a test skips itself, unless WADI_REQUIRE_CLIENTS or CI is set: then it fails.
package services

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

// Tool is the path of a program that the install task brings.
func Tool(name string) (string, error) {
	path := filepath.Join(Root(), ".tools", "bin", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is missing (go tool task install): %w", name, err)
	}
	return path, nil
}

// Need ends the test when err is not nil: by skipping it, or, where the programs are required, by failing it.
func Need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("WADI_REQUIRE_CLIENTS") != "" || os.Getenv("CI") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// FreePort is a TCP port of 127.0.0.1 that nobody listened on a moment ago. Somebody may take it before the caller
// does; the process that then cannot listen fails its test with a clear line.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
