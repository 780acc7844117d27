package delay_test

import (
	"os"
	"testing"

	"wadi/integration/binary"
)

func TestMain(m *testing.M) {
	code := m.Run()
	binary.Cleanup()
	os.Exit(code)
}
