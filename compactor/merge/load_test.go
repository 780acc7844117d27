package merge

import (
	"math/rand/v2"
	"testing"

	"wadi/metadata/state"
)

// load is what a cluster is written, minute after minute: what merging it costs, and what is left.
type load struct {
	topics  []uint32 // partitions of each
	flushes int
	every   int // flushes between two passes
	archive int // flushes between two archives, 0 = none
	parts   func(r *rand.Rand, i int) []part
	size    func(r *rand.Rand, i int) uint32 // of a partition's bytes in a flush
	inline  func(i int) bool
	memory  int64   // of the merges, 0 = the default
	most    float64 // bytes merged for a byte produced
	objects int     // that are left
}

func (x load) run(t *testing.T) {
	l, c := newLog(t, x.topics...), Config{Memory: x.memory}.withDefaults()
	random := rand.New(rand.NewPCG(1, 2))
	written, mostTail := 0, 0
	for i := range x.flushes {
		parts := x.parts(random, i)
		l.write(x.inline != nil && x.inline(i), x.size(random, i), parts...)
		written += len(parts)
		if x.archive > 0 && i%x.archive == x.archive-1 {
			l.archive()
		}
		if i%x.every == x.every-1 {
			l.settle(c)
			eachTail(l.s, c, Scope{}, func(tail int) { mostTail = max(mostTail, tail) })
		}
	}
	l.check()
	amplification := float64(l.merged) / float64(l.produced)
	live := 0
	l.s.EachObject(func(_ uint64, o state.Object) {
		if o.Refs > 0 {
			live++
		}
	})
	most := 0
	eachTail(l.s, c, Scope{}, func(tail int) { most = max(most, tail) })
	t.Logf("%d MiB produced in %d runs: %.2f bytes merged for each, %.2f runs replaced for each, at most %d runs in a tail, %d objects",
		l.produced>>20, written, amplification, float64(l.replaced)/float64(written), mostTail, live)
	if amplification > x.most {
		t.Errorf("%.2f bytes merged for a byte produced", amplification)
	}
	if mostTail >= tiers*c.Debt+c.Crowd {
		t.Errorf("%d runs in a tail", mostTail)
	}
	if live > x.objects {
		t.Errorf("%d objects", live)
	}
}

func TestLoads(t *testing.T) {
	fixed := func(parts []part) func(*rand.Rand, int) []part { return func(*rand.Rand, int) []part { return parts } }
	between := func(from, to uint32) func(*rand.Rand, int) uint32 {
		return func(r *rand.Rand, _ int) uint32 { return from + r.Uint32N(to-from) }
	}
	some := func(n uint32, count int) func(*rand.Rand, int) []part {
		return func(r *rand.Rand, _ int) (list []part) {
			at := r.Uint32N(n)
			for range count {
				list = append(list, part{1, at})
				at = (at + 1 + r.Uint32N(2*n/uint32(count))) % n
			}
			return list
		}
	}
	for name, x := range map[string]load{
		// 20 MB/s for ten minutes, and for longer.
		"200 partitions":                  {topics: []uint32{200}, flushes: 2000, every: 10, parts: fixed(all(1, 200)), size: between(4<<20/200, 8<<20/200), most: 1.6, objects: 400},
		"200 partitions for half an hour": {topics: []uint32{200}, flushes: 7000, every: 60, parts: fixed(all(1, 200)), size: between(4<<20/200, 8<<20/200), most: 2.01, objects: 2000},
		"200 partitions, tiny flushes":    {topics: []uint32{200}, flushes: 84_000, every: 2800, parts: some(200, 5), size: between(13_000, 15_000), memory: 256 << 20, most: 1.6, objects: 300},
		"4 partitions":                    {topics: []uint32{4}, flushes: 4000, every: 10, parts: fixed(all(1, 4)), size: between(1<<20, 2<<20), most: 1.1, objects: 300},
		"20 partitions":                   {topics: []uint32{20}, flushes: 8000, every: 10, parts: fixed(all(1, 20)), size: between(4<<20/20, 8<<20/20), most: 2.01, objects: 800},
		"2,000 partitions":                {topics: []uint32{2000}, flushes: 500, every: 20, parts: fixed(all(1, 2000)), size: between(2000, 4000), most: 1.5, objects: 200},
		"100,000 partitions":              {topics: []uint32{10_000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000}, flushes: 600, every: 100, parts: wide(10, 10_000, 2000), size: between(100, 400), most: 2, objects: 1500},
		"a trickle":                       {topics: []uint32{3}, flushes: 40_000, every: 100, parts: fixed(all(1, 3)), size: between(500, 1500), most: 4, objects: 200},
		"a trickle inline":                {topics: []uint32{10}, flushes: 40_000, every: 1000, archive: 500, parts: some(10, 2), size: between(100, 1000), inline: func(int) bool { return true }, most: 4, objects: 100},
		"a trickle over 1,000":            {topics: []uint32{1000}, flushes: 5000, every: 100, parts: some(1000, 50), size: between(100, 1000), most: 4, objects: 600},
		"few after many":                  {topics: []uint32{1000}, flushes: 2000, every: 50, parts: fewAfterMany, size: between(1000, 20_000), most: 3, objects: 300},
		"rarely written among others":     {topics: []uint32{200}, flushes: 3000, every: 50, parts: rarely, size: between(20_000, 40_000), most: 2.5, objects: 400},
		"large and small in turn":         {topics: []uint32{2}, flushes: 20_000, every: 50, parts: fixed(all(1, 2)), size: bursts, most: 4, objects: 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x.run(t)
		})
	}
}

// wide is flushes of many of a great number of partitions.
func wide(topics uint64, partitions uint32, count int) func(*rand.Rand, int) []part {
	return func(r *rand.Rand, _ int) (list []part) {
		n := uint32(topics) * partitions
		at, step := r.Uint32N(n), n/uint32(count)
		for range count {
			list = append(list, part{1 + uint64(at/partitions), at % partitions})
			at = (at + 1 + r.Uint32N(2*step)) % n
		}
		return list
	}
}

// fewAfterMany writes to all partitions for a while, and then to some of them alone.
func fewAfterMany(_ *rand.Rand, i int) []part {
	if i < 500 {
		return all(1, 1000)
	}
	return all(1, 20)
}

// rarely writes to most partitions each time and to a few once in a while.
func rarely(_ *rand.Rand, i int) []part {
	if i%500 == 0 {
		return all(1, 200)
	}
	return all(1, 180)
}

// bursts are sizes from one byte to megabytes.
func bursts(r *rand.Rand, i int) uint32 {
	if i%97 < 3 {
		return 1<<20 + r.Uint32N(4<<20)
	}
	return 70 + r.Uint32N(1<<(i%14))
}
