package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"wadi/agent/api"
	"wadi/internal/batch"
	"wadi/metadata/state"
	"wadi/objstore"
)

// loadsPerFetch bounds how many reads of the object store one fetch has under way: enough to hide their latency from a
// reader that catches up on many partitions.
const loadsPerFetch = 16

// answer reads what the plans name and calls Done.
func (f *fetch) answer() {
	f.finish()
	ctx, cancel := context.WithTimeout(f.ctx, readTimeout)
	defer cancel()
	f.load(ctx)
	left, first := f.call.MaxBytes, true
	chunks := make([][]byte, len(f.places)) // all parts' share one array
	for i := range f.call.Parts {
		part, p := &f.call.Parts[i], &f.plans[i]
		if p.err != nil {
			part.Err = p.err
			continue
		}
		places := f.of(i)
		part.Records, chunks = chunks[:0:len(places)], chunks[len(places):]
		n, err := f.read(ctx, part, places, p.end, left, first)
		if errors.Is(err, objstore.ErrNotFound) && n == 0 {
			n, err = f.readAgain(ctx, i, left, first)
		}
		if err != nil && n == 0 {
			part.Err = readError(err)
		}
		onlyRead(part)
		left -= n
		first = first && n == 0
	}
	f.call.Done()
}

// load brings everything that is planned and not in memory, several reads at a time.
func (f *fetch) load(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(loadsPerFetch)
	for i := range f.places {
		if p := &f.places[i]; !f.log.src.cached(p) {
			group.Go(func() error {
				_, _ = f.log.src.load(ctx, p)
				return nil
			})
		}
	}
	_ = group.Wait() // each place holds its own error
}

// readAgain looks once more for an object that was missing: a merge may have replaced it.
func (f *fetch) readAgain(ctx context.Context, i, left int, first bool) (int, error) {
	if err := f.log.o.View.Barrier(ctx); err != nil {
		return 0, fmt.Errorf("%w: %w", api.ErrViewBehind, err)
	}
	for round := 0; ; round++ {
		l := look{left: int64(left)}
		f.log.o.View.Read(func(s *state.State) {
			l.state, f.wants = s, f.wants[:0]
			f.planPart(&l, i)
		})
		if len(f.wants) == 0 {
			break
		}
		if round == maxRounds {
			return 0, fmt.Errorf("%w: manifest %d has changed again", api.ErrStoreUnavailable, f.wants[0].volume.Object)
		}
		f.bring(false)
	}
	p := &f.plans[i]
	if err := cmp.Or(p.retry, p.err); err != nil {
		return 0, f.log.missing(err)
	}
	n, err := f.read(ctx, &f.call.Parts[i], f.of(i), p.end, left, first)
	return n, f.log.missing(err)
}

// missing raises the alarm for a range that State names and the store does not have, also after a barrier.
func (l *Log) missing(err error) error {
	var at *placeError
	if !errors.As(err, &at) || !errors.Is(err, objstore.ErrNotFound) {
		return err
	}
	l.o.Log.Error("object that the metadata names is missing", "key", at.key, "offset", at.offset, "error", err)
	if l.o.OnMissing != nil {
		l.o.OnMissing(at.key)
	}
	return fmt.Errorf("%w: %w", api.ErrObjectMissing, err)
}

// read fills a part's Records from its runs: whole batches up to the limits, but at least one for the first part of a
// request that has any (Semantics line 31, KIP-74). It returns the bytes. After an error, what comes before is there.
func (f *fetch) read(
	ctx context.Context, part *api.FetchPart, places []place, end int64, left int, first bool,
) (int, error) {
	limit, n := min(left, part.MaxBytes), 0
	part.Records = part.Records[:0]
	for i := range places {
		if n >= limit && !(first && n == 0) {
			break
		}
		if r := &places[i].run; r.Marker() {
			if n+batch.MarkerBytes > limit && !(first && n == 0) {
				break
			}
			part.Records = append(part.Records, f.marker(r))
			n += batch.MarkerBytes
			continue
		}
		x, err := f.log.src.load(ctx, &places[i])
		if err != nil {
			return n, err
		}
		chunk, over := x.from(part.Offset, end, limit-n, first && n == 0)
		if over {
			continue
		}
		if len(chunk) == 0 {
			break
		}
		part.Records = append(part.Records, chunk)
		n += len(chunk)
		if last := &x.data[len(x.data)-1]; last != &chunk[len(chunk)-1] {
			break // the run was cut by the limit: what follows does not come next
		}
	}
	return n, nil
}

// readError names a failure in the terms of the protocol edge.
func readError(err error) error {
	switch {
	case errors.Is(err, api.ErrObjectMissing), errors.Is(err, api.ErrViewBehind), errors.Is(err, api.ErrUnknownTopic),
		errors.Is(err, api.ErrOffsetOutOfRange):
		return err
	default:
		return fmt.Errorf("%w: %w", api.ErrStoreUnavailable, err)
	}
}
