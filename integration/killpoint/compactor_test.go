package killpoint

import (
	"context"
	"errors"
	"time"

	"wadi/compactor/fold"
	"wadi/compactor/gc"
	"wadi/compactor/job"
	"wadi/compactor/keycompact"
	"wadi/compactor/merge"
	"wadi/compactor/retention"
	"wadi/internal/kafkaconfig"
	"wadi/metadata/member"
	"wadi/metadata/state"
)

// grace is short so that what nothing needs goes while a test looks.
const grace = time.Second

// compacts is the compactor in the agent's process: the product's tasks in turn, all the time, with limits that make
// merges, folds and compactions follow each other. It asks for no leases: there is one process.
func compacts(m *member.Member) func(context.Context) error {
	env := &job.Env{
		Session: m.Session, Store: m.Store, Archives: m.Archives, Inline: m.View.Inline, Objects: m.Objects,
		Barrier: m.View.Barrier, Read: m.View.Read, Log: m.Log,
	}
	tasks := []job.Task{
		merge.New(env, merge.Config{
			MaxInput: 8 << 20, MaxOutput: 1 << 20, Own: 8 << 10, MaxRun: 32 << 10, FanIn: 8, Debt: 8, Small: 4 << 10, Medium: 24 << 10,
		}),
		keycompact.New(env, keycompact.Config{MaxOutput: 64 << 10, RunBytes: 8 << 10}),
		fold.New(env, fold.Config{Keep: 2, Least: 2, Folds: 8, Bytes: 1 << 20}),
		retention.New(env, retention.Config{}),
		gc.New(env, gc.Config{Grace: grace, KV: m.KV, Keys: m.Keys}),
	}
	return func(ctx context.Context) error {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, t := range tasks {
				if _, _, open := m.Session.Current(); !open {
					break
				}
				in := &job.View{State: m.View.Freeze(), Mine: func(uint64, uint32) bool { return true }, Configs: configsOf}
				in.Now = time.Now().UnixMilli()
				if _, err := t.Pass(ctx, in); err != nil && ctx.Err() == nil && !errors.Is(err, job.ErrNoSession) {
					m.Log.Info("pass failed", "task", t.Name(), "error", err)
				}
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	}
}

func configsOf(t *state.Topic) *kafkaconfig.Effective {
	return kafkaconfig.Defaults.With(func(yield func(string, string) bool) {
		for _, c := range t.Configs {
			if !yield(c.Name, c.Value) {
				return
			}
		}
	})
}
