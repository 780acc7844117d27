package etcd

import (
	"os/exec"
	"runtime"
)

// process is one run. exited is closed when it has ended, after err is set.
type process struct {
	pid    int
	exited chan struct{}
	err    error
}

// launch starts cmd on a thread that lives as long as the process: the kernel sends the death signal when the thread
// that started the child ends, not the program.
func launch(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = dieWithParent()
	p := &process{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}
