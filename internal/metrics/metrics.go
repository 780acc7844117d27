// Package metrics is the set of figures that an agent reports. A Set is made for one agent and injected; nothing here
// is global. docs/metrics.md lists the same names, types and labels, and a test compares the two.
package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Set holds the metrics. All of it may be used concurrently. A caller on a busy path keeps the result of
// WithLabelValues instead of looking it up each time.
type Set struct {
	ObjectRequests *prometheus.CounterVec // by op and code; see Store
	ObjectBytes    *prometheus.CounterVec // by op: bytes of the bodies of successful requests

	ObjectRetries        *prometheus.CounterVec // by op, as the next four; see Steady
	ObjectRetriesRefused *prometheus.CounterVec // the retry budget was empty
	ObjectHedges         *prometheus.CounterVec // second requests
	ObjectHedgesWon      *prometheus.CounterVec // those that brought the answer
	ObjectLimit          *prometheus.GaugeVec   // requests that may be under way

	JournalAppends       prometheus.Counter   // entries appended by this agent, each once
	JournalAppendSeconds prometheus.Histogram // from sending an entry to a definite answer
	ApplySeconds         prometheus.Histogram // one entry's apply to State
	ViewLagSeconds       prometheus.Gauge     // age of the newest barrier that the view has applied, 0 when up to date

	FlushSeconds   *prometheus.HistogramVec // by path: from opening a buffer to its applied commit
	RequestSeconds *prometheus.HistogramVec // by api: from a request's last byte to its answer's

	StateBytes   *prometheus.GaugeVec // by class: memory of State
	StateUnswept prometheus.Gauge     // deleted topics and trimmed partitions

	FetchSessions          prometheus.Gauge   // open now
	FetchSessionPartitions prometheus.Gauge   // cached in all of them
	FetchSessionEvictions  prometheus.Counter // sessions that gave way to another

	Groups       prometheus.Gauge       // groups with members, or with somebody at the door, that this agent coordinates
	GroupChanges *prometheus.CounterVec // by outcome: changes of groups that this agent proposed

	Transactions      prometheus.Gauge       // open in the cluster
	TransactionOldest prometheus.Gauge       // age of the oldest of them, as far as this agent knows
	TransactionsEnded *prometheus.CounterVec // by how: commit, abort (by clients); overdue (by the janitor)

	Unmerged      prometheus.Gauge // the merge debt: objects of flushes that are still needed
	UnmergedBytes prometheus.Gauge
	Garbage       prometheus.Gauge // objects that nothing needs and that are still stored
	GarbageBytes  prometheus.Gauge

	Compactors        prometheus.Gauge         // live processes that take part, in the cluster
	CompactorShards   prometheus.Gauge         // that this process holds
	CompactorPasses   *prometheus.HistogramVec // by task: how long its passes took
	CompactorFailures *prometheus.CounterVec   // by task
	CompactorRead     *prometheus.CounterVec   // by task: bytes
	CompactorWritten  *prometheus.CounterVec   // by task: bytes
	CompactorDeleted  *prometheus.CounterVec   // by task: objects deleted from the store
	CompactorChanges  *prometheus.CounterVec   // by task and outcome: changes of the state, per partition or object
	CompactorRunsGone prometheus.Counter       // runs that others, larger ones, took the place of
	GarbageWaits      *prometheus.GaugeVec     // by reason: garbage that is not deleted yet, of the process that collects it
	ObjectsMissing    prometheus.Counter       // reads that failed as the store lacks what State names
	RangesUnreadable  prometheus.Counter       // left out of merges
	OrphansDeleted    prometheus.Counter
	ObjectsUnknown    prometheus.Gauge
	UploadsAbandoned  prometheus.Counter
	SessionsForgotten prometheus.Counter
	ThrottledSeconds  prometheus.Counter // that producers were told to wait

	Connections        prometheus.Gauge       // open now
	ConnectionsRefused *prometheus.CounterVec // by why: closed for the client's fault, a limit or a panic
	RequestPanics      *prometheus.CounterVec // by api: handlers that panicked, "encode" for replies
}

// Values of the path label of wadi_flush_seconds.
const (
	PathInline = "inline"
	PathObject = "object"
)

// Registerer is where New puts the metrics; *prometheus.Registry is one.
type Registerer interface {
	Register(prometheus.Collector) error
}

