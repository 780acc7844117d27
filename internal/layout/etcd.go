// Package layout builds and parses every key that Wadi writes: etcd keys here, object keys in objects.go. Nothing
// else in the tree concatenates a key.
package layout

import (
	"fmt"
	"strconv"
	"strings"
)

// Session is an etcd lease id, printed as 16 hex digits in keys.
type Session int64

func (s Session) String() string { return fmt.Sprintf("%016x", uint64(s)) }

// ParseSession is the inverse of Session.String.
func ParseSession(s string) (Session, error) {
	n, err := parseHex(s)
	return Session(n), err
}

// Etcd builds the etcd keys of one cluster. Example for cluster "demo": /wadi/demo/checkpoint.
type Etcd struct{ root string }

// NewEtcd is the key space of a cluster. cluster is a valid ClusterName.
func NewEtcd(cluster string) Etcd { return Etcd{root: "/wadi/" + cluster + "/"} }

// Root is the prefix of all keys: /wadi/demo/
func (e Etcd) Root() string { return e.root }

// Bootstrap is put once: /wadi/demo/bootstrap
func (e Etcd) Bootstrap() string { return e.root + "bootstrap" }

// JournalPrefix covers all entries and the head: /wadi/demo/journal/
func (e Etcd) JournalPrefix() string { return e.root + "journal/" }

// Head is put by every append; its Version counts all entries: /wadi/demo/journal/~head
// '~' sorts behind every hex digit, so entries form one range in front of it.
func (e Etcd) Head() string { return e.root + "journal/~head" }

// Entry is one journal entry: /wadi/demo/journal/694d8f2c1a2b3c4d/0000000000000001
func (e Etcd) Entry(s Session, seq uint64) string {
	return e.root + "journal/" + s.String() + "/" + fmt.Sprintf("%016x", seq)
}

// ParseEntry is the inverse of Entry.
func (e Etcd) ParseEntry(key string) (Session, uint64, error) {
	rest, ok := strings.CutPrefix(key, e.JournalPrefix())
	if !ok || len(rest) != 33 || rest[16] != '/' {
		return 0, 0, fmt.Errorf("not a journal entry key: %q", key)
	}
	s, err := parseHex(rest[:16])
	if err != nil {
		return 0, 0, fmt.Errorf("not a journal entry key: %q", key)
	}
	seq, err := parseHex(rest[17:])
	if err != nil || seq == 0 {
		return 0, 0, fmt.Errorf("not a journal entry key: %q", key)
	}
	return Session(s), seq, nil
}

// Checkpoint is the pointer: /wadi/demo/checkpoint
func (e Etcd) Checkpoint() string { return e.root + "checkpoint" }

// SessionsPrefix covers all registrations: /wadi/demo/sessions/
func (e Etcd) SessionsPrefix() string { return e.root + "sessions/" }

// SessionKey is one agent's registration: /wadi/demo/sessions/694d8f2c1a2b3c4d
func (e Etcd) SessionKey(s Session) string { return e.SessionsPrefix() + s.String() }

// ParseSessionKey is the inverse of SessionKey.
func (e Etcd) ParseSessionKey(key string) (Session, error) {
	return e.parseSessionUnder(e.SessionsPrefix(), key)
}

// DigestsPrefix covers the digests at the last mark: /wadi/demo/digests/
func (e Etcd) DigestsPrefix() string { return e.root + "digests/" }

// Digest is one agent's digest at the last mark: /wadi/demo/digests/694d8f2c1a2b3c4d
func (e Etcd) Digest(s Session) string { return e.DigestsPrefix() + s.String() }

// ParseDigest is the inverse of Digest.
func (e Etcd) ParseDigest(key string) (Session, error) {
	return e.parseSessionUnder(e.DigestsPrefix(), key)
}

// JobsPrefix covers the job leases: /wadi/demo/jobs/
func (e Etcd) JobsPrefix() string { return e.root + "jobs/" }

// Job is one job's lease, its value the holder's session: /wadi/demo/jobs/checkpoint
func (e Etcd) Job(name string) string { return e.JobsPrefix() + name }

// VoidPrefix covers the entries to skip: /wadi/demo/void/
func (e Etcd) VoidPrefix() string { return e.root + "void/" }

// Void marks the entry at position as skipped: /wadi/demo/void/00000000000000002a (hex, 16 digits)
func (e Etcd) Void(position int64) string {
	return e.VoidPrefix() + fmt.Sprintf("%016x", uint64(position))
}

// ParseVoid is the inverse of Void.
func (e Etcd) ParseVoid(key string) (int64, error) {
	rest, ok := strings.CutPrefix(key, e.VoidPrefix())
	if !ok {
		return 0, fmt.Errorf("not a void key: %q", key)
	}
	n, err := parseHex(rest)
	return int64(n), err
}

func (e Etcd) parseSessionUnder(prefix, key string) (Session, error) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return 0, fmt.Errorf("key %q is not under %q", key, prefix)
	}
	return ParseSession(rest)
}

func parseHex(s string) (uint64, error) {
	if len(s) != 16 || strings.ToLower(s) != s {
		return 0, fmt.Errorf("not 16 hex digits: %q", s)
	}
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("not 16 hex digits: %q", s)
	}
	return n, nil
}

// ValidClusterName reports why name cannot name a cluster: 1 to 64 of [a-z0-9-], no '-' at an end.
func ValidClusterName(name string) error {
	if name == "" || len(name) > 64 {
		return fmt.Errorf("cluster name %q: must have 1 to 64 characters", name)
	}
	for i, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '-' && i > 0 && i < len(name)-1:
		default:
			return fmt.Errorf("cluster name %q: only a-z, 0-9 and inner '-' are allowed", name)
		}
	}
	return nil
}
