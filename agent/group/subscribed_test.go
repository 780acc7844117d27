package group

import (
	"testing"

	"github.com/stretchr/testify/require"

	kip848 "wadi/agent/group/consumer"
)

// KIP-848: members are subscribed to topics by name, and to those whose names their patterns match, as a whole.
func TestSubscribed(t *testing.T) {
	w := newConsumerWorld(t, 1)
	w.modern("a").beat(t)
	pattern := "orders|t.+"
	var ans ConsumerAnswer
	w.cores[0].ConsumerHeartbeat(w.now, &ConsumerHeartbeat{Group: "g", Heartbeat: kip848.Heartbeat{
		Member: "b", RebalanceTimeoutMs: 1000, Regex: &pattern, Owned: &kip848.Set{},
	}, Done: func(a ConsumerAnswer) { ans = a }})
	w.settle()
	require.NoError(t, ans.Err)
	subscribed := Subscribed(w.s.Group("g"))
	for topic, want := range map[string]bool{"t": true, "tt": true, "orders": true, "orders2": false, "x": false} {
		require.Equal(t, want, subscribed(topic), topic)
	}

	// Classic members say it in their words, also in a group of the consumer protocol.
	w = newConsumerWorld(t, 1)
	old := w.consumer()
	old.come(t)
	require.True(t, Subscribed(w.s.Group("g"))("t"))
	require.False(t, Subscribed(w.s.Group("g"))("x"))
	w.modern("a").beat(t)
	require.True(t, Subscribed(w.s.Group("g"))("t"))
	require.False(t, Subscribed(w.s.Group("g"))("x"))

	// Words that cannot be read may mean anything.
	w = newConsumerWorld(t, 1)
	m := w.classic()
	w.stabilise(t, m)
	require.True(t, Subscribed(w.s.Group("g"))("x"))
}
