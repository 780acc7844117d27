package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// settling belongs to a Broker.
type settling struct {
	started atomic.Int64 // how often
	mu      struct {
		sync.Mutex
		client *kgo.Client
	}
}

// patience bounds a wait for the broker.
const patience = 90 * time.Second

// Settle returns when all of the broker's components have learned of what it answered before.
//
// Apache Kafka answers a change of topics or configs when its controller has it. The broker learns of it a moment later, one
// of its components after the other, and the group coordinator last: whoever asks at once may hear what was before. The
// broker publishes changes to its components in the order of the metadata log, each to all of them before the next, though
// neighbours may go together. Settle makes two more changes, of a resource that nobody uses, one after the first is seen.
// When the second is seen, what came before the first has been handed to all; what they do with it later lies in the same
// queues as the requests that follow. Nothing of the two remains; lists of client metrics may have the resource for a moment.
func (b *Broker) Settle() error {
	seen := b.settling.started.Load()
	mu := &b.settling.mu
	mu.Lock()
	defer mu.Unlock()
	if b.settling.started.Load() > seen {
		return nil // one that began after this call is done
	}
	b.settling.started.Add(1)
	if mu.client == nil {
		client, err := kgo.NewClient(kgo.SeedBrokers(b.Address))
		if err != nil {
			return err
		}
		mu.client = client
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, change := range []marker{setMarker, removeMarker} {
		if err := change.make(ctx, mu.client); err != nil {
			return fmt.Errorf("wait for Apache Kafka to learn of changes: %w", err)
		}
	}
	return nil
}

// marker is one of the two changes.
type marker struct {
	op     kmsg.IncrementalAlterConfigOp
	source kmsg.ConfigSource // by which it is seen
}

var (
	setMarker    = marker{kmsg.IncrementalAlterConfigOpSet, kmsg.ConfigSourceClientMetricsConfig}
	removeMarker = marker{kmsg.IncrementalAlterConfigOpDelete, 0} // then nothing is described
)

const markerName, markerConfig = "settle", "interval.ms"

func (m marker) make(ctx context.Context, client *kgo.Client) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	in := kmsg.NewIncrementalAlterConfigsRequestResource()
	in.ResourceType, in.ResourceName = kmsg.ConfigResourceTypeClientMetrics, markerName
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Op, c.Value = markerConfig, m.op, kmsg.StringPtr("100000")
	in.Configs = append(in.Configs, c)
	req.Resources = append(req.Resources, in)
	got, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(got.Resources[0].ErrorCode); err != nil {
		return err
	}
	for {
		seen, err := m.seen(ctx, client)
		if seen || err != nil {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return errors.New("a marker is not seen")
		}
	}
}

func (m marker) seen(ctx context.Context, client *kgo.Client) (bool, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	in := kmsg.NewDescribeConfigsRequestResource()
	in.ResourceType, in.ResourceName, in.ConfigNames = kmsg.ConfigResourceTypeClientMetrics, markerName, []string{markerConfig}
	req.Resources = append(req.Resources, in)
	got, err := req.RequestWith(ctx, client)
	if err != nil {
		return false, err
	}
	var source kmsg.ConfigSource
	for _, c := range got.Resources[0].Configs {
		if c.Source == setMarker.source {
			source = c.Source
		}
	}
	return source == m.source, nil
}

func (s *settling) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.client != nil {
		s.mu.client.Close()
	}
}
