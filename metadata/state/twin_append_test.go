package state

import (
	"math"
	"slices"

	pb "wadi/metadata/metadatapb"
)

// section, producerRun and sentBatch are the columns of AppendBatches, unfolded.
type section struct {
	topic  uint64
	part   uint32
	offset uint64
	runs   []producerRun
}

type producerRun struct {
	id    int64
	epoch int32
	seq   int32
	sent  []sentBatch

	transactional uint32
}

type sentBatch struct{ records, bytes, ms int64 }

// unfold is false for columns that do not fit each other or name bytes outside the object.
func (w *twin) unfold(k *pb.AppendBatches) (sections []section, ok bool) {
	size := k.Size
	if k.Flush == 0 {
		size = uint64(w.inline)
	}
	columns := &pb.AppendBatches{
		ProducerIds: k.ProducerIds, ProducerEpochs: k.ProducerEpochs, Sequences: k.Sequences, Batches: k.Batches,
		Records: k.Records, Bytes: k.Bytes, MaxTimestamps: k.MaxTimestamps,
	}
	if n := len(k.Topics); n == 0 || len(k.Partitions) != n || len(k.Offsets) != n || len(k.Runs) != n || size > math.MaxUint32 {
		return nil, false
	}
	if n := len(columns.ProducerIds); len(columns.ProducerEpochs) != n || len(columns.Sequences) != n || len(columns.Batches) != n {
		return nil, false
	}
	transactional := slices.Clone(k.Transactional)
	if len(transactional) == 0 {
		transactional = make([]uint32, len(columns.ProducerIds))
	}
	if len(transactional) != len(columns.ProducerIds) {
		return nil, false
	}
	for i, v := range transactional {
		if v > 2 || v > 0 && columns.ProducerIds[i] < 0 {
			return nil, false
		}
	}
	if n := len(columns.Records); len(columns.Bytes) != n || len(columns.MaxTimestamps) != n {
		return nil, false
	}
	ms := w.atMs
	for i := range k.Topics {
		s := section{topic: k.Topics[i], part: k.Partitions[i], offset: k.Offsets[i]}
		end := s.offset
		for range k.Runs[i] {
			if len(columns.ProducerIds) == 0 {
				return nil, false
			}
			r := producerRun{id: columns.ProducerIds[0], epoch: columns.ProducerEpochs[0], seq: columns.Sequences[0], transactional: transactional[0]}
			transactional = transactional[1:]
			for range columns.Batches[0] {
				if len(columns.Records) == 0 || columns.Records[0] == 0 || columns.Records[0] > math.MaxInt32 || columns.Bytes[0] == 0 {
					return nil, false
				}
				ms += columns.MaxTimestamps[0]
				end += uint64(columns.Bytes[0])
				r.sent = append(r.sent, sentBatch{int64(columns.Records[0]), int64(columns.Bytes[0]), ms})
				columns.Records, columns.Bytes = columns.Records[1:], columns.Bytes[1:]
				columns.MaxTimestamps = columns.MaxTimestamps[1:]
			}
			if len(r.sent) == 0 {
				return nil, false
			}
			s.runs = append(s.runs, r)
			columns.ProducerIds, columns.ProducerEpochs = columns.ProducerIds[1:], columns.ProducerEpochs[1:]
			columns.Sequences, columns.Batches = columns.Sequences[1:], columns.Batches[1:]
		}
		if len(s.runs) == 0 || s.offset > size || end > size {
			return nil, false
		}
		sections = append(sections, s)
	}
	return sections, len(columns.ProducerIds) == 0 && len(columns.Records) == 0
}

func (w *twin) append(k *pb.AppendBatches, index int) Result {
	sections, ok := w.unfold(k)
	if !ok {
		return Result{Code: Invalid}
	}
	number := uint64(0)
	if k.Flush != 0 {
		v := w.sessions[w.session]
		if k.Flush <= v.LastFlush { // DESIGN section 4: an introduction must raise the number
			return Result{Code: FlushReused}
		}
		v.LastFlush = k.Flush
		number = uint64(len(w.objects) + 1)
	}
	var res Result
	accepted := false
	for i, s := range sections {
		offset := s.offset
		for _, r := range s.runs {
			seq := r.seq
			for _, b := range r.sent {
				got := w.judge(s, r, seq, b)
				if got.Code == OK {
					accepted = true
					p := w.live(s.topic).parts[s.part]
					begins := w.joined(s, r, got.Base)
					p.batches = append(p.batches, twinBatch{
						base: got.Base, last: got.Base + b.records - 1, maxTimestamp: b.ms, position: w.position, object: number,
						section: index*1000 + i, offset: uint32(offset), length: uint32(b.bytes), begins: begins,
					})
					p.next += b.records
					w.appended += uint64(b.bytes)
				}
				res.Batches = append(res.Batches, got)
				offset += uint64(b.bytes)
				if seq >= 0 {
					seq = int32((int64(seq) + b.records) % (1 << 31))
				}
			}
		}
	}
	if accepted && number != 0 {
		kind := FlushObject
		if k.Hedge {
			kind = FlushHedgeObject
		}
		w.objects = append(w.objects, &twinObject{Object: Object{
			Session: w.session, N: k.Flush, Kind: kind, Size: k.Size, Introduced: w.position,
		}})
	}
	return res
}

func (w *twin) judge(s section, r producerRun, seq int32, b sentBatch) BatchResult {
	t := w.live(s.topic)
	if t == nil || int(s.part) >= len(t.parts) {
		return BatchResult{Code: UnknownTopic, Base: -1, Time: -1}
	}
	p := t.parts[s.part]
	if r.id >= 0 {
		if code := w.judgeTxn(s, r); code != OK {
			return BatchResult{Code: code, Base: -1, Time: -1}
		}
		if r.epoch < 0 || r.epoch > math.MaxInt16 {
			return BatchResult{Code: Invalid, Base: -1, Time: -1}
		}
		known := p.producers[r.id]
		if known == nil {
			known = &naiveProducer{}
		}
		code, base, ms := known.judge(r.id, int16(r.epoch), seq, int32(b.records), w.expired)
		if code != OK {
			return BatchResult{Code: code, Base: base, Time: ms}
		}
		stamp := w.atMs
		if w.stamps(t) {
			stamp = b.ms
		}
		known.push(int16(r.epoch), naiveBatch{seq: seq, records: int32(b.records), base: p.next, ms: stamp})
		p.producers[r.id] = known
	}
	return BatchResult{Code: OK, Base: p.next, Time: -1}
}
