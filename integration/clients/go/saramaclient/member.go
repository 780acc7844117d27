package saramaclient

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"wadi/integration/clients/go/record"
)

// Member is a member of a group that commits each record after it has processed it. args: GROUP TOPIC.
func Member(ctx context.Context, out *record.Printer, servers string, args []string) error {
	config, err := newConfig()
	if err != nil {
		return err
	}
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Session.Timeout = record.SessionTimeout
	config.Consumer.Group.Heartbeat.Interval = record.HeartbeatInterval
	config.Metadata.RefreshFrequency = record.MetadataAge
	// Each broker has one connection: a commit waits for the fetch before it.
	config.Consumer.MaxWaitTime = 50 * time.Millisecond
	group, err := sarama.NewConsumerGroup(strings.Split(servers, ","), args[0], config)
	if err != nil {
		return fmt.Errorf("group: %w", err)
	}
	go func() { // errors of a moment, which the group retries
		for err := range group.Errors() {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	m := &member{out: out, topic: args[1]}
	ctx = record.Orders(ctx, os.Stdin, m.replay)
	for ctx.Err() == nil {
		// Consume ends with each rebalance, and when it has tried for long enough to reach the group.
		if err := group.Consume(ctx, args[1:], m); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "consume:", err)
			record.Pause(ctx)
		}
	}
	return group.Close()
}

type member struct {
	out   *record.Printer
	topic string
	again atomic.Pointer[chan struct{}] // closed to end the session and read from the beginning
}

func (m *member) replay() {
	if again := m.again.Load(); again != nil {
		close(*again)
	}
}

// Setup begins a session: a generation's assignment.
func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	again := make(chan struct{})
	m.again.Store(&again)
	m.out.Assigned(session.Claims()[m.topic])
	return nil
}

// Cleanup ends a session. When a replay ended it, the next one begins where the offsets are set to.
func (m *member) Cleanup(session sarama.ConsumerGroupSession) error {
	select {
	case <-*m.again.Load():
		for _, partition := range session.Claims()[m.topic] {
			session.ResetOffset(m.topic, partition, 0, "")
		}
		session.Commit()
	default:
	}
	m.out.Assigned(nil)
	return nil
}

// ConsumeClaim reads one partition until the session ends.
func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case <-session.Context().Done():
			return nil
		case <-*m.again.Load():
			return nil
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			m.out.Processed(message.Partition, message.Offset, message.Value)
			session.MarkOffset(message.Topic, message.Partition, message.Offset+1, "")
			session.Commit()
			m.out.Committed(message.Partition, message.Offset+1)
		}
	}
}
