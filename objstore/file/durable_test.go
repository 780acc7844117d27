package file

import (
	"os"
	"path/filepath"
	"testing"
)

// A directory is known after its first Put, until a removal anywhere, by whichever store, makes all of them unknown.
func TestDurableForgetsAfterRemoval(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	open := func() *durable {
		d, err := openDurable(root)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.close(); err != nil {
				t.Error(err)
			}
		})
		return d
	}
	one, two := open(), open()
	length := func() int64 {
		fi, err := os.Stat(filepath.Join(root, removalsName))
		if err != nil {
			t.Fatal(err)
		}
		return fi.Size()
	}
	if one.known(dir, length()) {
		t.Fatal("known before its first sync")
	}
	if err := one.linked(dir); err != nil {
		t.Fatal(err)
	}
	if !one.known(dir, length()) {
		t.Fatal("unknown after its sync")
	}
	before := length()
	if err := two.removing(); err != nil {
		t.Fatal(err)
	}
	if one.known(dir, length()) {
		t.Fatal("known after a removal")
	}
	// A sync that began before the removal says nothing about what is there now.
	one.learn(dir, before)
	if one.known(dir, length()) {
		t.Fatal("learned from before the removal")
	}
}
