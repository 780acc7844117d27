package binary

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Tool is the path of a program that `go tool task install` built, or the end of the test, by Need.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(), ".tools", "bin", name)
	if _, err := os.Stat(path); err != nil {
		Need(t, fmt.Errorf("%s is not installed (go tool task install): %w", name, err))
	}
	return path
}
