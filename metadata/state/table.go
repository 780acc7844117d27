package state

// table is a hash table from uint64 keys to values, grown by linear hashing: one bucket splits per so many inserts, so
// no single insert pays for a rehash of everything. Buckets are copied on their first change after a freeze: a bucket
// whose gen is older than the editor's may be shared with a snapshot.
type table[V any] struct {
	buckets []*bucket[V]
	n       int
}

type bucket[V any] struct {
	gen   uint64
	items []item[V]
}

type item[V any] struct {
	key   uint64
	value V
}

const bucketLoad = 6 // mean items per bucket before the next one splits

func (t *table[V]) len() int { return t.n }

// index is the bucket of a key: the low bits of its hash, one bit more for buckets that have split this round.
func (t *table[V]) index(key uint64) int {
	h := (key ^ key>>32) * 0x9e3779b97f4a7c15
	h ^= h >> 32
	m := roundDown(len(t.buckets))
	if i := int(h & uint64(2*m-1)); i < len(t.buckets) {
		return i
	}
	return int(h & uint64(m-1))
}

// roundDown is the largest power of two that is at most n; n is at least 1.
func roundDown(n int) int {
	m := 1
	for m<<1 <= n {
		m <<= 1
	}
	return m
}

// get returns the value for reading, nil when there is none. It is valid until the table changes.
func (t *table[V]) get(key uint64) *V {
	if t.n == 0 {
		return nil
	}
	b := t.buckets[t.index(key)]
	for i := range b.items {
		if b.items[i].key == key {
			return &b.items[i].value
		}
	}
	return nil
}

// edit returns the value for change, nil when there is none. It is valid until the table changes.
func (t *table[V]) edit(key, gen uint64) *V {
	if t.n == 0 {
		return nil
	}
	at := t.index(key)
	b := t.buckets[at]
	for i := range b.items {
		if b.items[i].key == key {
			return &t.own(at, gen).items[i].value
		}
	}
	return nil
}

// put stores a value under a key that is not there yet and returns it for change.
func (t *table[V]) put(key uint64, value V, gen uint64) *V {
	if len(t.buckets) == 0 {
		t.buckets = append(t.buckets, &bucket[V]{gen: gen})
	} else if t.n >= len(t.buckets)*bucketLoad {
		t.split(gen)
	}
	b := t.own(t.index(key), gen)
	b.items = append(b.items, item[V]{key, value})
	t.n++
	return &b.items[len(b.items)-1].value
}

// remove forgets a key.
func (t *table[V]) remove(key, gen uint64) {
	if t.n == 0 {
		return
	}
	at := t.index(key)
	for i := range t.buckets[at].items {
		if t.buckets[at].items[i].key == key {
			b := t.own(at, gen)
			last := len(b.items) - 1
			b.items[i] = b.items[last]
			b.items[last] = item[V]{}
			b.items = b.items[:last]
			t.n--
			return
		}
	}
}

// each visits all items in no particular order; callers that care sort.
func (t *table[V]) each(visit func(key uint64, value *V)) {
	for _, b := range t.buckets {
		for i := range b.items {
			visit(b.items[i].key, &b.items[i].value)
		}
	}
}

// numbered visits the items whose keys are numbers from a counter, those above `after` up to last, looking at no more than
// limit numbers, and returns after which to go on; 0 when it has come to the end.
func (t *table[V]) numbered(after, last uint64, limit int, visit func(*V)) (next uint64) {
	for n := after + 1; n <= last; n++ {
		if limit--; limit < 0 {
			return n - 1
		}
		if v := t.get(n); v != nil {
			visit(v)
		}
	}
	return 0
}

// some visits the items of buckets from index from on, until about limit were visited, and returns the index of the next
// bucket; 0 when it has come to the end. The order is this table's own: another replica's is not the same.
func (t *table[V]) some(from, limit int, visit func(key uint64, value *V)) (next int) {
	for i := from; i < len(t.buckets); i++ {
		if limit <= 0 {
			return i
		}
		b := t.buckets[i]
		limit -= 1 + len(b.items)
		for j := range b.items {
			visit(b.items[j].key, &b.items[j].value)
		}
	}
	return 0
}

// share is a copy whose buckets are shared; both sides must edit with a gen above that of every bucket.
func (t *table[V]) share() table[V] {
	return table[V]{buckets: append([]*bucket[V](nil), t.buckets...), n: t.n}
}

func (t *table[V]) own(at int, gen uint64) *bucket[V] {
	b := t.buckets[at]
	if b.gen != gen {
		b = &bucket[V]{gen: gen, items: append(make([]item[V], 0, len(b.items)+1), b.items...)}
		t.buckets[at] = b
	}
	return b
}

func (t *table[V]) split(gen uint64) {
	from := len(t.buckets) - roundDown(len(t.buckets))
	old := t.buckets[from]
	t.buckets = append(t.buckets, nil)
	low, high := &bucket[V]{gen: gen}, &bucket[V]{gen: gen}
	t.buckets[from], t.buckets[len(t.buckets)-1] = low, high
	for _, it := range old.items {
		b := t.buckets[t.index(it.key)]
		b.items = append(b.items, it)
	}
}
