package place

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Sentinels of Take.
var (
	// ErrTaken: another process holds the name.
	ErrTaken = errors.New("another process on this machine is at this place")
	// ErrUnknown: this system does not say where a process is, or gives no names of this kind.
	ErrUnknown = errors.New("no place to be told from others")
)

// Place is a name that this process holds until Close, or until it ends.
type Place struct {
	id     string
	socket int
}

// Take takes a name, which says what processes exclude each other; parts may hold anything. It does not wait.
func Take(parts ...string) (*Place, error) {
	name := digest(parts)
	where, err := here()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	socket, err := bind("@wadi/" + name)
	if err != nil {
		return nil, err
	}
	return &Place{id: digest([]string{where, name}), socket: socket}, nil
}

// String identifies the place among those of all machines: 32 hex digits.
func (p *Place) String() string { return p.id }

// Close gives the place up.
func (p *Place) Close() error { return closeSocket(p.socket) }

func digest(parts []string) string {
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%d:%s,", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
