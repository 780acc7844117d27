package delay

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands in front of one agent. It goes on while the agent is stopped and started again; meanwhile the connections
// of clients are closed at once.
type Proxy struct {
	target   string
	rules    *Rules
	listener net.Listener
	wg       sync.WaitGroup
	end      chan struct{} // closed at the end of the test

	mu struct {
		sync.Mutex
		ended bool
		conns map[net.Conn]struct{}
	}
}

// Start listens on a free port of 127.0.0.1 until the test ends and forwards to the agent at target, host:port.
func Start(t testing.TB, target string, rules *Rules) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, rules: rules, listener: l, end: make(chan struct{})}
	p.mu.conns = map[net.Conn]struct{}{}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Address is host:port that clients connect to and that the agent advertises.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Port is the port of Address.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		if p.keep(near) {
			p.wg.Go(func() { p.serve(near) })
		}
	}
}

func (p *Proxy) serve(near net.Conn) {
	defer p.drop(near)
	far, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil || !p.keep(far) {
		return // the client sees a connection that is closed, and tries again
	}
	defer p.drop(far)
	newConn(p, near, far).run()
}

// keep adds a connection; false when the proxy has ended.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.ended {
		c.Close()
		return false
	}
	p.mu.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mu.conns, c)
}

func (p *Proxy) close() {
	p.listener.Close()
	close(p.end)
	p.mu.Lock()
	p.mu.ended = true
	for c := range p.mu.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
