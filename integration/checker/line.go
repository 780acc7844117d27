package checker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"wadi/integration/delay"
)

// network is the brokers as clients reach them: a proxy in front of each.
type network struct {
	addresses []string // as the brokers tell them
	proxies   []*delay.Proxy
	rules     *delay.Rules

	mu struct {
		sync.Mutex
		lines map[*line]struct{}
		moved map[int]int // connections that are made to a broker go to another one
	}
}

func newNetwork(t testing.TB, addresses []string) *network {
	n := &network{addresses: addresses, rules: delay.NewRules()}
	for _, a := range addresses {
		n.proxies = append(n.proxies, delay.Start(t, a, n.rules))
	}
	n.mu.lines, n.mu.moved = map[*line]struct{}{}, map[int]int{}
	return n
}

// move sends new connections for one broker to another one until the result is called: their clients do not know. Then
// those connections end, as no client would be sent to the wrong broker for ever.
func (n *network) move(from, to int) (back func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.moved[from] = to
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.mu.moved, from)
		for l := range n.mu.lines {
			l.astray(from)
		}
	}
}

// broker is the number of the broker behind a proxy.
func (n *network) broker(p *delay.Proxy) int {
	for i, x := range n.proxies {
		if x == p {
			return i
		}
	}
	return -1
}

// reset closes the connections of about a half of all lines, and returns how many lines that were.
func (n *network) reset(random *rand.Rand) int {
	n.mu.Lock()
	var list []*line
	for l := range n.mu.lines {
		if l.roams && random.IntN(2) == 0 {
			list = append(list, l)
		}
	}
	n.mu.Unlock()
	closed := 0
	for _, l := range list {
		if l.reset() > 0 {
			closed++
		}
	}
	return closed
}

// line is one client's way to the brokers.
type line struct {
	net   *network
	roams bool // it is sent to other brokers where they are moved

	mu struct {
		sync.Mutex
		cut   bool
		conns map[net.Conn]int // the broker that the client takes it for, where it is another one, else -1
	}
}

func (n *network) line() *line {
	l := &line{net: n, roams: true}
	l.mu.conns = map[net.Conn]int{}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.lines[l] = struct{}{}
	return l
}

var errCut = errors.New("the client has crashed")

// dial is kgo's dialer.
func (l *line) dial(ctx context.Context, network, host string) (net.Conn, error) {
	proxy, takenFor, err := l.target(host)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: 2 * time.Second}
	c, err := d.DialContext(ctx, network, proxy)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.cut {
		c.Close()
		return nil, errCut
	}
	l.mu.conns[c] = takenFor
	return kept{c, l}, nil
}

// target is the proxy that a connection goes to, and the broker whose place that takes, -1 for none.
func (l *line) target(host string) (proxy string, takenFor int, err error) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	for i, a := range l.net.addresses {
		if a != host {
			continue
		}
		if to, ok := l.net.mu.moved[i]; ok && l.roams {
			return l.net.proxies[to].Address(), i, nil
		}
		return l.net.proxies[i].Address(), -1, nil
	}
	return "", -1, fmt.Errorf("no broker at %s", host)
}

// cut ends the client's life on the network: its connections are closed and it gets no new ones.
func (l *line) cut() {
	l.mu.Lock()
	l.mu.cut = true
	l.mu.Unlock()
	l.reset()
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	delete(l.net.mu.lines, l)
}

// astray closes connections that the client takes for those of a broker that they do not lead to.
func (l *line) astray(broker int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c, takenFor := range l.mu.conns {
		if takenFor == broker {
			c.Close()
		}
	}
}

// reset closes the connections of the moment.
func (l *line) reset() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.mu.conns {
		c.Close()
	}
	return len(l.mu.conns)
}

// kept is a connection that its line knows until it is closed.
type kept struct {
	net.Conn
	line *line
}

func (k kept) Close() error {
	k.line.mu.Lock()
	delete(k.line.mu.conns, k.Conn)
	k.line.mu.Unlock()
	return k.Conn.Close()
}
