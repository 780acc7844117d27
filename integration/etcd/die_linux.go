package etcd

import "syscall"

// dieWithParent makes the kernel kill the child when its starter dies, whatever kills that.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
