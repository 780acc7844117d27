package steady

import (
	"math"
	"time"
)

const (
	// window is how many samples one histogram takes; an estimate is made of one to two windows.
	window = 512
	// steps is how many cells the histogram has per doubling: an estimate is at most 1/steps of a doubling, about 4 %,
	// above the sample it stands for.
	steps    = 16
	smallest = time.Millisecond
	cells    = 17*steps + 2 // up to 131 s, one below and one above
)

// quantile estimates a quantile of the last window to two windows of samples. It forgets by count and not by time: a
// store that is asked seldom is judged by what little is known.
type quantile struct {
	now, before [cells]uint16
	n, old      int // samples in them
}

func (q *quantile) add(d time.Duration) {
	if q.n == window {
		q.before, q.old = q.now, q.n
		q.now, q.n = [cells]uint16{}, 0
	}
	q.now[cellOf(d)]++
	q.n++
}

// count is how many samples an estimate would be made of.
func (q *quantile) count() int { return q.n + q.old }

// at is an upper bound of the p-quantile: the end of the cell that holds it. Without samples it is 0.
func (q *quantile) at(p float64) time.Duration {
	total := q.count()
	if total == 0 {
		return 0
	}
	rank := min(int(math.Ceil(p*float64(total))), total)
	seen := 0
	for i := range cells {
		if seen += int(q.now[i]) + int(q.before[i]); seen >= rank && seen > 0 {
			return cellEnd(i)
		}
	}
	return cellEnd(cells - 1)
}

func cellOf(d time.Duration) int {
	if d <= smallest {
		return 0
	}
	i := int(math.Ceil(math.Log2(float64(d)/float64(smallest)) * steps))
	return min(i, cells-1)
}

// cellEnd is the largest duration of a cell, that of the last but one for the last.
func cellEnd(i int) time.Duration {
	return time.Duration(float64(smallest) * math.Exp2(float64(min(i, cells-2))/steps))
}
