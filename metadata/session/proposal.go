package session

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

var (
	// ErrNotProposed: the command never reached the journal and never will. Its caller may propose it again.
	ErrNotProposed = errors.New("command was not proposed")
	// ErrUnknown: the command may or may not be applied, now or later. Only State can tell.
	ErrUnknown = errors.New("outcome of the command is unknown")
	// ErrTooLarge: the command does not fit an entry. It was not proposed.
	ErrTooLarge = errors.New("command too large for a journal entry")
	// ErrBusy: too much waits already. The command was not proposed.
	ErrBusy = errors.New("too many commands wait")
)

// Bounds of what waits for its turn.
const (
	maxQueuedCommands = 16 << 10
	maxQueuedBytes    = 32 << 20
	maxWaiting        = 1024 // entries appended whose results are not known
	maxTried          = 64   // keys deleted with a registration: a transaction takes 128 operations
)

// entryOverhead bounds what an entry is larger than the sum of its commands and bytes: its time, the framing of a command
// and of the inline bytes, and the growth of numbers that encode moves.
const entryOverhead = 32

// Proposal is a command on its way to the journal.
type Proposal struct {
	Command *pb.Command // owned by the proposal from now on
	// Max timestamps of an AppendBatches: the first one is absolute (Unix milliseconds), the others are differences.
	// Inline is the batch bytes of an AppendBatches with flush 0; the command's offsets count from its start. It is
	// not changed and not retained after Done.
	Inline [][]byte
	// Session, if not 0, is the only session whose entries may carry the command: it names an object of that session.
	Session layout.Session
	// Control commands go before data.
	Control bool
	// Done is called exactly once. It must not block.
	Done func(Outcome)
}

// Outcome of a proposal. With Err nil the command was applied at Position and Result tells what came of it; Result is
// valid during Done only. Otherwise Err wraps ErrNotProposed, ErrUnknown, ErrTooLarge or ErrBusy.
type Outcome struct {
	Err      error
	Position int64
	Result   *state.Result
}

func (p *Proposal) size() int {
	n := proto.Size(p.Command) + entryOverhead
	for _, b := range p.Inline {
		n += len(b)
	}
	return n
}

// malformed reports a command that would stop every view: one that no State can decode.
func (p *Proposal) malformed() error {
	switch {
	case p.Command.GetKind() == nil:
		return errors.New("command of no kind")
	case p.Command.GetAppendBatches() != nil:
		return nil // numbers only
	}
	_, err := proto.Marshal(p.Command) // text that is not UTF-8
	return err
}

// queue holds proposals in order, with their sizes.
type queue struct {
	list  []queued
	bytes int
}

type queued struct {
	*Proposal
	size int
}

func (q *queue) push(p *Proposal, size int) {
	q.list = append(q.list, queued{p, size})
	q.bytes += size
}

// take moves proposals to dst while the entry stays at its target size; the first one of an entry is taken whatever its
// size, as its maximum was checked.
func (q *queue) take(dst []*Proposal, used int) ([]*Proposal, int) {
	n := 0
	for n < len(q.list) && (used == 0 || used+q.list[n].size <= journal.Target) {
		used += q.list[n].size
		q.bytes -= q.list[n].size
		dst = append(dst, q.list[n].Proposal)
		q.list[n] = queued{}
		n++
	}
	if q.list = q.list[n:]; len(q.list) == 0 {
		q.list = nil // lets the backing array go
	}
	return dst, used
}

// encode makes one entry of the proposals: inline bytes are joined, and the sections' offsets moved accordingly.
func encode(atMs int64, proposals []*Proposal) ([]byte, error) {
	e := &pb.Entry{AtMs: atMs, Commands: make([]*pb.Command, len(proposals))}
	inline := 0
	for _, p := range proposals {
		for _, b := range p.Inline {
			inline += len(b)
		}
	}
	if inline > 0 {
		e.Inline = make([]byte, 0, inline)
	}
	for i, p := range proposals {
		e.Commands[i] = p.Command
		a := p.Command.GetAppendBatches()
		if a == nil {
			continue
		}
		if len(a.MaxTimestamps) > 0 {
			a.MaxTimestamps[0] -= atMs // it counts from the entry's at_ms, which is known only now
		}
		if a.Flush == 0 {
			for j := range a.Offsets {
				a.Offsets[j] += uint64(len(e.Inline))
			}
			for _, b := range p.Inline {
				e.Inline = append(e.Inline, b...)
			}
		}
	}
	return proto.Marshal(e)
}
