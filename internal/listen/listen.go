// Package listen binds the sockets of an agent and tells which address its clients are given for each.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"wadi/internal/config"
)

// ErrInUse: another process listens on the address.
var ErrInUse = errors.New("is already in use")

// Endpoint is one configured listener: the sockets that are bound for it, and what its clients are told.
type Endpoint struct {
	Sockets    []net.Listener
	Advertised config.Listener
}

// Close closes the sockets.
func (e Endpoint) Close() error {
	var errs []error
	for _, s := range e.Sockets {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// Bind binds all listeners or none. advertised has one entry for each; an advertised port 0 becomes the port that was
// bound.
func Bind(ctx context.Context, listeners, advertised []config.Listener) ([]Endpoint, error) {
	var out []Endpoint
	for i, l := range listeners {
		socket, err := TCP(ctx, l.Address())
		if err != nil {
			for _, e := range out {
				e.Close()
			}
			return nil, err
		}
		tell := advertised[i]
		if tell.Port == 0 {
			tell.Port = Port(socket)
		}
		out = append(out, Endpoint{Sockets: []net.Listener{socket}, Advertised: tell})
	}
	return out, nil
}

// freePortTries bounds the search for a port that is free on both loopback addresses.
const freePortTries = 20

// Loopback binds the port on 127.0.0.1 and, where the machine has IPv6, on [::1], and advertises localhost: whichever
// of the two a client's resolver puts first, it arrives here. Port 0 takes one that is free on both.
func Loopback(ctx context.Context, port uint16) (Endpoint, error) {
	var last error
	for range freePortTries {
		e, err := loopback(ctx, port)
		if err == nil || port != 0 || !errors.Is(err, ErrInUse) {
			return e, err
		}
		last = err
	}
	return Endpoint{}, last
}

func loopback(ctx context.Context, port uint16) (Endpoint, error) {
	v4, err := TCP(ctx, config.Listener{Host: "127.0.0.1", Port: port}.Address())
	if err != nil {
		return Endpoint{}, err
	}
	e := Endpoint{Sockets: []net.Listener{v4}, Advertised: config.Listener{Host: "localhost", Port: Port(v4)}}
	v6, err := TCP(ctx, config.Listener{Host: "::1", Port: Port(v4)}.Address())
	switch {
	case err == nil:
		e.Sockets = append(e.Sockets, v6)
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		// No IPv6 here: localhost is 127.0.0.1 alone.
	default:
		v4.Close()
		return Endpoint{}, err
	}
	return e, nil
}

// TCP binds one address. The error is one sentence that names it and wraps ErrInUse when somebody else has it.
func TCP(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	socket, err := lc.Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return socket, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the address %s %w", address, ErrInUse)
	default:
		return nil, fmt.Errorf("the address %s cannot be listened on: %w", address, err)
	}
}

// Port is the port a socket is bound to.
func Port(l net.Listener) uint16 {
	a, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return 0 // not a TCP socket
	}
	return a.Port()
}