// New makes a Set and registers it.
func New(reg Registerer) (*Set, error) {
	s := &Set{
		ObjectRequests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_object_requests_total",
			Help: "Object store requests by operation and outcome.",
		}, []string{"op", "code"}),
		ObjectBytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_object_bytes_total",
			Help: "Bytes of object bodies sent (put, also in parts) and received (get) by successful requests.",
		}, []string{"op"}),
		ObjectRetries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_object_retries_total",
			Help: "Object store requests that repeat a failed one.",
		}, []string{"op"}),
		ObjectRetriesRefused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_object_retries_refused_total",
			Help: "Failed object store requests that were not repeated because too many fail.",
		}, []string{"op"}),
		ObjectHedges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_object_hedges_total",
			Help: "Second object store requests, sent because the first took long.",
		}, []string{"op"}),
		ObjectHedgesWon: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_object_hedges_won_total",
			Help: "Second object store requests that brought the answer.",
		}, []string{"op"}),
		ObjectLimit: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wadi_object_limit",
			Help: "Object store requests that may be under way; it falls when the store asks to slow down.",
		}, []string{"op"}),
		JournalAppends: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wadi_journal_appends_total",
			Help: "Journal entries that this agent appended.",
		}),
		JournalAppendSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "wadi_journal_append_seconds",
			Help:    "Time from sending a journal entry until its outcome is known.",
			Buckets: buckets(250e-6, 16),
		}),
		ApplySeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "wadi_apply_seconds",
			Help:    "Time to apply one journal entry to the state.",
			Buckets: buckets(1e-6, 18),
		}),
		ViewLagSeconds: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_view_lag_seconds",
			Help: "How far the state is behind the newest journal head that was read; 0 when it has caught up.",
		}),
		FlushSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "wadi_flush_seconds",
			Help:    "Time from the first byte of a flush until its commit is applied, by path (inline, object).",
			Buckets: buckets(500e-6, 16),
		}, []string{"path"}),
		RequestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "wadi_request_seconds",
			Help:    "Time from a Kafka request's arrival to its answer, by API. A fetch includes its long poll.",
			Buckets: buckets(100e-6, 19),
		}, []string{"api"}),
		StateBytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wadi_state_bytes",
			Help: "Memory of the state by class.",
		}, []string{"class"}),
		StateUnswept: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_state_unswept",
			Help: "Deleted topics and partitions with deleted records that still take memory of the state.",
		}),
		FetchSessions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_fetch_sessions",
			Help: "Fetch sessions that are open.",
		}),
		FetchSessionPartitions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_fetch_session_partitions",
			Help: "Partitions in all open fetch sessions.",
		}),
		FetchSessionEvictions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wadi_fetch_session_evictions_total",
			Help: "Fetch sessions that were closed to make room for another.",
		}),
		Groups: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_groups",
			Help: "Consumer groups with members that this agent coordinates.",
		}),
		GroupChanges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_group_changes_total",
			Help: "Changes of consumer groups (generations, assignments, members) that this agent proposed, by outcome (applied, refused, unknown).",
		}, []string{"outcome"}),
		Transactions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_transactions_open",
			Help: "Transactions that are open in the cluster.",
		}),
		TransactionOldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_transaction_oldest_seconds",
			Help: "How long the oldest open transaction has been open, as far as this agent knows; 0 when none is.",
		}),
		TransactionsEnded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_transactions_ended_total",
			Help: "Transactions that this agent ended, by how (commit, abort, overdue).",
		}, []string{"how"}),
		Unmerged: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_unmerged_objects",
			Help: "Objects of flushes that wait to be merged: the merge debt.",
		}),
		UnmergedBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_unmerged_bytes",
			Help: "Bytes of the objects of flushes that wait to be merged.",
		}),
		Garbage: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_garbage_objects",
			Help: "Objects that nothing needs any more and that wait to be deleted.",
		}),
		GarbageBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_garbage_bytes",
			Help: "Bytes of the objects that nothing needs any more and that wait to be deleted.",
		}),
		Compactors: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_compactors",
			Help: "Live processes that take part in the compactor's work; without one nothing is merged or deleted.",
		}),
		CompactorShards: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_compactor_shards",
			Help: "Shards of the compactor's work, of 16, that this process holds.",
		}),
		CompactorPasses: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "wadi_compactor_pass_seconds",
			Help:    "Time of a pass of one of the compactor's tasks.",
			Buckets: buckets(250e-6, 20),
		}, []string{"task"}),
		CompactorFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_compactor_failures_total",
			Help: "Passes of the compactor's tasks that failed.",
		}, []string{"task"}),
		CompactorRead: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_compactor_read_bytes_total",
			Help: "Bytes that the compactor's tasks read from the object store.",
		}, []string{"task"}),
		CompactorWritten: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_compactor_written_bytes_total",
			Help: "Bytes that the compactor's tasks wrote to the object store.",
		}, []string{"task"}),
		CompactorDeleted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_compactor_deleted_objects_total",
			Help: "Objects that the compactor's tasks deleted from the object store.",
		}, []string{"task"}),
		CompactorChanges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_compactor_changes_total",
			Help: "Changes of the state that the compactor's tasks proposed, each partition on its own, by outcome (applied, refused, unknown).",
		}, []string{"task", "outcome"}),
		CompactorRunsGone: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wadi_compactor_runs_replaced_total",
			Help: "Runs that larger ones took the place of.",
		}),
		GarbageWaits: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wadi_gc_waiting_objects",
			Help: "Garbage that is not deleted yet, by reason (grace, checkpoint, root, replay, due); in the process that collects it.",
		}, []string{"reason"}),
		ObjectsMissing: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wadi_objects_missing_total",
			Help: "Reads of clients that failed because an object that the metadata names is not in the store. Any is an alarm: records are lost.",
		}),
		RangesUnreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wadi_compactor_unreadable_ranges_total",
			Help: "Stretches of partitions that merges left out because an object is missing or damaged. Any is an alarm.",
		}),
		OrphansDeleted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wadi_gc_orphans_deleted_total",
			Help: "Objects that no command ever named and that were deleted.",
		}),
		ObjectsUnknown: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_gc_unknown_objects",
			Help: "Objects of sessions that the state does not know, as the last sweep of the bucket found them; they are left alone.",
		}),
		UploadsAbandoned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wadi_gc_uploads_abandoned_total",
			Help: "Unfinished uploads that were given up.",
		}),
		SessionsForgotten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wadi_gc_sessions_forgotten_total",
			Help: "Closed sessions that were taken out of the state, as nothing of theirs is left.",
		}),
		ThrottledSeconds: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wadi_produce_throttled_seconds_total",
			Help: "Time that producers were told to wait because the compactor is behind.",
		}),
		Connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wadi_connections",
			Help: "Kafka connections that are open.",
		}),
		ConnectionsRefused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_connections_refused_total",
			Help: "Kafka connections that the agent closed, by reason (protocol, limit, panic).",
		}, []string{"why"}),
		RequestPanics: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wadi_request_panics_total",
			Help: "Requests whose handling panicked, by API; each cost its connection.",
		}, []string{"api"}),
	}
	for _, c := range []prometheus.Collector{
		s.ObjectRequests, s.ObjectBytes, s.ObjectRetries, s.ObjectRetriesRefused, s.ObjectHedges, s.ObjectHedgesWon,
		s.ObjectLimit, s.JournalAppends, s.JournalAppendSeconds, s.ApplySeconds, s.ViewLagSeconds,
		s.FlushSeconds, s.RequestSeconds, s.StateBytes, s.StateUnswept,
		s.FetchSessions, s.FetchSessionPartitions, s.FetchSessionEvictions, s.Groups, s.GroupChanges, s.Transactions, s.TransactionOldest, s.TransactionsEnded,
		s.Unmerged, s.UnmergedBytes, s.Garbage, s.GarbageBytes, s.Compactors, s.CompactorShards, s.CompactorPasses, s.CompactorFailures,
		s.CompactorRead, s.CompactorWritten, s.CompactorDeleted, s.CompactorChanges, s.CompactorRunsGone,
		s.ObjectsMissing, s.RangesUnreadable, s.GarbageWaits, s.OrphansDeleted, s.ObjectsUnknown, s.UploadsAbandoned, s.SessionsForgotten, s.ThrottledSeconds,
		s.Connections, s.ConnectionsRefused, s.RequestPanics,
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("metrics cannot be registered: %w", err)
		}
	}
	return s, nil
}

// NewRegistry is a registry with the Go runtime's and the process's own metrics.
func NewRegistry() (*prometheus.Registry, error) {
	reg := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("runtime metrics cannot be registered: %w", err)
		}
	}
	return reg, nil
}

// buckets doubles n times from the first bound, in seconds.
func buckets(first float64, n int) []float64 { return prometheus.ExponentialBuckets(first, 2, n) }
