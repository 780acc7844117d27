package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/integration/ports"
	"wadi/internal/config"
	"wadi/internal/datadir"
	"wadi/internal/listen"
)

func TestDevLockedDataDir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	dir, err := datadir.Open(path)
	require.NoError(t, err)
	defer dir.Close()
	r := wadi(t.Context(), "", "dev", "--data-dir", path, "--listen", "127.0.0.1:0", "--http", "")
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, "wadi: data directory "+path+" is in use by another process: stop it or choose another directory with --data-dir\n", r.err)
	require.Empty(t, r.out)
}

func TestDevPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	address := taken.Addr().String()
	path := filepath.Join(t.TempDir(), "data")

	r := wadi(t.Context(), "", "dev", "--data-dir", path, "--listen", address, "--http", "")
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, "wadi: the address "+address+" is already in use: stop what listens there or set --listen to another\n", r.err)

	r = wadi(t.Context(), "", "dev", "--data-dir", path, "--listen", "127.0.0.1:0", "--http", address)
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, "wadi: the address "+address+" is already in use: stop what listens there or set --http to another\n", r.err)

	// Nothing was started and nothing stays locked.
	dir, err := datadir.Open(path)
	require.NoError(t, err)
	defer dir.Close()
	require.NoDirExists(t, dir.Sub("etcd"))
}

func TestAgentPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	address := taken.Addr().String()
	r := wadi(t.Context(), "", "agent", "--store", "mem://", "--listeners", "PLAINTEXT://"+address, "--http", "")
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, "wadi: the address "+address+" is already in use: stop what listens there or set listeners to another\n", r.err)
	r = wadi(t.Context(), "", "agent", "--store", "mem://", "--listeners", "PLAINTEXT://127.0.0.1:0", "--http", address)
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, "wadi: the address "+address+" is already in use: stop what listens there or set http to another\n", r.err)
}

func TestDevConfig(t *testing.T) {
	a := &app{}
	dir := filepath.Join(t.TempDir(), "a b")
	c, err := a.devConfig(devOptions{listen: "127.0.0.1:9092", dataDir: dir, agents: 1})
	require.NoError(t, err)
	require.Equal(t, "dev", c.Cluster)
	require.Equal(t, "file://"+strings.ReplaceAll(dir, " ", "%20")+"/objects", c.Store)
	require.Equal(t, []config.Listener{{Host: "127.0.0.1", Port: 9092}}, c.Listeners)
	require.Equal(t, []config.Listener{{Host: "localhost", Port: 9092}}, c.Advertised)
	require.Equal(t, "127.0.0.1:9644", c.HTTP)
	require.Empty(t, c.Etcd.Endpoints)
	require.Zero(t, c.Flush.PutsPerSecond, "files cost nothing")

	a.environ = []string{"WADI_CLUSTER=mine", "WADI_FLUSH_INTERVAL=1s", "WADI_STORE=mem://", "WADI_HTTP=127.0.0.1:1"}
	c, err = a.devConfig(devOptions{listen: "127.0.0.1:9092", dataDir: dir, agents: 1, httpGiven: true, store: "s3://bkt/p"})
	require.NoError(t, err)
	require.Equal(t, "mine", c.Cluster)
	require.Equal(t, "s3://bkt/p", c.Store)
	require.Equal(t, "", c.HTTP)

	a.environ = []string{"WADI_LISTENERS=PLAINTEXT://a:1", "WADI_ETCD_ENDPOINTS=http://a:1"}
	_, err = a.devConfig(devOptions{listen: "127.0.0.1:9092", dataDir: dir, agents: 1})
	require.ErrorContains(t, err, "(WADI_LISTENERS): is not taken from here; use --listen")
	require.ErrorContains(t, err, "(WADI_ETCD_ENDPOINTS): is not taken from here; dev runs an etcd of its own")
}

func TestDevAdvertises(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:9092":   "localhost:9092",
		"localhost:9092":   "localhost:9092",
		"[::1]:9092":       "localhost:9092",
		"0.0.0.0:9092":     "localhost:9092",
		":9092":            "localhost:9092",
		"192.168.1.7:9092": "192.168.1.7:9092",
		"box.example:9092": "box.example:9092",
	} {
		at, err := config.ParseHostPort(listen)
		require.NoError(t, err)
		require.Equal(t, want, devAdvertised(at).Address(), listen)
	}
}

// freePorts finds n ports in a row that are free on 127.0.0.1, and that connections of others never get.
func freePorts(t *testing.T, n int) uint16 {
	t.Helper()
	first, err := ports.Free(n)
	require.NoError(t, err)
	return uint16(first)
}

// --agents takes the next ports, for the Kafka address and for the operations address.
func TestDevNodesTakeTheNextPorts(t *testing.T) {
	port := freePorts(t, 6)
	base := config.Config{
		Listeners: []config.Listener{{Host: "127.0.0.1", Port: port}},
		HTTP:      "127.0.0.1:" + strconv.Itoa(int(port)+3),
	}
	nodes, err := devNodes(t.Context(), devOptions{agents: 3}, base, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Len(t, nodes, 3)
	for i, n := range nodes {
		require.Equal(t, "localhost:"+strconv.Itoa(int(port)+i), n.addresses())
		require.Equal(t, port+3+uint16(i), listen.Port(n.http))
		require.Equal(t, n.config.Advertised[0].Address(), n.addresses())
		n.close()
	}
}
