package file_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wadi/objstore"
	"wadi/objstore/file"
)

// temporary are the files and directories among the writers' own.
func temporary(t *testing.T, root string) (left []string) {
	t.Helper()
	for _, name := range entries(t, filepath.Join(root, "@writers")) {
		if !strings.HasSuffix(name, ".lock") {
			left = append(left, entries(t, filepath.Join(root, "@writers", name))...)
		}
	}
	return left
}

// An upload outlives the process that began it: it is listed, never among the objects, and any store in the directory may
// go on with it, complete it or abandon it.
func TestUploadOfTheDead(t *testing.T) {
	root := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestChildUploader$")
	child.Env = append(os.Environ(), "WADI_TEST_UPLOADER="+root)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // "signal: killed"

	s := open(t, root)
	if infos, err := s.List(t.Context(), "", "", 10); err != nil || len(infos) != 0 {
		t.Fatalf("%v, %v", infos, err)
	}
	infos, err := s.Uploads(t.Context(), "", "", 10)
	if err != nil || len(infos) != 2 || infos[0].Key != "dead/a" || infos[1].Key != "dead/b" {
		t.Fatalf("%+v, %v", infos, err)
	}
	if age := time.Since(infos[0].Started); age < 0 || age > time.Minute {
		t.Errorf("started %v ago", age)
	}
	half := objstore.Part{Number: 1, Size: 4, CRC32C: body("half").CRC32C}
	if err := s.Complete(t.Context(), infos[0].Upload, []objstore.Part{half}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "dead/a", 0, -1); err != nil || string(got) != "half" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := s.Abandon(t.Context(), infos[1].Upload); err != nil {
		t.Fatal(err)
	}
	if left := entries(t, filepath.Join(root, "@uploads")); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	if left := temporary(t, root); len(left) != 0 {
		t.Errorf("temporary: %q", left)
	}
}

// TestChildUploader is a process that begins uploads and waits to be killed.
func TestChildUploader(t *testing.T) {
	root := os.Getenv("WADI_TEST_UPLOADER")
	if root == "" {
		t.Skip("only as a child of TestUploadOfTheDead")
	}
	s, err := file.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"dead/b", "dead/a"} {
		up, err := s.Begin(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.PutPart(t.Context(), up, 1, body("half")); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println("ready")
	time.Sleep(time.Minute)
}

// Whatever becomes of an upload, no temporary file stays.
func TestUploadsLeaveNothing(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	begin := func(key string) (objstore.Upload, []objstore.Part) {
		t.Helper()
		up, err := s.Begin(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.PutPart(t.Context(), up, 1, body("x"))
		if err != nil {
			t.Fatal(err)
		}
		return up, []objstore.Part{p}
	}
	done, parts := begin("a")
	if err := s.Complete(t.Context(), done, parts); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutPart(t.Context(), done, 1, body("x")); !errors.Is(err, objstore.ErrConflict) {
		t.Fatal(err)
	}
	beneath, parts := begin("a/b")
	if err := s.Complete(t.Context(), beneath, parts); !errors.Is(err, objstore.ErrKey) {
		t.Fatal(err)
	}
	if err := s.Abandon(t.Context(), beneath); err != nil {
		t.Fatal(err)
	}
	if err := s.Complete(t.Context(), beneath, parts); !errors.Is(err, objstore.ErrKey) && !errors.Is(err, objstore.ErrConflict) {
		t.Fatal(err)
	}
	other, parts := begin("a")
	parts[0].CRC32C++
	if err := s.Complete(t.Context(), other, parts); !errors.Is(err, objstore.ErrExists) {
		t.Fatal(err)
	}
	if err := s.Abandon(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"..", "../../x", "a/b"} {
		up := objstore.Upload{Key: "a", ID: id}
		if _, err := s.PutPart(t.Context(), up, 1, body("x")); !errors.Is(err, objstore.ErrConflict) {
			t.Errorf("%s: %v", id, err)
		}
		if err := s.Abandon(t.Context(), up); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if left := temporary(t, root); len(left) != 0 {
		t.Errorf("temporary: %q", left)
	}
	if left := entries(t, filepath.Join(root, "@uploads")); len(left) != 0 {
		t.Errorf("uploads: %q", left)
	}
}

// A part that something else has cut, or changed, makes no object.
func TestDamagedPart(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	up, err := s.Begin(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.PutPart(t.Context(), up, 1, body("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "@uploads", up.ID, "1")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{good[:5], bytes.Replace(good, []byte("5"), []byte("6"), 1)} {
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := s.Complete(t.Context(), up, []objstore.Part{p}); !errors.Is(err, objstore.ErrConflict) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if infos, err := s.List(t.Context(), "", "", 10); err != nil || len(infos) != 0 {
		t.Errorf("%v, %v", infos, err)
	}
}

func TestUploadsReadOnly(t *testing.T) {
	root := t.TempDir()
	up, err := open(t, root).Begin(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	r, err := file.OpenReadOnly(root)
	if err != nil {
		t.Fatal(err)
	}
	if infos, err := r.Uploads(t.Context(), "", "", 1); err != nil || len(infos) != 1 || infos[0].Upload != up {
		t.Errorf("%+v, %v", infos, err)
	}
	_, beginErr := r.Begin(t.Context(), "b")
	_, partErr := r.PutPart(t.Context(), up, 1, body("x"))
	part := objstore.Part{Number: 1, Size: 1}
	for name, err := range map[string]error{
		"begin": beginErr, "part": partErr, "complete": r.Complete(t.Context(), up, []objstore.Part{part}), "abandon": r.Abandon(t.Context(), up),
	} {
		if !errors.Is(err, objstore.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
