package server

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Endpoint is a listener's address as configuration writes it: PLAINTEXT://0.0.0.0:9092. It serves for addresses to
// listen on and for addresses to advertise.
type Endpoint struct {
	Protocol string // PLAINTEXT
	Host     string // "" or a wildcard listens everywhere
	Port     int    // 0 takes a free one
}

// ParseEndpoint reads PROTOCOL://host:port. IPv6 hosts are in brackets.
func ParseEndpoint(s string) (Endpoint, error) {
	protocol, addr, ok := strings.Cut(s, "://")
	if !ok {
		return Endpoint{}, fmt.Errorf("listener %q: want PROTOCOL://host:port", s)
	}
	if protocol != "PLAINTEXT" {
		return Endpoint{}, fmt.Errorf("listener %q: protocol %q is not known, PLAINTEXT is", s, protocol)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return Endpoint{}, fmt.Errorf("listener %q: %w", s, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Endpoint{}, fmt.Errorf("listener %q: port %q is not a number up to 65535", s, port)
	}
	return Endpoint{Protocol: protocol, Host: host, Port: int(n)}, nil
}

func (e Endpoint) String() string { return e.Protocol + "://" + e.Addr() }

// Addr is host:port.
func (e Endpoint) Addr() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// Wildcard reports whether the host stands for every address, which no client can connect to.
func (e Endpoint) Wildcard() bool {
	ip := net.ParseIP(e.Host)
	return e.Host == "" || (ip != nil && ip.IsUnspecified())
}

// Advertise pairs listeners with the addresses that clients are told, in order. An empty advertised takes the
// listeners themselves, which must not be wildcards then. Every problem is reported.
func Advertise(listeners, advertised []Endpoint) ([]Endpoint, error) {
	var problems []error
	if len(listeners) == 0 {
		problems = append(problems, errors.New("listeners: at least one is needed"))
	}
	if len(advertised) == 0 {
		advertised = listeners
	} else if len(advertised) != len(listeners) {
		problems = append(problems, fmt.Errorf("advertised.listeners: %d given for %d listeners", len(advertised), len(listeners)))
	}
	for _, e := range advertised {
		if e.Wildcard() {
			problems = append(problems, fmt.Errorf("advertised.listeners: clients cannot connect to %s, name a host", e))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return append([]Endpoint(nil), advertised...), nil
}
