package binary

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var build struct {
	once sync.Once
	path string
	err  error
}

// Path is the path of the binary, built once per test process. The toolchain's cache makes a build without changes
// cheap; the file lies in a folder of its own that Cleanup removes.
func Path(t testing.TB) string {
	t.Helper()
	build.once.Do(func() {
		dir, err := os.MkdirTemp("", "wadi-binary-")
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(dir, "wadi")
		cmd := exec.Command("go", "build", "-buildvcs=false", "-o", build.path, "./cmd/wadi")
		cmd.Dir = Root()
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("build wadi: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// Cleanup removes the binary. Call it at the end of TestMain.
func Cleanup() {
	if build.path != "" {
		os.RemoveAll(filepath.Dir(build.path))
	}
}
