package state

import pb "wadi/metadata/metadatapb"

// MaxSweep bounds what one Sweep command does.
const MaxSweep = 1000

// Unswept is how many deleted topics and trimmed partitions wait for a Sweep. 0: there is nothing to sweep.
func (s *State) Unswept() int { return len(s.deleted) + len(s.trimmed) }

// LastSweep is the position of the newest Sweep applied since this State was made or loaded, 0 = none: it tells that
// somebody sweeps.
func (s *State) LastSweep() int64 { return s.lastSweep }

// applySweep drops runs: first those below the log start of trimmed partitions, then those of deleted topics, oldest
// deletion first. A step is a run dropped, or a partition done. ID tells what waits still.
func (s *State) applySweep(c *pb.Sweep, res *Result) Code {
	s.lastSweep = s.position
	left := s.sweepTrimmed(int(min(c.Limit, MaxSweep)))
	s.sweepDeleted(left)
	res.ID = int64(s.Unswept())
	return OK
}

func (s *State) sweepTrimmed(left int) int {
	for ; left > 0 && len(s.trimmed) > 0; left-- {
		x := s.trimmed[0]
		if t := s.TopicByNumber(x.topic); t != nil { // else the runs go with the topic
			p := s.editPartition(s.editTopic(x.topic), x.partition)
			if p.spent() {
				r := p.runs.popFront()
				s.dropRun(r)
				s.abortedCount -= p.aborted.dropTo(r.Last)
				continue
			}
			p.queued = false
		}
		if s.trimmed = s.trimmed[1:]; len(s.trimmed) == 0 {
			s.trimmed = nil // lets the array go
		}
	}
	return left
}

func (s *State) sweepDeleted(left int) {
	for left > 0 && len(s.deleted) > 0 {
		t := s.editTopic(s.deleted[0])
		for ; left > 0 && int(t.swept) < len(t.parts); left-- {
			p := t.parts[t.swept]
			if p.runs.len() == 0 {
				if n := p.producers.len(); n > 0 { // dropped now: a base written next must not bring them back
					s.producerCount -= n
					s.editPartition(t, t.swept).producers = table[producer]{}
				}
				if p.aborted.n > 0 || len(p.open) > 0 {
					s.abortedCount -= p.aborted.n
					q := s.editPartition(t, t.swept)
					q.aborted, q.open = abortedList{}, nil
				}
				if p.Manifest != nil {
					s.loosen(s.editPartition(t, t.swept))
				}
				t.swept++
				continue
			}
			r, _ := s.editPartition(t, t.swept).runs.popBack()
			s.dropRun(r)
		}
		if int(t.swept) < len(t.parts) {
			break
		}
		s.forgottenDeletes = max(s.forgottenDeletes, t.Deleted)
		s.heldPartitions -= len(t.parts)
		s.topics.remove(t.Number, s.gen)
		s.deleted = s.deleted[1:]
	}
}
