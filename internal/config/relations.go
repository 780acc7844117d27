package config

import (
	"fmt"
	"strings"
)

// relations fills in what one key takes from another and reports what only shows when all values are known.
func (l *loader) relations(in Input) {
	c := &l.config
	if !in.NoClients {
		l.listeners()
	}
	if l.good("store") && c.Store == "" {
		l.relation("store", "must be set, for example to s3://bucket/prefix?region=us-east-1 or file:///var/lib/wadi")
	}
	if l.good("etcd.endpoints") && len(c.Etcd.Endpoints) == 0 && !in.OwnEtcd {
		l.relation("etcd.endpoints", "needs at least one URL")
	}
	if l.good("store", "flush.puts.per.second") && l.source["flush.puts.per.second"] == DefaultSource && localStore(c.Store) {
		c.Flush.PutsPerSecond = 0
		l.source["flush.puts.per.second"] = "default for this store"
	}
	if l.good("memory.ingest", "flush.bytes") && c.Memory.Ingest < 2*c.Flush.Bytes {
		l.relation("memory.ingest", fmt.Sprintf("must be at least twice flush.bytes, which is %v (%s)", c.Flush.Bytes, l.source["flush.bytes"]))
	}
	if g := c.Kafka.Groups; l.good("kafka.group.min.session.timeout.ms", "kafka.group.max.session.timeout.ms") &&
		g.MinSessionTimeoutMs > g.MaxSessionTimeoutMs {
		l.relation("kafka.group.min.session.timeout.ms",
			fmt.Sprintf("must not be above kafka.group.max.session.timeout.ms, which is %d", g.MaxSessionTimeoutMs))
	}
	if g := c.Kafka.Groups; l.good("kafka.group.consumer.heartbeat.interval.ms", "kafka.group.consumer.session.timeout.ms") &&
		g.ConsumerHeartbeatIntervalMs > g.ConsumerSessionTimeoutMs {
		l.relation("kafka.group.consumer.heartbeat.interval.ms",
			fmt.Sprintf("must not be above kafka.group.consumer.session.timeout.ms, which is %d", g.ConsumerSessionTimeoutMs))
	}
	if l.good("inline.max.bytes", "flush.bytes") && c.Inline.MaxBytes > c.Flush.Bytes {
		l.relation("inline.max.bytes", fmt.Sprintf("must not be above flush.bytes, which is %v (%s)", c.Flush.Bytes, l.source["flush.bytes"]))
	}
}

// listeners checks the listeners and completes the advertised ones.
func (l *loader) listeners() {
	c := &l.config
	if !l.good("listeners", "advertised.listeners") {
		return
	}
	if len(c.Listeners) == 0 {
		l.relation("listeners", "needs at least one listener")
		return
	}
	if len(c.Advertised) == 0 {
		for _, at := range c.Listeners {
			if at.Wildcard() {
				l.relation("listeners", "stands for every address of the machine, so advertised.listeners must say which one clients connect to")
				return
			}
		}
		c.Advertised = append([]Listener(nil), c.Listeners...)
		l.source["advertised.listeners"] = "listeners"
		return
	}
	if len(c.Advertised) != len(c.Listeners) {
		l.relation("advertised.listeners", fmt.Sprintf("must name one address for each of the %d listeners, not %d", len(c.Listeners), len(c.Advertised)))
		return
	}
	for _, a := range c.Advertised {
		if a.Wildcard() || a.Port == 0 {
			l.relation("advertised.listeners", "must name a host and a port that clients can connect to")
			return
		}
	}
}

func localStore(store string) bool {
	return strings.HasPrefix(store, "file:") || strings.HasPrefix(store, "mem:")
}

func (l *loader) good(names ...string) bool {
	for _, n := range names {
		if l.bad[n] {
			return false
		}
	}
	return true
}

// relation reports a problem of the value in force.
func (l *loader) relation(name, what string) {
	l.problem(name, l.byName[name].show(&l.config), l.source[name], what)
}
