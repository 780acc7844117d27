package place

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

const takeVariable = "PLACE_TEST_TAKE"

// TestMain is also the other process of TestGoesWithItsProcess: it takes the place and waits to be killed.
func TestMain(m *testing.M) {
	if name := os.Getenv(takeVariable); name != "" {
		p, err := Take(name)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p)
		select {}
	}
	os.Exit(m.Run())
}

func onLinux(t *testing.T) {
	if runtime.GOOS != "linux" {
		_, err := Take("x")
		require.ErrorIs(t, err, ErrUnknown)
		t.Skip("nothing is known about places here")
	}
}

// One process at a time has a place, it is the same place each time, and other names are other places.
func TestOneAtATime(t *testing.T) {
	onLinux(t)
	name := t.Name() + fmt.Sprint(os.Getpid())
	p, err := Take(name, "a:1")
	require.NoError(t, err)
	_, err = Take(name, "a:1")
	require.ErrorIs(t, err, ErrTaken)
	other, err := Take(name, "a:2")
	require.NoError(t, err)
	require.NotEqual(t, p.String(), other.String())
	require.NoError(t, other.Close())
	require.NoError(t, p.Close())
	again, err := Take(name, "a:1")
	require.NoError(t, err)
	require.Equal(t, p.String(), again.String())
	require.Len(t, p.String(), 32)
	require.NoError(t, again.Close())
}

// A process that is killed leaves its place at once, and its successor is in the same one. A child that it started does not
// hold it on.
func TestGoesWithItsProcess(t *testing.T) {
	onLinux(t)
	name := t.Name() + fmt.Sprint(os.Getpid())
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), takeVariable+"="+name)
	out, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	var said string
	_, err = fmt.Fscanln(out, &said)
	require.NoError(t, err)
	_, err = Take(name)
	require.ErrorIs(t, err, ErrTaken)
	require.NoError(t, other.Process.Kill())
	require.Error(t, other.Wait())
	p, err := Take(name)
	require.NoError(t, err)
	require.Equal(t, said, p.String())
	child := exec.Command("sleep", "60")
	require.NoError(t, child.Start())
	defer func() {
		require.NoError(t, child.Process.Kill())
		require.Error(t, child.Wait())
	}()
	require.NoError(t, p.Close())
	p, err = Take(name)
	require.NoError(t, err)
	require.NoError(t, p.Close())
}

// Names that run into each other are different ones.
func TestDigest(t *testing.T) {
	require.NotEqual(t, digest([]string{"ab", "c"}), digest([]string{"a", "bc"}))
	require.NotEqual(t, digest([]string{"a", ""}), digest([]string{"a"}))
}
