package fsck

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Kind says what a finding or a leftover is about. The texts are stable: scripts may match them.
type Kind string

// Findings: something is wrong.
const (
	Identity       Kind = "identity"        // etcd and bucket name different clusters
	BadJournal     Kind = "bad-journal"     // entries are missing or cannot be decoded
	BadCheckpoint  Kind = "bad-checkpoint"  // pointer, root, base or archive is missing, damaged, or leads elsewhere
	BadState       Kind = "bad-state"       // State contradicts itself, or two ways to it disagree
	MissingObject  Kind = "missing-object"  // State names it, the bucket lacks it
	WrongSize      Kind = "wrong-size"      // its size is not the recorded one
	DamagedObject  Kind = "damaged-object"  // its bytes are not those that were written
	LostRecords    Kind = "lost-records"    // records that were acknowledged cannot be read
	BadManifest    Kind = "bad-manifest"    // a manifest is damaged, or not what State says of it
	ForeignObject  Kind = "foreign-object"  // a key under the prefix that no part of Wadi writes
	UnknownSession Kind = "unknown-session" // an object of a session that State never had
)

// Leftovers: objects that nothing needs, or not yet. Crashes leave them behind; they are no damage. Orphans that nobody has
// deleted within the grace are findings of the same kind.
const (
	OrphanClosed       Kind = "orphan-of-closed-session"
	OrphanLive         Kind = "orphan-of-live-session" // below its last introduced number
	Uncommitted        Kind = "not-yet-committed"      // its entry may be on the way
	CheckpointLeftover Kind = "checkpoint-leftover"    // of a checkpoint that was given up, dropped, or is under way
	Garbage            Kind = "garbage"                // no run lies in it any more
	UnfinishedUpload   Kind = "unfinished-upload"      // begun more than a day ago
)

// Item is one finding or leftover: what it is about (an object's key, a partition, a position) and what was found.
type Item struct {
	Kind    Kind   `json:"kind"`
	Subject string `json:"subject"`
	Detail  string `json:"detail"`
}

func (i Item) String() string { return fmt.Sprintf("%s %s: %s", i.Kind, i.Subject, i.Detail) }

// Sum is how much is left over of a kind. A live cluster has always some garbage that waits for its grace.
type Sum struct {
	Kind     Kind  `json:"kind"`
	Objects  int   `json:"objects"`
	Bytes    int64 `json:"bytes"`
	OldestMs int64 `json:"oldest_ms"` // age; of garbage since it lost its last reference
}

// MaxItems bounds each list of a Report; what comes beyond is counted in Report.Omitted.
const MaxItems = 10_000

// Report is what a check found.
type Report struct {
	Cluster     string `json:"cluster"`
	ClusterID   string `json:"cluster_id"`
	Incarnation uint32 `json:"incarnation"`
	Position    int64  `json:"position"` // of the newest entry looked at
	Checkpoint  int64  `json:"checkpoint"`
	Counts      Counts `json:"counts"`
	Findings    []Item `json:"findings"`
	Leftovers   []Item `json:"leftovers"`
	Sums        []Sum  `json:"leftover_sums"`     // by kind, those included that Leftovers has no room for
	Deleted     []Item `json:"deleted,omitempty"` // by a repair; what it would delete in a dry run
	Omitted     int    `json:"omitted,omitempty"` // items beyond MaxItems
}

// Counts tell how much was looked at. Bytes are of the objects in the bucket.
type Counts struct {
	Topics     int   `json:"topics"`
	Partitions int   `json:"partitions"`
	Runs       int   `json:"runs"`    // those of manifests included
	Markers    int   `json:"markers"` // ends of transactions
	Records    int64 `json:"records"` // markers are none
	Manifests  int   `json:"manifests"`
	Entries    int64 `json:"entries"` // of the journal's tail and of archives
	Sessions   int   `json:"sessions"`
	Roots      int   `json:"roots"`
	Segments   int   `json:"segments"` // objects with runs
	Archives   int   `json:"archives"`
	Objects    int   `json:"objects"` // in the bucket
	Bytes      int64 `json:"bytes"`
}

// Clean reports whether nothing is wrong. Leftovers are not wrong.
func (r *Report) Clean() bool { return len(r.Findings) == 0 }

// damaged reports whether something is wrong that is more than an object too many.
func (r *Report) damaged() bool {
	for _, i := range r.Findings {
		switch i.Kind {
		case OrphanClosed, OrphanLive, UnknownSession, ForeignObject:
		default:
			return true
		}
	}
	return false
}

func (r *Report) sort() {
	// Empty lists, not null, for who reads the JSON.
	r.Findings, r.Leftovers = append([]Item{}, r.Findings...), append([]Item{}, r.Leftovers...)
	r.Sums = append([]Sum{}, r.Sums...)
	slices.SortFunc(r.Sums, func(a, b Sum) int { return cmp.Compare(a.Kind, b.Kind) })
	order := func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Detail, b.Detail))
	}
	slices.SortStableFunc(r.Findings, order)
	slices.SortStableFunc(r.Leftovers, order)
}

// collector takes items from many goroutines.
type collector struct {
	mu struct {
		sync.Mutex
		report Report
	}
}

func (c *collector) finding(k Kind, subject, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addLocked(&c.mu.report.Findings, Item{k, subject, fmt.Sprintf(format, args...)})
}

// leftover reports an object that nothing needs, of so many bytes, that long.
func (c *collector) leftover(k Kind, subject string, bytes int64, age time.Duration, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &c.mu.report
	detail := fmt.Sprintf("%d bytes, %v old; %s", bytes, age.Round(time.Second), fmt.Sprintf(format, args...))
	c.addLocked(&r.Leftovers, Item{k, subject, detail})
	i := slices.IndexFunc(r.Sums, func(s Sum) bool { return s.Kind == k })
	if i < 0 {
		i, r.Sums = len(r.Sums), append(r.Sums, Sum{Kind: k})
	}
	s := &r.Sums[i]
	s.Objects++
	s.Bytes += bytes
	s.OldestMs = max(s.OldestMs, age.Milliseconds())
}

func (c *collector) addLocked(list *[]Item, i Item) {
	if len(*list) >= MaxItems {
		c.mu.report.Omitted++
		return
	}
	*list = append(*list, i)
}

func (c *collector) count(f func(*Counts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.mu.report.Counts)
}
