package etcd

import (
	"os/exec"

	"wadi/integration/child"
)

// process is one run. exited is closed when it has ended, after err is set.
type process struct {
	pid    int
	exited chan struct{}
	err    error
}

func launch(cmd *exec.Cmd) (*process, error) {
	if err := child.Start(cmd); err != nil {
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}
