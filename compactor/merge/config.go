package merge

import (
	"wadi/compactor/runs"
	"wadi/metadata/state"
	"wadi/objstore"
	"wadi/objstore/parts"
)

// Config bounds plans and their execution. Zero values are the defaults.
type Config struct {
	MaxInput  int64 // bytes that one plan reads, at most; the last stretch of runs may pass it
	MaxOutput int64 // bytes of an object, about: shared ones may be larger by what makes an object of its own
	Own       int64 // bytes of a partition that get an object of its own
	MaxRun    int64 // bytes of a run that is written, at most, unless it is one batch
	MaxInline int64 // bytes out of entries that one object takes, at most; an eighth of the memory

	FanIn      int   // flushes and archives that are worth a merge
	Few        int   // flushes that are worth one once they have been left lying
	Turns      int   // for so many turns
	Crowd      int   // runs of one partition in flushes and archives that are worth a merge, in however few of those
	Debt       int   // merged runs of a tier in one partition that are worth another merge
	Small      int64 // bytes: shorter runs are of the lowest tier
	Medium     int64 // bytes: shorter runs are of the second tier, others of the third
	MaxSources int   // objects that one output is read from, at most, unless it is one partition's; one for each 64 KiB of memory

	// Memory is how many bytes a merge holds, 64 MiB by default and at least 24 MiB: windows over its inputs and parts of
	// the object on their way to the store. Beyond it only what package runs says, and some 150 bytes for each run of a plan,
	// of which there are about 100,000 at most.
	Memory int64
	// Parallel is how many reads are under way at a time, 1 by default: all of them on the caller's goroutine, as is the
	// write of an object that is no larger than a part (5 MiB at least).
	Parallel int
	// Gap is that of runs.Config.
	Gap int64

	Observer Observer
}

// Observer is told what merges do. Its functions may be nil; they must be quick.
type Observer struct {
	Output func(Stats) // after each output, whatever became of it
}

// Stats is what became of one output.
type Stats struct {
	Objects      int   // written: 0 when it failed or there was nothing to write
	Reads        int64 // ranged reads
	BytesRead    int64
	BytesWritten int64
	Memory       int64 // the most bytes held for reading, at a time
	Ranges       int   // that State took
	RunsBefore   int   // in those
	RunsAfter    int
	Conflicts    int // ranges that State refused: something else changed there meanwhile
	Skipped      int // ranges left out, as they cannot be read
}

// Defaults write a record twice more, at most, where a lot is written: 64 flushes of 8 MiB become two objects, shared or of
// one partition each; what is shared is written into objects of one partition when 32 MiB of it have come together. Where
// little is written for long a record climbs one tier more.
func Defaults() Config {
	return Config{
		MaxInput: 512 << 20, MaxOutput: 256 << 20, Own: 32 << 20, MaxRun: 8 << 20, MaxInline: 8 << 20,
		FanIn: 512, Few: 4, Turns: 3, Crowd: 96, Debt: 48, Small: 64 << 10, Medium: 4 << 20, MaxSources: 1024,
		Memory: 64 << 20, Parallel: 1,
	}
}

const (
	minMemory   = 24 << 20
	leastWindow = 64 << 10 // that an object of a merge should have
)

func (c Config) withDefaults() Config {
	d := Defaults()
	for _, f := range []struct {
		value *int64
		or    int64
	}{
		{&c.MaxInput, d.MaxInput}, {&c.MaxOutput, d.MaxOutput}, {&c.Own, d.Own}, {&c.MaxRun, d.MaxRun},
		{&c.Small, d.Small}, {&c.Medium, d.Medium}, {&c.Memory, d.Memory},
	} {
		if *f.value == 0 {
			*f.value = f.or
		}
	}
	for _, f := range []struct {
		value *int
		or    int
	}{{&c.FanIn, d.FanIn}, {&c.Few, d.Few}, {&c.Turns, d.Turns}, {&c.Crowd, d.Crowd}, {&c.Debt, d.Debt}, {&c.Parallel, d.Parallel}} {
		if *f.value == 0 {
			*f.value = f.or
		}
	}
	if c.MaxInline == 0 {
		c.MaxInline = c.Memory / 8
	}
	if c.MaxSources == 0 {
		c.MaxSources = max(int(c.Memory/leastWindow), 64)
	}
	c.Memory = max(c.Memory, minMemory)
	c.Own = min(c.Own, c.MaxOutput/2) // so that no part of a long stretch is too short for it
	return c
}

// tiers of runs, by their length.
const tiers = 3

func (c *Config) tier(length uint32) int {
	switch n := int64(length); {
	case n < c.Small:
		return 0
	case n < c.Medium:
		return 1
	}
	return 2
}

// Scope says what a plan may touch. Its functions may be nil: everything is ours, no topic
// is compacted, no run is bad.
type Scope struct {
	Mine     func(topic uint64, partition uint32) bool
	Compacts func(t *state.Topic) bool // what compaction wrote of such a topic is left to it
	Bad      func(topic uint64, partition uint32, r state.Run) bool
	// Inline tells whether the inline bytes of an entry that no archive holds are at hand; nil = never.
	Inline func(position int64) bool
	// Shape hints at how much time, in ms, and how many bytes a run of a topic may reach over; 0 = any.
	Shape func(t *state.Topic) (span, bytes int64)
	// Lying is the position up to which flushes have been left lying for some turns; 0 = none has.
	Lying int64
	// Patient: flushes were merged just now, and wait until there is as much of them as makes a large object.
	Patient bool
}

// split divides the memory between windows over inputs and parts of the output.
func (c *Config) split() (reading runs.Config, writing parts.Config) {
	writing = parts.Config{
		PartSize: int(min(max(c.Memory/8, objstore.MinPart), 8<<20)),
		Parallel: int(min(max(c.Memory/(32<<20), 1), 4)), // and one that is filled
	}
	written := int64(writing.Parallel+1) * int64(writing.PartSize)
	return runs.Config{Memory: c.Memory - written, Parallel: c.Parallel, Gap: c.Gap}, writing
}
