package place

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// here says which boot of which machine this is, and which network namespace. A namespace's number is given again only
// when it is gone, with every process that was in it.
func here() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	if len(boot) < 32 {
		return "", fmt.Errorf("the boot id is %q", boot)
	}
	network, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return "", err
	}
	return string(boot) + network, nil
}

// bind binds an abstract name to a socket that nobody can connect to.
func bind(name string) (socket int, err error) {
	socket, err = syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	err = syscall.Bind(socket, &syscall.SockaddrUnix{Name: name})
	switch {
	case err == nil:
		return socket, nil
	case errors.Is(err, syscall.EADDRINUSE):
		err = ErrTaken
	default:
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return 0, errors.Join(err, syscall.Close(socket))
}

func closeSocket(socket int) error { return syscall.Close(socket) }
