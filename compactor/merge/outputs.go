package merge

import "wadi/metadata/state"

// candidate is a range that goes into an output.
type candidate struct {
	Range
	bytes int64
}

// maxPlanRuns bounds the memory of a plan, and of what is known about where its bytes lie: some 150 bytes for each.
const maxPlanRuns = 100_000

// outputs are the objects that stretches become. Every partition has one range at most: State judges it by the
// partition's version, which the first range raises.
func (m *planner) outputs(find finder) []Output {
	var own, shared []candidate
	left, total, runs := m.c.MaxInput, int64(0), maxPlanRuns
	m.each(func(t *state.Topic, sh shape, i uint32, p *state.Partition) {
		done := left <= 0 || runs <= 0
		m.stretches(t, i, p, func(list []item) {
			if done {
				return
			}
			list, isOwn := m.take(sh, list, find)
			if done = len(list) > 0; !done {
				return
			}
			x := candidate{Range: Range{Topic: t.Number, Partition: i, Version: p.Version, shape: sh}, bytes: bytesOf(list)}
			x.Runs = make([]state.Run, len(list))
			for k := range list {
				x.Runs[k] = list[k].run
			}
			runs -= len(list)
			if left -= x.bytes; isOwn {
				own = append(own, x)
			} else {
				shared, total = append(shared, x), total+x.bytes
			}
		})
	})
	// Objects of about the same size: cut as they fill up, the last one would be small more often than not.
	n := max((total+m.c.MaxOutput-1)/m.c.MaxOutput, 1)
	list := m.pack(shared, (total+n-1)/n)
	for i := range own {
		list = append(list, m.pack(own[i:i+1], 0)...)
	}
	return list
}

// take is what to merge of a stretch: what find says, within bounds, or, when that makes an object of its own, all from
// the front on.
func (m *planner) take(sh shape, list []item, find finder) (taken []item, own bool) {
	from, to, ok := find(sh, list)
	if !ok {
		return nil, false
	}
	if !m.cleaned && (bytesOf(list[from:to]) >= m.c.Own || bytesOf(list[:to]) >= m.c.MaxOutput) {
		if all := m.bounded(list[:to]); bytesOf(all) >= m.c.Own {
			return all, true
		}
	}
	return m.bounded(list[from:to]), false
}

// bounded is the front of a list that one object takes: all of it, or one of so many parts of about the same size.
func (m *planner) bounded(list []item) []item {
	bytes := bytesOf(list)
	share := m.c.MaxOutput
	if bytes > share {
		n := (bytes + share - 1) / share
		share = (bytes + n - 1) / n
	}
	bytes, inline := int64(0), int64(0)
	for k := range list {
		n := int64(list[k].run.Length)
		if bytes >= share || k == state.MaxReplacedRuns {
			return list[:k]
		}
		if list[k].run.Inline() {
			if inline > 0 && inline+n > m.c.MaxInline {
				return list[:k]
			}
			inline += n
		}
		bytes += n
	}
	return list
}

// pack puts ranges into objects of about so many bytes, and of no more runs and sources than one takes.
func (m *planner) pack(ranges []candidate, size int64) (list []Output) {
	var open Output
	runs, inline := 0, int64(0)
	sources := map[uint64]struct{}{}
	end := func() {
		if len(open.Ranges) > 0 {
			list = append(list, open)
		}
		open, runs, inline = Output{from: m.s}, 0, 0
		clear(sources)
	}
	end()
	for i := range ranges {
		r := &ranges[i]
		more, bytes := 0, int64(0)
		for _, x := range r.Runs {
			if x.Inline() {
				bytes += int64(x.Length)
			} else if _, has := sources[x.Place]; !has && !x.Marker() {
				more++ // counts an object several times that holds several of the range's runs: it is a bound
			}
		}
		if open.Bytes >= size || len(open.Ranges) == state.MaxReplaceRanges || runs+len(r.Runs) > state.MaxReplacedRuns ||
			inline+bytes > m.c.MaxInline || len(sources)+more > m.c.MaxSources {
			end()
		}
		for _, x := range r.Runs {
			if !x.Inline() && !x.Marker() {
				sources[x.Place] = struct{}{}
			}
		}
		open.Ranges = append(open.Ranges, r.Range)
		open.Bytes += r.bytes
		runs += len(r.Runs)
		inline += bytes
	}
	end()
	return list
}
