package api

import "wadi/agent/server/wire"

// fetchReply is a Fetch response that refers to records where they lie. It is written by hand because kmsg's type
// holds a partition's records as one slice: they would be copied there, and again into the reply.
type fetchReply struct {
	version   int16
	code      int16
	sessionID int32 // 0 = none
	topics    []fetchedTopic
	release   func()
}

type fetchedTopic struct {
	name  string
	id    [16]byte
	parts []fetchedPartition
}

type fetchedPartition struct {
	index                               int32
	code                                int16
	highWatermark, lastStable, logStart int64
	listAborted                         bool // else null
	aborted                             []Aborted
	records                             [][]byte
}

// IsFlexible implements server.Encoder.
func (r *fetchReply) IsFlexible() bool { return r.version >= 12 }

// Release implements server.Encoder.
func (r *fetchReply) Release() {
	if r.release != nil {
		r.release()
	}
}

// EncodeTo implements server.Encoder, for versions 4 to 17.
func (r *fetchReply) EncodeTo(w *wire.Writer) {
	flexible := r.IsFlexible()
	w.Int32(0) // throttle time
	if r.version >= 7 {
		w.Int16(r.code)
		w.Int32(r.sessionID)
	}
	arrayLen(w, flexible, len(r.topics))
	for i := range r.topics {
		t := &r.topics[i]
		switch {
		case r.version >= 13:
			w.UUID(t.id)
		case flexible:
			w.CompactString(t.name)
		default:
			w.String(t.name)
		}
		arrayLen(w, flexible, len(t.parts))
		for j := range t.parts {
			t.parts[j].encode(w, r.version, flexible)
		}
		if flexible {
			w.Byte(0)
		}
	}
	if flexible {
		w.Byte(0)
	}
}

func (p *fetchedPartition) encode(w *wire.Writer, version int16, flexible bool) {
	w.Int32(p.index)
	w.Int16(p.code)
	w.Int64(p.highWatermark)
	w.Int64(p.lastStable)
	if version >= 5 {
		w.Int64(p.logStart)
	}
	if p.listAborted {
		arrayLen(w, flexible, len(p.aborted))
	} else {
		arrayLen(w, flexible, -1)
	}
	for _, a := range p.aborted {
		w.Int64(a.ProducerID)
		w.Int64(a.FirstOffset)
		if flexible {
			w.Byte(0)
		}
	}
	if version >= 11 {
		w.Int32(-1) // preferred read replica
	}
	size := 0
	for _, b := range p.records {
		size += len(b)
	}
	// Semantics line 33: no records is a length of zero, never null.
	arrayLen(w, flexible, size)
	for _, b := range p.records {
		w.Chunk(b)
	}
	if flexible {
		w.Byte(0)
	}
}

// arrayLen writes the length of an array or of bytes, which have the same form; -1 is null.
func arrayLen(w *wire.Writer, flexible bool, n int) {
	if flexible {
		w.Uvarint(uint32(n + 1))
	} else {
		w.Int32(int32(n))
	}
}
