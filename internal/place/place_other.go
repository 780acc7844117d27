//go:build !linux

package place

import "errors"

var errNotLinux = errors.New("abstract sockets are Linux's")

func here() (string, error)    { return "", errNotLinux }
func bind(string) (int, error) { return 0, errNotLinux }
func closeSocket(int) error    { return nil }
