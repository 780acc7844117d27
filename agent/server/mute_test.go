package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A muted connection gets its reply at once and waits with what it sends next, others do not wait; an end of the server is
// not held up by it (KIP-219). Semantics line 95
func TestMute(t *testing.T) {
	quiet := func(_ context.Context, r *Request) {
		if r.Conn.ID == 1 {
			r.Conn.Mute(700 * time.Millisecond)
			r.Conn.Mute(200 * time.Millisecond) // ends first: changes nothing
		}
		answer(context.Background(), r)
	}
	served(t, Config{}, quiet, func(p *pipes, stop func()) {
		c, other := p.dial(), p.dial()
		start := time.Now()
		ask(t, c)
		require.Zero(t, time.Since(start), "the reply goes out at once")
		ask(t, other)
		ask(t, other)
		require.Zero(t, time.Since(start))
		ask(t, c)
		require.Equal(t, 700*time.Millisecond, time.Since(start))
		time.Sleep(time.Second)
		start = time.Now()
		ask(t, c)
		require.Zero(t, time.Since(start), "what came late anyway does not wait")
		_, err := c.Write(metadataFrame())
		require.NoError(t, err)
		synctest.Wait()
		stop()
		closedAfter(t, c, 0)
		other.Close()
	})
}

// Nobody is muted for long by mistake.
func TestMuteIsBounded(t *testing.T) {
	served(t, Config{}, func(ctx context.Context, r *Request) {
		r.Conn.Mute(time.Hour)
		answer(ctx, r)
	}, func(p *pipes, _ func()) {
		c := p.dial()
		start := time.Now()
		ask(t, c)
		ask(t, c)
		require.Equal(t, maxMute, time.Since(start))
		c.Close()
	})
}
