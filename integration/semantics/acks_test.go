package semantics

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Semantics line 8: with acks=0 an error of any kind closes the connection, as there is no other way to tell of it, and
// what came before on that connection is stored. Without topics there is nothing to fail.
func TestLine8ErrorsWithoutAcksClose(t *testing.T) {
	n := shared(t)
	to := create(dial(t, n), "line8-acks", 1, "max.message.bytes", "1000")
	large := make([]byte, 2000)
	for i, bad := range []struct {
		to    topic
		batch []byte
	}{
		{topic{name: "line8-nowhere"}, plain("v")}, // unknown topic
		{to, []byte{}},                       // no batch
		{to, []byte("not a batch")},          // a malformed one
		{to, plain(string(large))},           // too large
		{to, idempotent(1<<40, 0, -1, "v")},  // a sequence that cannot be
		{to, oldMessages(1, string(large))},  // a message set (Semantics line 50)
		{to, append(plain("a"), plain()...)}, // two batches
	} {
		c := dial(t, n)
		silent := func(to topic, b []byte) {
			req := produceRequest(b, to)
			req.Acks = 0
			req.SetVersion(9)
			c.send(req)
		}
		silent(to, plain("good"))
		silent(bad.to, bad.batch)
		c.closed()
		after := dial(t, n)
		eventually(t, "the good batch is stored", func() bool { return end(after, to) == int64(i+1) })
	}
	c := dial(t, n)
	nothing := kmsg.NewPtrProduceRequest()
	nothing.SetVersion(9)
	c.send(nothing)
	c.alive()
}

// Semantics line 15: acks=1 is acks=all: what is acknowledged has been committed to the journal, and any other agent
// serves it at once. A partition that does not exist, or whose batch is none, is told so whatever the acks.
func TestLine15OneAckIsAll(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	first, second := cluster.start(t, nil), cluster.start(t, nil)
	c, other := dial(t, first), dial(t, second)
	to := create(c, "line15-one", 1)
	for i := range int64(20) {
		p := produceWithAcks(c, 9, to, 1)
		require.Zero(t, p.ErrorCode)
		require.Equal(t, i, p.BaseOffset)
		require.Equal(t, i+1, end(other, to), "another agent knows of it")
		require.Len(t, everything(other, to), int(i+1))
	}
	require.Equal(t, int16(3), produceWithAcks(c, 9, topic{name: "line15-none"}, 7).ErrorCode)
	req := produceRequest([]byte{}, to)
	req.Acks = 7
	resp := ask[*kmsg.ProduceResponse](c, 9, req)
	require.Equal(t, int16(87), resp.Topics[0].Partitions[0].ErrorCode)
}
