package child

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"
)

func dieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}

// Freeze sends SIGSTOP to a child and returns when all its threads have stopped, which on a busy machine is milliseconds
// later. os.ErrProcessDone: it has ended.
func Freeze(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freeze process %d: %w", pid, err)
	}
	const (
		byPid   = 1 // P_PID of waitid(2)
		stopped = 5 // CLD_STOPPED in si_code
	)
	for {
		var info [128]byte // siginfo_t: signal, errno and code are its first three numbers
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPid, uintptr(pid), uintptr(unsafe.Pointer(&info[0])),
			syscall.WSTOPPED|syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.ECHILD:
			return fmt.Errorf("freeze process %d: %w", pid, os.ErrProcessDone)
		case errno != 0:
			return fmt.Errorf("freeze process %d: %w", pid, errno)
		case binary.NativeEndian.Uint32(info[8:]) != stopped:
			return fmt.Errorf("freeze process %d: %w", pid, os.ErrProcessDone)
		default:
			return nil
		}
	}
}
