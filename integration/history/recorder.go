package history

import (
	"sync"
	"time"
)

// Recorder takes facts from any number of goroutines. Its lock is held for the copy of one fact.
type Recorder struct {
	began time.Time

	mu struct {
		sync.Mutex
		chunks [][]Fact
		n      int64
		txns   int64
	}
}

// chunk is how many facts lie together: what is recorded is never copied again.
const chunk = 4096

// New is an empty recorder whose time begins now.
func New() *Recorder { return &Recorder{began: time.Now()} }

// Add records f and returns its N. N and At of f are set here.
func (r *Recorder) Add(f Fact) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.n++
	f.N, f.At = r.mu.n, int64(time.Since(r.began))
	last := len(r.mu.chunks) - 1
	if last < 0 || len(r.mu.chunks[last]) == chunk {
		r.mu.chunks = append(r.mu.chunks, make([]Fact, 0, chunk))
		last++
	}
	r.mu.chunks[last] = append(r.mu.chunks[last], f)
	return f.N
}

// NextTxn numbers a transaction.
func (r *Recorder) NextTxn() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.txns++
	return r.mu.txns
}

// Len is how many facts there are.
func (r *Recorder) Len() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.n
}

// Facts are those recorded so far, by N.
func (r *Recorder) Facts() []Fact {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Fact, 0, r.mu.n)
	for _, c := range r.mu.chunks {
		all = append(all, c...)
	}
	return all
}
