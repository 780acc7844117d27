//go:build !linux

package etcd

import "syscall"

// dieWithParent has no equivalent here: only the test's cleanup ends the child.
func dieWithParent() *syscall.SysProcAttr { return nil }
