//go:build !linux

package child

import (
	"fmt"
	"os/exec"
	"syscall"
)

// dieWithParent has no counterpart here: only the test's clean-up ends a child.
func dieWithParent(*exec.Cmd) {}

// Freeze sends SIGSTOP; nothing tells when all threads have stopped.
func Freeze(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freeze process %d: %w", pid, err)
	}
	return nil
}
