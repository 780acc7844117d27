//go:build !linux

package child

import "os/exec"

// dieWithParent has no counterpart here: only the test's clean-up ends a child.
func dieWithParent(*exec.Cmd) {}
