package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Listener is one Kafka endpoint, written PLAINTEXT://host:port.
type Listener struct {
	Host string // name or address, without brackets; "" = all addresses
	Port uint16 // 0 = any free port, only where nobody must know it beforehand
}

const plaintext = "PLAINTEXT"

// ParseListener is the inverse of Listener.String.
func ParseListener(s string) (Listener, error) {
	protocol, addr, ok := strings.Cut(s, "://")
	if !ok {
		return Listener{}, fmt.Errorf("%q is not a listener such as PLAINTEXT://host:9092", s)
	}
	if protocol != plaintext {
		return Listener{}, fmt.Errorf("listener %q: the protocol %q is not served, only %s is", s, protocol, plaintext)
	}
	l, err := ParseHostPort(addr)
	if err != nil {
		return Listener{}, fmt.Errorf("listener %q: %w", s, err)
	}
	return l, nil
}

// ParseHostPort reads host:port, with an IPv6 address in brackets.
func ParseHostPort(addr string) (Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return Listener{}, fmt.Errorf("%q is not host:port", addr)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Listener{}, fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	if strings.ContainsAny(host, " /@?#") {
		return Listener{}, fmt.Errorf("%q is not a host name or address", host)
	}
	return Listener{Host: host, Port: uint16(n)}, nil
}

// Address is host:port as net.Listen and net.Dial take it.
func (l Listener) Address() string {
	return net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port)))
}

func (l Listener) String() string { return plaintext + "://" + l.Address() }

// Wildcard reports whether the host stands for every address of the machine, so that no client can be sent to it.
func (l Listener) Wildcard() bool {
	if l.Host == "" {
		return true
	}
	a, err := netip.ParseAddr(l.Host)
	return err == nil && a.IsUnspecified()
}
