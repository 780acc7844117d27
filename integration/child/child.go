// Package child starts the child processes of tests such that none outlives its test process, whatever kills that.
package child

import (
	"os/exec"
	"runtime"
	"sync"
)

// Start is cmd.Start with a death signal, where the system has one: the child is killed with its parent. The caller waits for
// it as after cmd.Start.
//
// The kernel sends that signal when the thread that started the child ends, not the program. All children are therefore
// started by one thread that never ends; from an ordinary goroutine it would be any thread of the runtime, and such a
// thread ends with whichever goroutine last locked itself to it.
func Start(cmd *exec.Cmd) error {
	starter.once.Do(func() {
		starter.orders = make(chan order)
		go serve()
	})
	done := make(chan error)
	starter.orders <- order{cmd, done}
	return <-done
}

type order struct {
	cmd  *exec.Cmd
	done chan<- error
}

var starter struct {
	once   sync.Once
	orders chan order
}

func serve() {
	runtime.LockOSThread()
	for o := range starter.orders {
		dieWithParent(o.cmd)
		o.done <- o.cmd.Start()
	}
}
