package delay_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/delay"
	"wadi/integration/ports"
)

// patience bounds every wait of these tests.
const patience = 3 * time.Minute

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// agent answers every EndTxn with a producer epoch that counts the requests it has read, and tells of each.
type agent struct {
	address string
	seen    chan int32 // correlation ids
}

func newAgent(t *testing.T) *agent {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	a := &agent{address: l.Addr().String(), seen: make(chan int32, 100)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go a.serve(c)
		}
	}()
	return a
}

func (a *agent) serve(c net.Conn) {
	defer c.Close()
	for n := int16(1); ; n++ {
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		id := b[4:8]
		a.seen <- int32(binary.BigEndian.Uint32(id))
		if binary.BigEndian.Uint16(b) != uint16(kmsg.EndTxn) {
			continue // as a Produce with acks=0
		}
		resp := kmsg.NewPtrEndTxnResponse()
		resp.Version, resp.ProducerEpoch = 5, n
		body := resp.AppendTo(append(bytes.Clone(id), 0))
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
			return
		}
	}
}

func (a *agent) saw(t *testing.T, id int32) {
	t.Helper()
	select {
	case got := <-a.seen:
		require.Equal(t, id, got)
	case <-time.After(patience):
		t.Fatalf("request %d did not arrive", id)
	}
}

func (a *agent) sawNothing(t *testing.T) {
	t.Helper()
	select {
	case got := <-a.seen:
		t.Fatalf("request %d arrived", got)
	default:
	}
}

func dial(t *testing.T, p *delay.Proxy) net.Conn {
	c, err := net.Dial("tcp", p.Address())
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { c.Close() })
	return c
}

func endTxn(t *testing.T, c net.Conn, correlation int32, id string) {
	t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.Commit = 5, id, true
	send(t, c, correlation, req)
}

func send(t *testing.T, c net.Conn, correlation int32, req kmsg.Request) {
	t.Helper()
	_, err := c.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("delay")).AppendRequest(nil, req, correlation))
	require.NoError(t, err)
}

// answered reads an answer of the agent's: which request of its connection it was to the agent.
func answered(t *testing.T, c net.Conn, correlation int32) int16 {
	t.Helper()
	var size [4]byte
	_, err := io.ReadFull(c, size[:])
	require.NoError(t, err)
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, correlation, int32(binary.BigEndian.Uint32(b)))
	resp := kmsg.NewPtrEndTxnResponse()
	resp.Version = 5
	require.NoError(t, resp.ReadFrom(b[5:]))
	return resp.ProducerEpoch
}

func TestAHeldRequestArrivesAfterItsClientHasLeft(t *testing.T) {
	one, two, rules := newAgent(t), newAgent(t), delay.NewRules()
	p, q := delay.Start(t, one.address, rules), delay.Start(t, two.address, rules)
	first := dial(t, p)
	endTxn(t, first, 1, "other")
	require.Equal(t, int16(1), answered(t, first, 1))
	one.saw(t, 1)

	late := rules.Hold(delay.Transactional("id", kmsg.EndTxn))
	endTxn(t, first, 2, "id")
	got, err := late.Wait(within(t))
	require.NoError(t, err)
	require.Equal(t, "id", got.TransactionalID())
	require.Equal(t, p, got.Proxy)
	body, err := got.Body()
	require.NoError(t, err)
	require.True(t, body.(*kmsg.EndTxnRequest).Commit)
	endTxn(t, first, 3, "id") // waits behind it
	late.Cut()
	<-late.Gone()
	_, err = first.Read(make([]byte, 1))
	require.Error(t, err)

	second := dial(t, q) // the rule has caught what it was for
	endTxn(t, second, 1, "id")
	require.Equal(t, int16(1), answered(t, second, 1))
	one.sawNothing(t)

	resp, err := late.Release(within(t))
	require.NoError(t, err)
	require.Equal(t, int16(2), resp.(*kmsg.EndTxnResponse).ProducerEpoch)
	one.saw(t, 2)
}

