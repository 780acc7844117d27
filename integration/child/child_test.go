package child

import (
	"os/exec"
	"runtime"
	"sync"
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
			cmd := exec.Command("sleep", "30")
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

func TestStartFails(t *testing.T) {
	if err := Start(exec.Command("/there/is/none")); err == nil {
		t.Error("no error")
	}
}
