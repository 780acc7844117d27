package datadir

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const lockVariable = "DATADIR_TEST_LOCK"

// TestMain is also the other process of TestLockDiesWithItsProcess: it takes the lock and waits to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(lockVariable); dir != "" {
		if _, err := Open(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("locked")
		select {}
	}
	os.Exit(m.Run())
}

func TestOneHolderAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d, err := Open(path)
	require.NoError(t, err)
	require.Equal(t, path, d.Path())
	require.Equal(t, filepath.Join(path, "etcd"), d.Sub("etcd"))

	_, err = Open(path)
	require.ErrorIs(t, err, ErrLocked)
	require.EqualError(t, err, "data directory "+path+" is in use by another process")

	require.NoError(t, d.Close())
	d, err = Open(path)
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

func TestRelativePathIsNamedInFull(t *testing.T) {
	t.Chdir(t.TempDir())
	d, err := Open("data")
	require.NoError(t, err)
	defer d.Close()
	require.True(t, filepath.IsAbs(d.Path()))
}

func TestFileInTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err := Open(path)
	require.ErrorContains(t, err, "data directory "+path+" cannot be created")
	require.False(t, errors.Is(err, ErrLocked))
}

func TestLockDiesWithItsProcess(t *testing.T) {
	path := t.TempDir()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), lockVariable+"="+path)
	out, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	var said string
	_, err = fmt.Fscanln(out, &said)
	require.NoError(t, err)
	require.Equal(t, "locked", said)

	_, err = Open(path)
	require.ErrorIs(t, err, ErrLocked)

	require.NoError(t, other.Process.Kill())
	require.Error(t, other.Wait())
	d, err := Open(path)
	require.NoError(t, err)
	require.NoError(t, d.Close())
}
