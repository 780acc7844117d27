package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line of input.
const maxLine = 16 << 20

// eachLine calls f with each line, numbered from 1 and without its newline, until the input or ctx ends or f fails.
// f owns the line. A read that blocks (a terminal) does not keep ctx from ending the call: the goroutine that reads is
// left behind then, to end with the process or with the next line.
func eachLine(ctx context.Context, in io.Reader, f func(number int, line []byte) error) error {
	lines := make(chan []byte)
	failed := make(chan error, 1)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(make([]byte, 64<<10), maxLine)
		scanner.Split(splitLines)
		for scanner.Scan() {
			select {
			case lines <- bytes.Clone(scanner.Bytes()):
			case <-ctx.Done():
				failed <- ctx.Err()
				return
			}
		}
		failed <- scanner.Err()
	}()
	for number := 1; ; number++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-lines:
			if !ok {
				return inputError(number, <-failed)
			}
			if err := f(number, line); err != nil {
				return err
			}
		}
	}
}

func inputError(number int, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d is longer than %d bytes", number, maxLine)
	default:
		return fmt.Errorf("standard input, line %d: %w", number, err)
	}
}

// splitLines splits at newlines and at nothing else: a carriage return belongs to the record.
func splitLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
