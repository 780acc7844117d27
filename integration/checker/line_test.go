package checker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// named is a server that says its name to whoever sends it a frame.
func named(t *testing.T, name string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					var frame [14]byte
					if _, err := io.ReadFull(in, frame[:]); err != nil {
						return
					}
					// The same correlation id, then the name.
					fmt.Fprintf(c, "\x00\x00\x00\x05%s%s", frame[8:12], name)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// answers asks who is at the other end of a connection.
func answers(c net.Conn) (string, error) {
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	// A header of 10 bytes: key 1000, which nobody knows, version 0, correlation 7, no client id.
	if _, err := c.Write([]byte("\x00\x00\x00\x0a\x03\xe8\x00\x00\x00\x00\x00\x07\xff\xff")); err != nil {
		return "", err
	}
	var b [9]byte
	_, err := io.ReadFull(c, b[:])
	return string(b[8:]), err
}

func dial(t *testing.T, l *line, address string) net.Conn {
	t.Helper()
	c, err := l.dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func expect(t *testing.T, c net.Conn, name string) {
	t.Helper()
	if got, err := answers(c); err != nil || got != name {
		t.Fatalf("%q, %v; want %q", got, err, name)
	}
}

func TestLines(t *testing.T) {
	n := newNetwork(t, []string{named(t, "A"), named(t, "B")})
	roaming, fixed := n.line(), n.line()
	fixed.roams = false
	before := dial(t, roaming, n.addresses[0])
	expect(t, before, "A")
	if _, err := roaming.dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil {
		t.Fatal("a broker that is none")
	}

	back := n.move(0, 1)
	astray := dial(t, roaming, n.addresses[0])
	expect(t, astray, "B")
	right := dial(t, roaming, n.addresses[1])
	expect(t, right, "B")
	expect(t, before, "A")
	expect(t, dial(t, fixed, n.addresses[0]), "A")
	back()
	if _, err := answers(astray); err == nil {
		t.Fatal("a connection that is astray for ever")
	}
	expect(t, right, "B")
	expect(t, dial(t, roaming, n.addresses[0]), "A")

	closed := 0
	for seed := uint64(0); closed == 0 && seed < 20; seed++ {
		closed = n.reset(rand.New(rand.NewPCG(seed, 0)))
	}
	if _, err := answers(right); err == nil || closed != 1 {
		t.Fatalf("%d lines reset, %v", closed, err)
	}

	last := dial(t, roaming, n.addresses[0])
	roaming.cut()
	if _, err := answers(last); err == nil {
		t.Fatal("a crashed client talks")
	}
	if _, err := roaming.dial(t.Context(), "tcp", n.addresses[0]); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
}

func TestHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var x holder
		ctx := context.Background()
		x.give(ctx, held{id: "nobody asked"})
		if _, ok := x.next(ctx, time.Second); ok {
			t.Fatal("there was none")
		}
		x.give(ctx, held{id: "nobody asks any more"})
		ended := make(chan string, 2)
		for _, id := range []string{"a", "b"} {
			go func() {
				time.Sleep(time.Second)
				x.give(ctx, held{id: id, on: make(chan struct{})})
				ended <- id
			}()
		}
		h, ok := x.next(ctx, time.Minute)
		if !ok {
			t.Fatal("none came")
		}
		if other := <-ended; other == h.id {
			t.Fatal(other, "was not held")
		}
		close(h.on)
		if id := <-ended; id != h.id {
			t.Fatal(id)
		}
	})
}
