package file_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wadi/objstore"
	"wadi/objstore/conformance"
	"wadi/objstore/file"
)

func TestConformancePrefixed(t *testing.T) {
	conformance.Run(t, func(t testing.TB) objstore.Store {
		s, err := objstore.WithPrefix(open(t, t.TempDir()), "some/prefix")
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func body(s string) objstore.Body { return objstore.NewBody([]byte(s)) }

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// Temporary files of a writer that was killed go when the next one opens; those of a live writer stay.
func TestLeftoversOfTheDead(t *testing.T) {
	root := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestChildWriter$")
	child.Env = append(os.Environ(), "WADI_TEST_WRITER="+root)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, 5)
	if _, err := out.Read(ready); err != nil {
		t.Fatal(err)
	}
	writers := filepath.Join(root, "@writers")
	before := entries(t, writers)
	if len(before) != 2 {
		t.Fatalf("the child's: %q", before)
	}
	temp := filepath.Join(writers, before[0], "77")
	if err := os.WriteFile(temp, []byte("half an obj"), 0o600); err != nil {
		t.Fatal(err)
	}

	first := open(t, root)
	if _, err := os.Stat(temp); err != nil {
		t.Fatalf("the temporary file of a live writer is gone: %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // "signal: killed"
	open(t, root)
	if after := entries(t, writers); len(after) != 4 || strings.Contains(strings.Join(after, " "), before[0]) {
		t.Fatalf("left: %q", after)
	}
	// The writer that was there all along is none the worse.
	if err := first.Put(t.Context(), "a/b", body("x")); err != nil {
		t.Fatal(err)
	}
}

// TestChildWriter is a process that opens a store and waits to be killed.
func TestChildWriter(t *testing.T) {
	root := os.Getenv("WADI_TEST_WRITER")
	if root == "" {
		t.Skip("only as a child of TestLeftoversOfTheDead")
	}
	if _, err := file.Open(root); err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	time.Sleep(time.Minute)
}

func TestNothingIsLeftBehind(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	if err := s.Put(t.Context(), "a/b", body("x")); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "a/b", body("y")); !errors.Is(err, objstore.ErrExists) {
		t.Fatal(err)
	}
	for _, name := range entries(t, filepath.Join(root, "@writers")) {
		if strings.HasSuffix(name, ".lock") {
			continue
		}
		if left := entries(t, filepath.Join(root, "@writers", name)); len(left) != 0 {
			t.Errorf("temporary files: %q", left)
		}
	}
	if err := s.Delete(t.Context(), []string{"a/b"}); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, root); len(got) != 2 {
		t.Errorf("after the delete: %q", got)
	}
}

// Stores in one directory see each other's objects, and removals by one never lose a Put of another.
func TestSharedDirectory(t *testing.T) {
	root := t.TempDir()
	var wg sync.WaitGroup
	for w := range 4 {
		s := open(t, root)
		other := open(t, root)
		wg.Go(func() {
			for i := range 40 {
				key := fmt.Sprintf("x/y/%d/%d", i%3, w)
				if err := s.Put(t.Context(), key, body(key)); err != nil {
					t.Error(err)
				}
				if got, err := other.Get(t.Context(), key, 0, -1); err != nil || string(got) != key {
					t.Errorf("%q, %v", got, err)
				}
				if err := other.Delete(t.Context(), []string{key}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := entries(t, root); len(got) != 2 {
		t.Errorf("left: %q", got)
	}
}

func TestObjectBeneathObject(t *testing.T) {
	s := open(t, t.TempDir())
	for _, k := range []string{"a/b", "c/d/e"} {
		if err := s.Put(t.Context(), k, body("x")); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []string{"a/b/c", "a/b/c/d", "c/d", "c"} {
		if err := s.Put(t.Context(), k, body("x")); !errors.Is(err, objstore.ErrKey) {
			t.Errorf("%s: %v", k, err)
		}
	}
}

func TestForeignFiles(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "lost+found"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "a", body("x")); err != nil {
		t.Fatal(err)
	}
	infos, err := s.List(t.Context(), "", "", 10)
	if err != nil || len(infos) != 1 || infos[0].Key != "a" {
		t.Fatalf("%v, %v", infos, err)
	}
}

func TestReadOnly(t *testing.T) {
	root := t.TempDir()
	w := open(t, root)
	if err := w.Put(t.Context(), "a/b", body("x")); err != nil {
		t.Fatal(err)
	}
	r, err := file.OpenReadOnly(root)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Get(t.Context(), "a/b", 0, -1); err != nil || string(got) != "x" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := r.Put(t.Context(), "c", body("x")); !errors.Is(err, objstore.ErrDenied) {
		t.Errorf("put: %v", err)
	}
	if err := r.Delete(t.Context(), []string{"a/b"}); !errors.Is(err, objstore.ErrDenied) {
		t.Errorf("delete: %v", err)
	}
	if n := len(entries(t, filepath.Join(root, "@writers"))); n != 2 {
		t.Errorf("%d entries of writers", n)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// A file that something else has cut is noticed, and a repeated Put does not take it for its own.
func TestCutFile(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	if err := s.Put(t.Context(), "a", body("0123456789")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(root, "a"), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a", 0, 10); !errors.Is(err, objstore.ErrRange) {
		t.Errorf("get: %v", err)
	}
	if err := s.Put(t.Context(), "a", body("0123456789")); !errors.Is(err, objstore.ErrExists) {
		t.Errorf("put: %v", err)
	}
}
