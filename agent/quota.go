package agent

import (
	"context"
	"log/slog"
	"time"

	"wadi/metadata/kv"
)

// stage is what etcd's fill level allows (DESIGN section 3.2).
type stage struct {
	noInline  bool // from 40 % of the quota
	noProduce bool // from 60 %: the rest is kept for commits, checkpoints and trimming
}

const (
	inlineUntil  = 0.40
	produceUntil = 0.60
	// fileFull is the share of the quota from which the file's size counts: below it free pages are used again first.
	fileFull = 0.90
	// etcdDefaultQuota is etcd's own when it does not say.
	etcdDefaultQuota = 2 << 30
	wantedQuota      = 8 << 30
	quotaPoll        = 2 * time.Second
)

// stageOf judges by the bytes in use; etcd raises NOSPACE by the file's size, which a file near the quota cannot lower.
func stageOf(s kv.Status) stage {
	quota := float64(s.QuotaBytes)
	if quota <= 0 {
		quota = etcdDefaultQuota
	}
	used := float64(s.DBInUse) / quota
	if s.NoSpace || float64(s.DBSize) >= fileFull*quota {
		used = max(used, produceUntil)
	}
	return stage{noInline: used >= inlineUntil, noProduce: used >= produceUntil}
}

// followQuota tells ingest the stage whenever it changes. Without an answer from etcd the last one holds.
func followQuota(ctx context.Context, store kv.KV, every time.Duration, log *slog.Logger, tell func(stage)) error {
	var last stage
	warned := false
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		poll, cancel := context.WithTimeout(ctx, every)
		s, err := store.Status(poll)
		cancel()
		if err == nil {
			if !warned && s.QuotaBytes > 0 && s.QuotaBytes < wantedQuota {
				warned = true
				log.Warn("etcd's quota is small: 8 GiB are advised (--quota-backend-bytes)", "quota", s.QuotaBytes)
			}
			if now := stageOf(s); now != last {
				log.Warn("etcd's fill level changes what is accepted", "in_use", s.DBInUse, "file", s.DBSize,
					"inline", !now.noInline, "produce", !now.noProduce)
				last = now
				tell(now)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
