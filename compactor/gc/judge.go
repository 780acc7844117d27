package gc

import (
	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// Reason is why garbage stays for now.
type Reason string

const (
	// Grace: somebody may be reading it by an older State.
	Grace Reason = "grace"
	// Checkpoint: the newest checkpoint is older than its loss, and the next one might name it.
	Checkpoint Reason = "checkpoint"
	// Root: a kept root's State names it.
	Root Reason = "root"
	// Replay: a kept root replays this archive.
	Replay Reason = "replay"
	// Due: nothing but its turn.
	Due Reason = "due"
)

// Reasons are all of them.
var Reasons = []Reason{Grace, Checkpoint, Root, Replay, Due}

// old reports whether garbage is past its grace at now: by the clock of whoever proposed what took its last reference,
// or as this process has seen it for that long. The one helps after a restart, the other when that clock was ahead.
func old(o state.Object, a *ages, now int64) bool {
	return now-o.LostMs >= a.grace || o.Lost <= a.aged
}

// named says why garbage past its grace cannot go by what the checkpoint pointer said at some time; Due when it can, but
// for archives that are replayed. An older pointer than etcd's keeps more and allows nothing else: what it does not know
// of are roots at positions above its own.
func named(o state.Object, p *pb.Pointer) Reason {
	if p.GetPosition() < o.Lost {
		return Checkpoint
	}
	for _, k := range p.Kept {
		if o.Introduced <= k.Position && k.Position < o.Lost {
			return Root
		}
	}
	return Due
}

// archiveName is an archive's name in State.
type archiveName struct {
	session layout.Session
	head    int64
}

func nameOfArchive(a *pb.ArchiveRef) archiveName {
	return archiveName{layout.Session(a.Session), a.Head}
}

// tally counts what waits, by reason.
type tally map[Reason]*count

type count struct {
	objects int
	bytes   int64
}

func newTally() tally {
	t := tally{}
	for _, r := range Reasons {
		t[r] = &count{}
	}
	return t
}

func (t tally) add(r Reason, o state.Object) {
	t[r].objects++
	t[r].bytes += int64(o.Size)
}
