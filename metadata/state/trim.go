package state

import pb "wadi/metadata/metadatapb"

// MaxTrims bounds the partitions of one TrimPartitions command.
const MaxTrims = 1000

// trimmed is a partition in line for the sweep, because its first run ended below its log start when that moved. Its
// topic may have been deleted since, and swept.
//
// The line is kept in bases, in its order: a replica that loads one sweeps as the others do. A partition is in it once.
type trimmed struct {
	topic     uint64
	partition uint32
}

// applyTrimPartitions moves the log start of partitions, each judged on its own. It moves forward only: a command that
// lands late, or twice, takes nothing back, and what it finds done is OK. Runs wholly below the log start go with a
// Sweep; one that the log start lies in stays whole, for its batches are never cut.
//
// That the topic, or what all topics get from the brokers, changed since base matters, whoever changed it, because who
// proposed has looked at its configs: records of a topic that is not to delete any must stay. The trim itself is no change of the topic.
func (s *State) applyTrimPartitions(base int64, c *pb.TrimPartitions, res *Result) Code {
	n := len(c.Topics)
	if n == 0 || n > MaxTrims || len(c.Partitions) != n || len(c.Offsets) != n {
		return Invalid
	}
	for i := range n {
		res.Batches = append(res.Batches, s.trim(base, c.Topics[i], c.Partitions[i], c.Offsets[i]))
	}
	return OK
}

func (s *State) trim(base int64, topic uint64, partition uint32, offset int64) BatchResult {
	t := s.TopicByNumber(topic)
	switch {
	case t == nil || int64(partition) >= int64(len(t.parts)):
		return BatchResult{Code: UnknownTopic, Base: -1, Time: -1}
	case t.Changed > base || s.defaultsChanged() > base:
		return BatchResult{Code: Conflict, Base: -1, Time: -1}
	case offset < 0 || offset > t.parts[partition].Next:
		return BatchResult{Code: OffsetOutOfRange, Base: -1, Time: -1}
	}
	if start := t.parts[partition].LogStart; offset <= start {
		return BatchResult{Base: start, Time: -1}
	}
	p := s.editPartition(s.editTopic(topic), partition)
	p.LogStart = offset
	if p.Manifest != nil && p.Manifest.Last < offset {
		s.loosen(p)
	}
	s.queueSpent(topic, partition, p)
	return BatchResult{Base: offset, Time: -1}
}

// queueSpent puts a partition in line for the sweep when its first run lies below its log start.
func (s *State) queueSpent(topic uint64, partition uint32, p *Partition) {
	if p.spent() && !p.queued {
		p.queued = true
		s.trimmed = append(s.trimmed, trimmed{topic, partition})
	}
}

// spent reports whether the first run ends below the log start.
func (p *Partition) spent() bool { return p.runs.len() > 0 && p.runs.first().Last < p.LogStart }
