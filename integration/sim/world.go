package sim

import (
	"context"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"wadi/compactor/keycompact"
	"wadi/compactor/merge"
	"wadi/internal/layout"
	"wadi/metadata/kv"
	"wadi/metadata/kv/memkv"
	pb "wadi/metadata/metadatapb"
)

const (
	clusterName = "sim"
	clusterID   = "c2ltdWxhdGVkIGNsdXN0ZXI"
	ttl         = 2 * time.Second
	epochMs     = 1_700_000_000_000 // Unix milliseconds at virtual time 0
)

// Options of a run.
type Options struct {
	Seed   uint64
	Active time.Duration // how long producers produce and faults happen
	Trace  io.Writer     // nil = none
	Calm   bool          // nothing happens but Hit
	Hit    Hit
}

// World is one run.
type World struct {
	*loop
	opts     Options
	keys     layout.Etcd
	etcd     *memkv.Store
	etcdUp   bool
	bucket   *bucket
	bucketUp bool
	faults   faults
	current  *proc

	agents    []*agent
	producers []*producer
	groups    []*consumers
	oracle    *oracle
	tellers   []*teller
	sharing   sharing
	grace     time.Duration // for which garbage stays
	merges    merge.Config
	cleans    keycompact.Config
	exposes   bool   // requests of old transactions may come into later ones of the same epoch
	orders    uint64 // numbers of the topics that are checked
	feed      uint64
	table     uint64
	nextConn  uint64
	ids       int                    // given to members
	owners    map[layout.Session]int // agents, by the sessions they tried to register
	revoked   map[layout.Session]bool
	sent      int // counts commits of members
	joins     int // counts changes of registrations
	stats     Stats
}

// Stats say what a run did, so that one in which nothing happened is not taken for a proof.
type Stats struct {
	Events, Entries, Acked, Duplicates, Definite, Unknown, Reads, Checkpoints, Loads, Sessions, Crashes, Trims, Unlisted      int
	Generations, Assignments, Commits, Fenced, Crossed, Takeovers, Fates                                                      int    // of groups
	Begun, Committed, Aborted, Overdue, Shut, Waits, Copied, Late                                                             int    // of transactions
	FoldedTables, Unfolded, UnfoldedInPart                                                                                    int    // of compactors
	Passes, Failed, Merged, Outrun, Compactions, Expired, Deleted, Retained, Folded, Indexed, Orphans, Forgotten, Calls, Hits int    // of compactors
	Disasters                                                                                                                 [8]int // by kind
	Virtual                                                                                                                   time.Duration
}

// Run carries out one run. The hash is of its trace; err is the first thing that was violated.
func Run(o Options) (hash uint64, stats Stats, err error) {
	w := &World{
		loop: newLoop(o.Seed, o.Trace), opts: o, keys: layout.NewEtcd(clusterName), bucket: newBucket(),
		etcd: memkv.NewStore(memkv.Options{}), etcdUp: true, bucketUp: true,
		owners: map[layout.Session]int{}, revoked: map[layout.Session]bool{},
	}
	w.oracle = newOracle(w)
	w.bootstrap()
	w.faults = w.drawFaults()
	if o.Calm {
		w.faults, w.sharing = faults{}, turns
	}
	w.note("faults %+v", w.faults)
	for i := range 3 {
		w.agents = append(w.agents, newAgent(w, i))
	}
	for _, a := range w.agents {
		w.after(w.between(0, 200*time.Millisecond), a.start)
	}
	defer func() {
		for _, a := range w.agents {
			a.endProcs()
		}
	}()
	w.startClients()
	if o.Calm { // but for a session that ends, and is forgotten
		w.after(o.Active/3, func() {
			w.agents[0].crash()
			w.agents[0].start()
		})
	} else {
		w.planDisasters(o.Active)
	}
	w.tickEtcd()
	w.runUntil(o.Active)
	w.note("heal")
	w.heal()
	w.drain()
	w.stats.Events, w.stats.Virtual, w.stats.Entries = w.events, w.now, w.oracle.entries
	return w.sum.Sum64(), w.stats, w.err
}

// bootstrap puts the key that ties etcd to the bucket; agents write the bucket's side.
func (w *World) bootstrap() {
	value, err := proto.Marshal(&pb.Bootstrap{ClusterId: clusterID, Incarnation: 1, Cluster: clusterName})
	if err == nil {
		_, err = w.etcd.Txn(kv.Txn{Then: []kv.Op{kv.Put(w.keys.Bootstrap(), value, 0)}})
	}
	if err != nil {
		w.violated("bootstrap: %v", err)
	}
	w.afterEtcd()
}

// tickEtcd ends leases although nobody asks etcd anything.
func (w *World) tickEtcd() {
	if w.etcdUp {
		w.expireLeases()
	}
	w.after(100*time.Millisecond, w.tickEtcd)
}

// afterEtcd follows every change of etcd: the oracle reads it at once, the agents' watches hear of it in time.
func (w *World) afterEtcd() {
	before := w.joins
	if !w.oracle.read() {
		return
	}
	for _, a := range w.agents {
		if a.watch != nil {
			a.watch.wake(w.latency())
		}
		if w.joins != before && a.groups != nil {
			a.hearOfMembers()
		}
	}
}

func (w *World) latency() time.Duration { return w.between(200*time.Microsecond, 4*time.Millisecond) }

func (w *World) wall() time.Time { return time.UnixMilli(epochMs).Add(w.now) }

var background = context.Background()
