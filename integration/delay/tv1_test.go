package delay_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// KAFKA-17754, with clients of TV1: their epoch outlives the transaction, so nothing tells a late request of one from a
// request of the next. What that leads to is written down in docs/transactions.md; these tests expect it, so that the
// page stays true. It is what the protocol allows, with Apache Kafka as here.
func (s suite) lateTV1(t *testing.T) {
	t.Run("EndTxn", s.lateEndTV1)
	t.Run("Produce", s.lateProduceTV1)
	t.Run("TxnOffsetCommit", s.lateOffsetsTV1)
	t.Run("AddPartitionsToTxn", s.lateRegistrationTV1)
}

// An end that is late ends what is open: the next transaction is torn, and its client is told that all went well when it
// has registered another partition since.
func (s suite) lateEndTV1(t *testing.T) {
	four(t, func(t *testing.T, first, second bool) {
		p := s.producer(t, 1)
		late := p.first(kmsg.EndTxn, first)
		p.do(p.register(0), p.write(p.coordinator, 0, "second 0"))
		require.Zero(t, p.arrives(late))
		p.do(p.register(1), p.write(p.coordinator, 1, "second 1"), p.end(second))
		require.Equal(t, append(all(first, "first 0"), all(first, "second 0")...), p.visible(0), "ended as the first was")
		require.Equal(t, append(all(first, "first 1"), all(second, "second 1")...), p.visible(1))
	})
	// Without anything new after it, the client finds out: its transaction is not open any more.
	t.Run("noticed", func(t *testing.T) {
		p := s.producer(t, 1)
		late := p.first(kmsg.EndTxn, true)
		p.do(p.register(0, 1), p.write(p.coordinator, 0, "second 0"))
		require.Zero(t, p.arrives(late))
		p.fails(120, p.write(p.coordinator, 1, "second 1"))
		p.fails(48, p.end(false))
		require.Equal(t, []string{"first 0", "second 0"}, p.visible(0))
		require.Equal(t, []string{"first 1"}, p.visible(1))
	})
}

// all is the values, or none.
func all(yes bool, values ...string) []string {
	if yes {
		return values
	}
	return nil
}

// A write that was repeated is known, and does no harm however late its copy is. One that was given up is taken for the
// next one with its sequence, unless the client asks for a new epoch after a write that failed, as Java's and franz-go's do.
func (s suite) lateProduceTV1(t *testing.T) {
	t.Run("repeated", func(t *testing.T) {
		four(t, func(t *testing.T, first, second bool) {
			p := s.producer(t, 1)
			late := p.first(kmsg.Produce, first)
			want := int16(45) // OUT_OF_ORDER_SEQUENCE_NUMBER: what an aborted transaction wrote is no duplicate
			if first {
				want = 0 // a duplicate, answered as it was the first time
			}
			require.Equal(t, want, p.second(late, second))
			p.holds(first, second)
		})
	})
	t.Run("given up", func(t *testing.T) {
		p := s.producer(t, 1)
		p.do(p.register(0, 1), p.write(p.coordinator, 0, "first 0"))
		late := p.hold(p.write(p.coordinator, 1, "first 1"))
		p.do(p.end(false))
		require.Zero(t, p.second(late, true))
		require.Equal(t, []string{"second 0"}, p.visible(0))
		require.Equal(t, []string{"first 1"}, p.visible(1), "an aborted write is read in place of the one that was acknowledged")
	})
	t.Run("given up with its epoch", func(t *testing.T) {
		p := s.producer(t, 1)
		p.do(p.register(0, 1), p.write(p.coordinator, 0, "first 0"))
		late := p.hold(p.write(p.coordinator, 1, "first 1"))
		p.do(p.end(false))
		require.Zero(t, p.initialize())
		require.EqualValues(t, 47, p.second(late, true))
		p.holds(false, true)
	})
}

// A position that is late becomes the next transaction's.
func (s suite) lateOffsetsTV1(t *testing.T) {
	four(t, func(t *testing.T, first, second bool) {
		p := s.producer(t, 1)
		late := p.first(kmsg.TxnOffsetCommit, first)
		p.do(p.register(0, 1), p.addGroup())
		p.do(p.write(p.coordinator, 0, "second 0"), p.write(p.coordinator, 1, "second 1"), p.position(20))
		require.Zero(t, p.arrives(late))
		p.do(p.end(second))
		want := int64(-1)
		if first || second {
			want = 10
		}
		require.Equal(t, want, p.positionNow(), "the first transaction's position")
	})
}

// A registration that is late does no harm in the next transaction, which has it or leaves the partition empty. After
// that one it begins another, which holds nothing and keeps nobody from reading; the client's next one goes on in it.
func (s suite) lateRegistrationTV1(t *testing.T) {
	four(t, func(t *testing.T, first, second bool) {
		p := s.producer(t, 1)
		late := p.first(kmsg.AddPartitionsToTxn, first)
		require.Zero(t, p.second(late, second))
		p.holds(first, second)
	})
	t.Run("after the next", func(t *testing.T) {
		p := s.producer(t, 1)
		late := p.first(kmsg.AddPartitionsToTxn, true)
		p.do(p.register(0), p.write(p.coordinator, 0, "second 0"), p.end(false))
		require.Equal(t, "CompleteAbort", p.status())
		require.Zero(t, p.arrives(late))
		require.Equal(t, "Ongoing", p.status())
		require.Equal(t, p.listed(0, 0), p.listed(0, 1), "it keeps nobody from reading")
		p.do(p.register(1), p.write(p.coordinator, 1, "third 1"), p.end(true))
		require.Equal(t, []string{"first 0"}, p.visible(0))
		require.Equal(t, []string{"first 1", "third 1"}, p.visible(1))
	})
}
