package state

// What administrators ask of a partition. Nothing here changes anything.

// Producer is what a partition remembers of a producer id.
type Producer struct {
	ID           int64
	Epoch        int16 // of its last batch, or that of the marker that ended it with the transaction
	LastSequence int32 // of the last record of its last batch, -1 = none in this epoch
	LastTime     int64 // Unix ms: when its last batch was appended
}

// Bytes is the size of all runs, those that a manifest lists and those below LogStart that wait for a sweep included.
func (p *Partition) Bytes() int64 {
	if p.Manifest != nil {
		return p.runs.bytes + p.Manifest.Bytes
	}
	return p.runs.bytes
}

// Producers appends to dst every producer id that the partition remembers, in no particular order.
func (p *Partition) Producers(dst []Producer) []Producer {
	p.producers.each(func(id uint64, v *producer) {
		dst = append(dst, Producer{ID: int64(id), Epoch: v.epoch(), LastSequence: v.lastSeq, LastTime: v.time()})
	})
	return dst
}
