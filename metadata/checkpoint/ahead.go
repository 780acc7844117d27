package checkpoint

import "context"

// ahead reads n things and uses them in order, with up to window reads under way or waiting to be used: an object store
// answers after tens of milliseconds, and a start that waited for each read alone would take seconds. The first error, in order,
// ends it; every read has returned by then. With a window of 1 everything happens on the caller's goroutine.
func ahead[T any](ctx context.Context, n, window int, read func(context.Context, int) (T, error), use func(T) error) error {
	if window == 1 {
		for i := range n {
			v, err := read(ctx, i)
			if err == nil {
				err = use(v)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	type answer struct {
		value T
		err   error
	}
	answers := make([]chan answer, n)
	begin := func(i int) {
		answers[i] = make(chan answer, 1)
		go func() {
			v, err := read(ctx, i)
			answers[i] <- answer{v, err}
		}()
	}
	begun := 0
	next := 0
	defer func() {
		cancel()
		for ; next < begun; next++ {
			<-answers[next]
		}
	}()
	for next < n {
		for ; begun < min(n, next+window); begun++ {
			begin(begun)
		}
		a := <-answers[next]
		answers[next] = nil
		next++
		if a.err != nil {
			return a.err
		}
		if err := use(a.value); err != nil {
			return err
		}
	}
	return nil
}
