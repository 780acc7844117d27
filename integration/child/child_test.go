package child

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A child lives on when threads of its parent end: those of locked goroutines do, and any of them may have run the
// goroutine that asked for the child.
func TestOutlivesThreads(t *testing.T) {
	var wg sync.WaitGroup
	children := make([]*exec.Cmd, 20)
	for i := range children {
		wg.Go(func() {
			cmd := exec.Command("sleep", "600")
			if err := Start(cmd); err != nil {
				t.Error(err)
				return
			}
			children[i] = cmd
		})
	}
	wg.Wait()
	for range 100 {
		wg.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			time.Sleep(time.Millisecond)
		})
	}
	wg.Wait()
	ended := make(chan error, len(children))
	for _, cmd := range children {
		if cmd != nil {
			go func() { ended <- cmd.Wait() }()
		}
	}
	select {
	case err := <-ended:
		t.Errorf("a child ended: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	for _, cmd := range children {
		if cmd != nil {
			_ = cmd.Process.Kill() // it may be gone
		}
	}
}

// A frozen child does nothing more, however busy the machine is; one that has ended cannot be frozen.
func TestFreeze(t *testing.T) {
	// It counts in a file's length until it is killed.
	file := filepath.Join(t.TempDir(), "beats")
	cmd := exec.Command("sh", "-c", "while :; do printf x >> \"$0\"; done", file)
	if err := Start(cmd); err != nil {
		t.Fatal(err)
	}
	length := func() int64 {
		info, err := os.Stat(file)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	for range 20 {
		before := length()
		for length() == before {
			time.Sleep(time.Millisecond)
		}
		if err := Freeze(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		at := length()
		time.Sleep(5 * time.Millisecond)
		if now := length(); now != at {
			t.Errorf("it went on from %d to %d", at, now)
		}
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if err := Freeze(cmd.Process.Pid); err == nil {
		t.Error("no error")
	}
}

func TestStartFails(t *testing.T) {
	if err := Start(exec.Command("/there/is/none")); err == nil {
		t.Error("no error")
	}
}
