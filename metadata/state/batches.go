package state

import (
	"math"

	pb "wadi/metadata/metadatapb"
)

// applyAppendBatches judges every batch on its own and appends the accepted ones. Adjacent accepted batches of a
// section become one run.
func (s *State) applyAppendBatches(c *pb.AppendBatches, inline []byte, res *Result) Code {
	if !wellFormed(c, len(inline)) {
		return Invalid
	}
	if c.Flush != 0 {
		v := s.sessions.edit(uint64(s.session), s.gen)
		if c.Flush <= v.LastFlush {
			return FlushReused
		}
		v.LastFlush = c.Flush
	}
	a := appender{s: s, c: c, res: res, ms: s.atMs}
	if c.Flush == 0 {
		a.place, a.flags = uint64(s.position), RunInline
	} else {
		a.place = s.nextObject // taken below, when a batch was accepted
	}
	s.warmer.warm(s, c)
	for i := range c.Topics {
		a.section(i)
	}
	switch {
	case a.runs == 0:
	case c.Flush == 0:
		e := s.editEpoch(s.position)
		e.runs += a.runs
		e.bytes += a.bytes
	default:
		kind := FlushObject
		if c.Hedge {
			kind = FlushHedgeObject
		}
		s.introduce(Object{
			Session: s.session, N: c.Flush, Kind: kind, Size: c.Size, Refs: a.runs, Introduced: s.position,
		})
	}
	s.runCount += int(a.runs)
	s.appended += a.bytes
	return OK
}

// wellFormed checks that the columns fit each other and that all bytes lie within the object.
func wellFormed(c *pb.AppendBatches, inline int) bool {
	size := c.Size
	if c.Flush == 0 {
		size = uint64(inline)
	}
	sections, runs, batches := len(c.Topics), len(c.ProducerIds), len(c.Records)
	switch {
	case sections == 0 || size > math.MaxUint32:
		return false
	case len(c.Partitions) != sections || len(c.Offsets) != sections || len(c.Runs) != sections:
		return false
	case len(c.ProducerEpochs) != runs || len(c.Sequences) != runs || len(c.Batches) != runs:
		return false
	case len(c.Bytes) != batches || len(c.MaxTimestamps) != batches:
		return false
	case len(c.Transactional) != 0 && len(c.Transactional) != runs:
		return false
	}
	for i, v := range c.Transactional {
		if v > 2 || v != 0 && c.ProducerIds[i] < 0 {
			return false
		}
	}
	run, batch := 0, 0
	for i := range sections {
		if c.Runs[i] == 0 || uint64(c.Runs[i]) > uint64(runs-run) {
			return false
		}
		end := c.Offsets[i]
		for _, n := range c.Batches[run : run+int(c.Runs[i])] {
			if n == 0 || uint64(n) > uint64(batches-batch) {
				return false
			}
			for j := batch; j < batch+int(n); j++ {
				if c.Records[j] == 0 || c.Records[j] > math.MaxInt32 || c.Bytes[j] == 0 {
					return false
				}
				end += uint64(c.Bytes[j])
			}
			batch += int(n)
		}
		run += int(c.Runs[i])
		if c.Offsets[i] > size || end > size {
			return false
		}
	}
	return run == runs && batch == batches
}

// appender walks the columns of one command.
type appender struct {
	s     *State
	c     *pb.AppendBatches
	res   *Result
	place uint64
	flags uint32
	ms    int64 // max timestamp of the batch before
	run   int   // index of the next producer run
	batch int   // index of the next batch
	runs  uint64
	bytes uint64
}

