package fault

import (
	"bytes"
	"context"
	"time"
)

// Effect is what a fault does to a call.
type Effect struct {
	name   string
	before func(context.Context, Call) error
	after  func(context.Context, Call) error
	mangle func([]byte) []byte
}

// FailBefore fails the call before it has had any effect. A nil err is ErrInjected.
func FailBefore(err error) Effect {
	err = orInjected(err)
	return Effect{name: "fail-before", before: func(context.Context, Call) error { return err }}
}

// FailAfter makes the call and loses its answer, good or bad: err is returned in its place. A nil err is ErrInjected.
func FailAfter(err error) Effect {
	err = orInjected(err)
	return Effect{name: "fail-after", after: func(context.Context, Call) error { return err }}
}

// HangBefore keeps the call until its context ends, and never makes it.
func HangBefore() Effect { return Effect{name: "hang-before", before: hang} }

// HangAfter makes the call and keeps its answer until the context ends.
func HangAfter() Effect { return Effect{name: "hang-after", after: hang} }

// TornBody makes a Get return only the first n bytes, without an error: what a store that breaks the contract, or a disk
// that lost the end of a file, would do.
func TornBody(n int) Effect {
	return Effect{name: "torn", mangle: func(b []byte) []byte { return b[:min(n, len(b))] }}
}

// FlipByte inverts the byte at index at of what a Get returns, without an error; a negative index counts from the end.
func FlipByte(at int) Effect {
	return Effect{name: "flipped", mangle: func(b []byte) []byte {
		i := at
		if i < 0 {
			i += len(b)
		}
		if i < 0 || i >= len(b) {
			return b
		}
		b = bytes.Clone(b)
		b[i] ^= 0xff
		return b
	}}
}

// Delay lets d pass before the call, in sleep (nil is Sleep).
func Delay(d time.Duration, sleep Sleeper) Effect {
	if sleep == nil {
		sleep = Sleep
	}
	return Effect{name: "delay", before: func(ctx context.Context, _ Call) error { return sleep(ctx, d) }}
}

// Hook runs before and after the call (either may be nil): to stop the process there, or to hold the call until
// something else has happened. An error stands for the call's, as with FailBefore and FailAfter.
func Hook(before, after func(context.Context, Call) error) Effect {
	return Effect{name: "hook", before: before, after: after}
}

func hang(ctx context.Context, _ Call) error {
	<-ctx.Done()
	return ctx.Err()
}

func orInjected(err error) error {
	if err == nil {
		return ErrInjected
	}
	return err
}
