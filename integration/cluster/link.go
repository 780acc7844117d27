package cluster

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Link is a TCP proxy that can be cut: as in a network that drops packets, nothing moves on its connections and new
// ones are accepted by nobody's hand, until Heal lets all of it go on.
type Link struct {
	target   string
	listener net.Listener
	wg       sync.WaitGroup
	end      chan struct{} // closed at the end of the test

	mu struct {
		sync.Mutex
		open  chan struct{} // closed while the link is whole
		ended bool
		down  bool
		epoch int // connections of an earlier one are severed
		conns map[net.Conn]struct{}
	}
}

// NewLink listens on a free port until the test ends.
func NewLink(t testing.TB, target string) *Link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &Link{target: target, listener: l, end: make(chan struct{})}
	x.mu.open, x.mu.conns = make(chan struct{}), map[net.Conn]struct{}{}
	close(x.mu.open)
	x.wg.Go(x.accept)
	t.Cleanup(x.close)
	return x
}

// Address is host:port of the near end.
func (x *Link) Address() string { return x.listener.Addr().String() }

// Cut stops everything that flows.
func (x *Link) Cut() {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case <-x.mu.open:
		x.mu.open = make(chan struct{})
	default:
	}
}

// Heal lets it flow again, with what waited.
func (x *Link) Heal() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.down = false
	select {
	case <-x.mu.open:
	default:
		close(x.mu.open)
	}
}

// Down closes all connections and every new one, as when nobody listens, until Heal.
func (x *Link) Down() {
	x.mu.Lock()
	x.mu.down = true
	x.mu.Unlock()
	x.Reset()
}

// Sever freezes the connections of the moment for good, while new ones work: what a firewall that forgot its connections
// does. Only who gives a connection up by itself gets on.
func (x *Link) Sever() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.epoch++
}

// Reset closes all connections of the moment.
func (x *Link) Reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.mu.conns {
		c.Close()
	}
}

func (x *Link) close() {
	x.mu.Lock()
	x.mu.ended = true
	x.mu.Unlock()
	x.listener.Close()
	close(x.end)
	x.Reset()
	x.Heal()
	x.wg.Wait()
}

// pass returns when bytes of a connection may move.
func (x *Link) pass(epoch int) {
	x.mu.Lock()
	open, severed := x.mu.open, epoch < x.mu.epoch
	x.mu.Unlock()
	<-open
	if severed {
		<-x.end
	}
}

// keep adds connections; false when the link has ended or is down.
func (x *Link) keep(conns ...net.Conn) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range conns {
		if x.mu.ended || x.mu.down {
			c.Close()
			continue
		}
		x.mu.conns[c] = struct{}{}
	}
	return !x.mu.ended && !x.mu.down
}

func (x *Link) accept() {
	for {
		near, err := x.listener.Accept()
		if err != nil {
			return // closed
		}
		if x.keep(near) {
			x.wg.Go(func() { x.serve(near) })
		}
	}
}

func (x *Link) serve(near net.Conn) {
	defer x.drop(near)
	x.mu.Lock()
	epoch := x.mu.epoch
	x.mu.Unlock()
	x.pass(epoch)
	far, err := net.DialTimeout("tcp", x.target, 5*time.Second)
	if err != nil || !x.keep(far) {
		return
	}
	defer x.drop(far)
	var both sync.WaitGroup
	pump := func(dst, src net.Conn) {
		defer dst.Close() // half-open connections are of no use to anybody here
		buf := make([]byte, 64<<10)
		for {
			n, err := src.Read(buf)
			x.pass(epoch)
			if n > 0 {
				if _, err := dst.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	both.Go(func() { pump(far, near) })
	both.Go(func() { pump(near, far) })
	both.Wait()
}

func (x *Link) drop(c io.Closer) {
	c.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.mu.conns, c.(net.Conn))
}
