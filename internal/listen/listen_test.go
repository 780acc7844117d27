package listen

import (
	"context"
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/config"
)

func TestBindAdvertisesTheBoundPort(t *testing.T) {
	any := config.Listener{Host: "127.0.0.1"}
	got, err := Bind(t.Context(), []config.Listener{any, any}, []config.Listener{any, {Host: "agent-1", Port: 7}})
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, config.Listener{Host: "127.0.0.1", Port: Port(got[0].Sockets[0])}, got[0].Advertised)
	require.NotZero(t, got[0].Advertised.Port)
	require.Equal(t, config.Listener{Host: "agent-1", Port: 7}, got[1].Advertised)
	for _, e := range got {
		require.NoError(t, e.Close())
	}
}

// A taken address is one sentence, and nothing that was bound before it stays bound.
func TestBindAllOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, free.Close())

	ls := []config.Listener{{Host: "127.0.0.1", Port: Port(free)}, {Host: "127.0.0.1", Port: Port(taken)}}
	_, err = Bind(t.Context(), ls, ls)
	require.ErrorIs(t, err, ErrInUse)
	require.EqualError(t, err, "the address "+taken.Addr().String()+" is already in use")
	again, err := TCP(t.Context(), free.Addr().String())
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

func TestBadAddress(t *testing.T) {
	_, err := TCP(t.Context(), "192.0.2.1:1")
	require.ErrorContains(t, err, "the address 192.0.2.1:1 cannot be listened on")
	require.NotErrorIs(t, err, ErrInUse)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = TCP(ctx, "localhost:0")
	require.Error(t, err)
}

func TestLoopbackListensOnBothFamilies(t *testing.T) {
	e, err := Loopback(t.Context(), 0)
	require.NoError(t, err)
	defer e.Close()
	require.Equal(t, "localhost", e.Advertised.Host)
	port := strconv.Itoa(int(e.Advertised.Port))
	addresses := make(map[string]bool)
	for _, s := range e.Sockets {
		addresses[s.Addr().String()] = true
		conn, err := net.Dial("tcp", s.Addr().String())
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	require.True(t, addresses["127.0.0.1:"+port])
	probe, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		require.NoError(t, probe.Close())
		require.True(t, addresses["[::1]:"+port], "this machine has IPv6")
	}
}

// A port that is taken on one family alone is taken: half of the clients would reach somebody else.
func TestLoopbackPortTaken(t *testing.T) {
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		taken, err := net.Listen("tcp", host)
		if err != nil {
			continue // no IPv6
		}
		_, err = Loopback(t.Context(), Port(taken))
		require.ErrorIs(t, err, ErrInUse)
		require.ErrorContains(t, err, taken.Addr().String())
		require.NoError(t, taken.Close())
	}
}
