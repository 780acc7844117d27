package sim

import (
	"slices"

	"wadi/metadata/state"
)

// readCommitted reads some of a log as a consumer does that wants what is committed alone: up to where the log is stable,
// without what the list of aborted transactions names. What it gets must be what the log holds of committed transactions,
// and of none, without a gap (I5 to I7). It returns where it got to.
func (a *agent) readCommitted(log int32, from int64, sure bool, maxRuns int, take func(logged)) (next int64, err error) {
	w := a.w
	if sure {
		told := w.oracle.txns.told[log]
		if err := a.pass(); err != nil {
			return from, err
		}
		if p := a.partition(log); p == nil || p.LSO() < told {
			w.violated("agent %d, behind a barrier, has log %d stable up to less than %d, which was told before", a.id, log, told)
			return from, nil
		}
	}
	p := a.partition(log)
	if p == nil {
		return from, nil
	}
	stable := p.LSO()
	if sure {
		w.oracle.txns.told[log] = max(w.oracle.txns.told[log], stable)
	}
	if from < 0 {
		from = p.LogStart + w.rng.Int64N(stable-p.LogStart+1)
	}
	if from < p.LogStart || from >= stable {
		return from, nil // this agent lags behind another that was read from, or nothing is stable yet
	}
	x, err := a.runsFrom(log, from, stable, maxRuns)
	if err != nil || len(x.runs) == 0 {
		return from, err
	}
	next = x.last() + 1
	if next > x.stable {
		w.violated("agent %d: a run of log %d to %d goes beyond offset %d, where it is stable", a.id, log, next-1, x.stable)
	}
	var entries []*logged
	got := x.runs[0].Base
	err = a.readRuns(log, x, func(e *logged, there []bool) {
		if got = e.last + 1; slices.Contains(there, true) {
			entries = append(entries, e)
		}
	})
	if err != nil || got < next {
		return from, err
	}
	w.filtered(a, log, from, entries, x.aborted, take)
	return next, nil
}

// filtered leaves out what a list of aborted transactions says, as consumers do, and compares what stays with the log.
// entries are those that were read, of which those below from are not for the consumer.
func (w *World) filtered(a *agent, log int32, from int64, entries []*logged, list []state.AbortedTxn, take func(logged)) {
	slices.SortFunc(list, func(a, b state.AbortedTxn) int { return int(a.First - b.First) })
	out := map[int64]bool{} // producers whose records are aborted here
	for _, x := range entries {
		if x.last < from {
			continue
		}
		for len(list) > 0 && list[0].First <= x.last {
			out[list[0].ProducerID] = true
			list = list[1:]
		}
		if x.attempt == nil {
			if x.txn.fate == aborted {
				delete(out, x.txn.by.id)
			}
			continue
		}
		data := x.attempt.data
		visible := !data.Transactional() || !out[data.ProducerID()]
		if must := x.txn == nil || x.txn.fate == committed; visible != must {
			w.violated("agent %d: log %d: a reader of what is committed sees offset %d: %t, its transaction is %v", a.id, log, x.base, visible, x.txn)
			return
		}
		if visible && take != nil {
			take(*x)
		}
	}
}
