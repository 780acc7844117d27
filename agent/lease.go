package agent

import (
	"context"
	"time"
)

// watchLease tells ingest when the session's lease may have expired without a word: etcd has not answered a keep-alive
// for as long as it lives. Clients are sent away then, to agents that reach etcd, instead of waiting here for it.
func watchLease(ctx context.Context, p *parts, ttl time.Duration) error {
	tick := time.NewTicker(max(ttl/20, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		p.ingest.Silent(!p.session.Alive())
	}
}
