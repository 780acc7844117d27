package binary

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends the child when the test process dies without its clean-up: a test's timeout, a kill.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
