package fold

import (
	"cmp"
	"math"
	"slices"

	"wadi/compactor/job"
	"wadi/compactor/keycompact"
	"wadi/internal/kafkaconfig"
	"wadi/metadata/state"
)

// Config says when runs are folded, and bounds a pass.
type Config struct {
	Keep  int // runs of a partition that a fold leaves in State, or less where objects hold many
	Least int // runs that are worth a fold, which writes what was folded before once more
	// Folds that a pass does, at most, and bytes of manifests that it writes; the last one may pass that.
	Folds int
	Bytes int64
}

// DefaultConfig lets a pass take some seconds on S3. What merges leave behind the runs that can be folded are up to 192
// others: with those a partition has less than 256.
func DefaultConfig() Config {
	return Config{Keep: 128, Least: 32, Folds: 32, Bytes: 64 << 20}
}

// part names a partition.
type part struct {
	topic     uint64
	partition uint32
	runs      int
	below     int64 // only runs that end below this offset may be folded
}

// due are the partitions that have something to fold, those with the most runs first. Of a compacted topic's, only what is
// compacted may be folded, and nothing while the partition is due for a compaction, which begins with taking all of it back
// out: so every fold is followed by a compaction before that happens, or by a change of the topic's configs.
func due(in *job.View, c Config) (list []part) {
	in.State.EachTopic(func(t *state.Topic) {
		var configs *kafkaconfig.Effective // looked up for topics with many runs alone
		for i := range int32(t.Partitions()) {
			p := t.Partition(i)
			if p.Runs() < c.Keep+c.Least || !in.Mine(t.Number, uint32(i)) {
				continue
			}
			if configs == nil {
				configs = in.Configs(t)
			}
			x := part{t.Number, uint32(i), p.Runs(), math.MaxInt64}
			if configs.Compact {
				x.below = p.CompactedTo
			}
			if prefix(in.State, p, c, x.below) >= c.Least && !(configs.Compact && keycompact.IsDue(p, configs, in)) {
				list = append(list, x)
			}
		}
	})
	slices.SortStableFunc(list, func(a, b part) int { return cmp.Compare(b.runs, a.runs) })
	return list
}

// prefix is how many of a partition's first runs can be folded: so many that Keep stay or, where no object ends soon enough
// for that, the least that is worth it. All end below an offset. It is none while the first run waits for a sweep: the log
// begins behind it.
func prefix(s *state.State, p *state.Partition, c Config, below int64) (fits int) {
	most, n, end := p.Runs()-c.Keep, 0, min(p.LSO(), below)
	ended, object, left := false, uint64(0), uint64(0)
	p.EachRun(func(r state.Run) {
		enough := n >= most && fits >= c.Least || n == state.MaxReplacedRuns
		if ended || enough || r.Inline() || r.Marker() || !r.Placed() || r.Last >= end || n == 0 && r.Last < p.LogStart {
			ended = true
			return
		}
		if left == 0 && (n == 0 || object != r.Place) {
			o, ok := s.Object(r.Place)
			if !ok || o.Kind != state.MergedObject {
				ended = true
				return
			}
			object, left = r.Place, o.Refs
		}
		if object != r.Place || left == 0 {
			ended = true
			return
		}
		left--
		if n++; left == 0 && (n <= most || fits < c.Least) {
			fits = n
		}
	})
	return fits
}

// plan is one fold: what goes into the new manifest beside what the old one holds.
type plan struct {
	part
	id      state.TopicID
	version uint64
	old     state.Manifest // Object 0 = there is none
	first   int64          // offset at which the new manifest begins
	runs    []state.Run
	objects []numbered // that the runs lie in, in their order
	aborted []state.AbortedTxn
}

type numbered struct {
	number uint64
	state.Object
}

func (x part) ref() state.PartRef { return state.PartRef{Topic: x.topic, Partition: x.partition} }

// last is the last offset that is folded.
func (x *plan) last() int64 { return x.runs[len(x.runs)-1].Last }

// plan is the fold of a partition that is due.
func (x part) plan(s *state.State, c Config) plan {
	t := s.TopicByNumber(x.topic)
	p := t.Partition(int32(x.partition))
	f := plan{part: x, id: t.ID, version: p.Version}
	n := prefix(s, p, c, x.below)
	f.runs = make([]state.Run, 0, n)
	p.EachRun(func(r state.Run) {
		if len(f.runs) < n {
			f.runs = append(f.runs, r)
		}
	})
	if f.first = f.runs[0].Base; p.Manifest != nil {
		f.old, f.first = *p.Manifest, p.Manifest.First
	}
	for i, r := range f.runs {
		if i == 0 || f.runs[i-1].Place != r.Place {
			o, _ := s.Object(r.Place)
			f.objects = append(f.objects, numbered{r.Place, o})
		}
	}
	p.EachAborted(func(a state.AbortedTxn) {
		if a.Last >= f.first && a.Last <= f.last() {
			f.aborted = append(f.aborted, a)
		}
	})
	return f
}