func (a *appender) section(i int) {
	c, s := a.c, a.s
	var part *Partition
	var topic *Topic
	if t := s.TopicByNumber(c.Topics[i]); t != nil && int(c.Partitions[i]) < len(t.parts) {
		topic = s.editTopic(t.Number)
		part = s.editPartition(topic, c.Partitions[i])
	}
	open := Run{Place: a.place, Flags: a.flags, Offset: uint32(c.Offsets[i]), Base: -1}
	for end := a.run + int(c.Runs[i]); a.run < end; a.run++ {
		seq := c.Sequences[a.run]
		var prod *producer
		id, epoch := c.ProducerIds[a.run], c.ProducerEpochs[a.run]
		var txn *Txn
		transactional := uint32(0)
		if len(c.Transactional) > 0 {
			transactional = c.Transactional[a.run]
		}
		if part != nil && id >= 0 {
			prod = part.producers.edit(uint64(id), s.gen)
			txn = s.TxnByProducer(id)
		}
		for n := c.Batches[a.run]; n > 0; n-- {
			records, size := int32(c.Records[a.batch]), c.Bytes[a.batch]
			a.ms += c.MaxTimestamps[a.batch]
			a.batch++
			r := BatchResult{Code: UnknownTopic, Base: -1, Time: -1}
			if part != nil {
				stamp := s.atMs
				if s.StampsAppendTime(topic) {
					stamp = a.ms
				}
				if code := judgeTxnBatches(txn, topic.Number, c.Partitions[i], id, epoch, transactional); code != OK {
					r.Code = code
				} else {
					r, prod = s.judge(part, prod, id, epoch, seq, records, stamp)
				}
			}
			if r.Code == OK {
				if transactional != 0 && s.joinTxn(txn, part, topic.Number, c.Partitions[i], r.Base) {
					a.close(part, &open) // the last stable offset is always where a run begins
					txn = s.TxnByProducer(id)
				}
				if open.Base < 0 {
					open.Base, open.MaxTimestamp = r.Base, a.ms
				}
				open.Last = r.Base + int64(records) - 1
				open.MaxTimestamp = max(open.MaxTimestamp, a.ms)
				open.Length += size
			} else {
				a.close(part, &open)
				open.Offset += size
			}
			a.res.Batches = append(a.res.Batches, r)
			if seq >= 0 {
				seq = AddSequence(seq, records)
			}
		}
	}
	a.close(part, &open)
}

// close appends the open run, if it holds anything, and opens the next one behind it.
func (a *appender) close(part *Partition, open *Run) {
	if open.Base >= 0 {
		part.runs.append(*open)
		a.runs++
		a.bytes += uint64(open.Length)
	}
	*open = Run{Place: open.Place, Flags: open.Flags, Offset: open.Offset + open.Length, Base: -1}
}

// judge accepts or rejects one batch, assigns its offsets and remembers its producer. It returns the producer's state,
// which the first accepted batch of an id creates.
func (s *State) judge(part *Partition, prod *producer, id int64, epoch, seq, records int32, ms int64) (BatchResult, *producer) {
	if part.Next > math.MaxInt64-int64(records) {
		return BatchResult{Code: TooMany, Base: -1, Time: -1}, prod
	}
	if id >= 0 {
		if epoch < 0 || epoch > math.MaxInt16 {
			return BatchResult{Code: Invalid, Base: -1, Time: -1}, prod
		}
		code, base, at := prod.judge(id, int16(epoch), seq, records, s.highestExpired)
		if code == OK && prod == nil && s.producerCount >= MaxProducers {
			code = TooMany
		}
		if code != OK {
			return BatchResult{Code: code, Base: base, Time: at}, prod
		}
		switch {
		case prod == nil:
			s.producerCount++
			prod = part.producers.put(uint64(id), newProducer(int16(epoch), seq, records, part.Next, ms), s.gen)
		case int16(epoch) != prod.epoch():
			*prod = newProducer(int16(epoch), seq, records, part.Next, ms)
		default:
			prod.push(seq, records, part.Next, ms)
		}
	}
	base := part.Next
	part.Next += int64(records)
	return BatchResult{Code: OK, Base: base, Time: -1}, prod
}