// What a client sent after a request that is held arrives after it, in its order, also when the client has left.
func TestWhatFollowsWaits(t *testing.T) {
	a, rules := newAgent(t), delay.NewRules()
	c := dial(t, delay.Start(t, a.address, rules))
	late := rules.Hold(delay.Transactional("id", kmsg.EndTxn))
	endTxn(t, c, 1, "id")
	_, err := late.Wait(within(t))
	require.NoError(t, err)
	endTxn(t, c, 2, "id")
	endTxn(t, c, 3, "other")
	a.sawNothing(t)
	resp, err := late.Release(within(t))
	require.NoError(t, err)
	require.Equal(t, int16(1), resp.(*kmsg.EndTxnResponse).ProducerEpoch)
	for i := range int32(3) {
		a.saw(t, i+1)
		require.Equal(t, int16(i+1), answered(t, c, i+1)) // the client is still there and hears of all
	}
}

func TestALostReply(t *testing.T) {
	a, rules := newAgent(t), delay.NewRules()
	p := delay.Start(t, a.address, rules)
	c := dial(t, p)
	lost := rules.HoldReply(delay.Transactional("id", kmsg.EndTxn))
	endTxn(t, c, 1, "id")
	_, err := lost.Wait(within(t))
	require.NoError(t, err)
	a.saw(t, 1) // it was done
	lost.Cut()
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
	resp, err := lost.Release(within(t))
	require.NoError(t, err)
	require.Equal(t, int16(1), resp.(*kmsg.EndTxnResponse).ProducerEpoch, "what the client did not hear")

	c = dial(t, p)
	slow := rules.HoldReply(delay.Transactional("id", kmsg.EndTxn))
	endTxn(t, c, 7, "id")
	_, err = slow.Wait(within(t))
	require.NoError(t, err)
	slow.Cancel()
	require.Equal(t, int16(1), answered(t, c, 7), "an answer that comes late")
}

func TestHowCatchesEnd(t *testing.T) {
	a, rules := newAgent(t), delay.NewRules()
	p := delay.Start(t, a.address, rules)
	t.Run("cancelled before anything came", func(t *testing.T) {
		c := dial(t, p)
		never := rules.Hold(delay.Transactional("id", kmsg.EndTxn))
		ctx, giveUp := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer giveUp()
		_, err := never.Release(ctx)
		require.Error(t, err)
		never.Cancel()
		endTxn(t, c, 1, "id")
		answered(t, c, 1)
		a.saw(t, 1)
	})
	t.Run("dropped", func(t *testing.T) {
		c := dial(t, p)
		lost := rules.Hold(delay.Transactional("id", kmsg.EndTxn))
		endTxn(t, c, 1, "id")
		_, err := lost.Wait(within(t))
		require.NoError(t, err)
		lost.Drop()
		_, err = lost.Release(within(t))
		require.ErrorIs(t, err, delay.ErrEnded)
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err)
		a.sawNothing(t)
	})
	t.Run("the client gives up", func(t *testing.T) {
		c := dial(t, p)
		late := rules.Hold(delay.Transactional("id", kmsg.EndTxn))
		endTxn(t, c, 5, "id")
		_, err := late.Wait(within(t))
		require.NoError(t, err)
		c.Close()
		<-late.Gone()
		_, err = late.Release(within(t))
		require.NoError(t, err)
		a.saw(t, 5)
	})
	t.Run("no answer", func(t *testing.T) {
		c := dial(t, p)
		none := rules.HoldReply(func(r delay.Request) bool { return r.Key == int16(kmsg.AddOffsetsToTxn) })
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID = "id"
		send(t, c, 1, req)
		endTxn(t, c, 2, "id")
		_, err := none.Wait(within(t))
		require.ErrorIs(t, err, delay.ErrEnded)
	})
}

// A proxy whose agent is gone closes what comes, and serves again once the agent does.
func TestAnAgentThatIsGone(t *testing.T) {
	port, err := ports.Free(1) // of those that connections of others never get
	require.NoError(t, err)
	c := dial(t, delay.Start(t, fmt.Sprintf("127.0.0.1:%d", port), delay.NewRules()))
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestFramesThatAreNone(t *testing.T) {
	a := newAgent(t)
	p := delay.Start(t, a.address, delay.NewRules())
	for _, b := range [][]byte{
		{0, 0, 0, 3, 1, 2, 3}, {0xff, 0, 0, 0}, {0, 0, 0, 10, 0, 26, 0, 5, 0, 0, 0, 1, 0, 9},
		{0, 0, 0, 11, 0, 26, 0, 5, 0, 0, 0, 1, 0xff, 0xff, 9},
	} {
		c := dial(t, p)
		_, err := c.Write(b)
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err)
	}
	a.sawNothing(t)
}
