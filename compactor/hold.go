package compactor

import (
	"context"
	"errors"
	"slices"
	"time"

	"wadi/internal/config"
	"wadi/internal/layout"
	"wadi/metadata/lease"
	pb "wadi/metadata/metadatapb"
)

const (
	// holdTick is how often the list of members is looked at.
	holdTick = 100 * time.Millisecond
	// leaveTimeout bounds how long jobs are given up at the end. The lease's end does the rest.
	leaveTimeout = time.Second
)

// hold has the jobs that this process should have, until ctx ends.
func (c *Compactor) hold(ctx context.Context) error {
	core, began := NewHolding(DefaultPace(c.o.TTL), jobNames()), c.began
	tick := time.NewTicker(holdTick)
	defer tick.Stop()
	for {
		look := c.look()
		c.enlist(ctx, look)
		ask := core.Tick(time.Since(began), look)
		c.have(look.Own, core.Held())
		if ask.Take != nil || ask.Look != nil || ask.GiveUp != nil {
			holds, err := c.ask(ctx, ask)
			if err != nil && ctx.Err() == nil {
				c.o.Log.Warn("jobs of the compactor: etcd does not answer", "error", err)
			}
			core.Asked(time.Since(began), ask, holds, err)
			c.have(look.Own, core.Held())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.have(0, 0)
			c.leave(ctx, core)
			return nil
		}
	}
}

// enlist says in the registration whether this process takes part: it does not while it cannot reach the store and others
// may. What cannot be said now is said later.
func (c *Compactor) enlist(ctx context.Context, l Look) {
	m, listed := c.o.Members.All()[l.Own]
	if !listed {
		return
	}
	const role = string(config.Compactor)
	takesPart := slices.Contains(m.Info.Roles, role)
	fit := c.fitness.Fit(time.Since(c.began))
	if takesPart == fit || !fit && len(l.Members) < 2 || time.Since(c.enlisted) < c.o.TTL {
		return // the list may be behind what was said a moment ago
	}
	c.enlisted = time.Now()
	c.o.Log.Warn("the compactor changes whether it takes part, as its calls of the object store fail or succeed", "takes_part", fit)
	ctx, cancel := context.WithTimeout(ctx, c.o.TTL)
	defer cancel()
	err := c.o.Session.Change(ctx, func(info *pb.SessionInfo) {
		info.Roles = slices.DeleteFunc(info.Roles, func(r string) bool { return r == role })
		if fit {
			info.Roles = append(info.Roles, role)
		}
	})
	if err != nil && ctx.Err() == nil {
		c.o.Log.Warn("not registered", "error", err)
	}
}

// look is what this process sees of the cluster.
func (c *Compactor) look() Look {
	own, _, open := c.o.Session.Current()
	if !open {
		return Look{}
	}
	l := Look{Own: own}
	for id, m := range c.o.Members.All() {
		if !m.Info.Draining && slices.Contains(m.Info.Roles, string(config.Compactor)) {
			l.Members = append(l.Members, id)
		}
	}
	slices.Sort(l.Members)
	return l
}

// have makes known what is held.
func (c *Compactor) have(of layout.Session, held Jobs) {
	c.mu.Lock()
	changed := c.mu.held != held
	c.mu.session, c.mu.held = of, held
	c.mu.Unlock()
	if !held.Has(gcJob) {
		c.o.Metrics.GarbageWaits.Reset() // whoever collects garbage says so
	}
	if changed {
		shards := held &^ (1 << gcJob)
		c.o.Metrics.CompactorShards.Set(float64(shards.Count()))
		c.o.Log.Debug("jobs of the compactor", "shards", shards.Count(), "gc", held.Has(gcJob))
	}
}

func (c *Compactor) ask(ctx context.Context, ask Ask) ([]lease.Hold, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.TTL)
	defer cancel()
	names := jobNames()
	if ask.GiveUp != nil {
		return nil, lease.GiveUp(ctx, c.o.KV, *ask.GiveUp)
	}
	asked := make([]string, 0, len(names))
	for _, i := range append(slices.Clone(ask.Take), ask.Look...) {
		asked = append(asked, names[i])
	}
	if ask.Look != nil {
		return lease.Look(ctx, c.o.KV, c.o.Keys, ask.Own, asked)
	}
	holds, _, err := lease.Take(ctx, c.o.KV, c.o.Keys, ask.Own, asked)
	return holds, err
}

// leave gives up what is held, so that others have it before the session ends.
func (c *Compactor) leave(ctx context.Context, core *Holding) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	var errs []error
	for i := range core.jobs {
		if h := core.jobs[i].hold; h.Revision != 0 && ctx.Err() == nil {
			errs = append(errs, lease.GiveUp(ctx, c.o.KV, h))
		}
	}
	if err := errors.Join(errs...); err != nil {
		c.o.Log.Warn("jobs of the compactor not given up; they are free when the session ends", "error", err)
	}
}
