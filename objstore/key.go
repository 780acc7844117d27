package objstore

import (
	"errors"
	"fmt"
	"strings"
)

// ErrKey: the key, the limit or the number of keys breaks the rules of the contract. A defect of the caller, never
// retriable.
var ErrKey = errors.New("invalid object call")

const (
	// MaxKey is the longest key in bytes that every store takes.
	MaxKey = 900
	// maxStored is what CheckKey allows: S3's own limit, so that a key of MaxKey still fits behind a prefix.
	maxStored = 1024
	// MaxElement is the longest part between separators in bytes: what every file system accepts as a name.
	MaxElement = 255
	// MaxBatch is the most objects that one List returns and one Delete removes.
	MaxBatch = 1000
)

// CheckKey says whether key may name an object: elements of [A-Za-z0-9._~-] separated by '/', none of them empty, "."
// or "..", at most MaxElement bytes each and MaxKey in all. Every implementation calls it before anything else, so that
// a key can never leave a file store's directory.
//
// One more rule needs the store's content to be checked: no object lies beneath another one's key ("a" and "a/b").
// Services that keep objects as files cannot hold both; memory and files refuse the second with ErrKey.
func CheckKey(key string) error {
	if key == "" {
		return fmt.Errorf("%w: empty key", ErrKey)
	}
	if len(key) > maxStored {
		return fmt.Errorf("%w: key of %d bytes, the limit is %d, it starts with %.60q", ErrKey, len(key), maxStored, key)
	}
	rest := key
	for more := true; more; {
		var element string
		element, rest, more = strings.Cut(rest, "/")
		if !ValidElement(element) {
			return fmt.Errorf("%w: key %q has the bad element %q", ErrKey, key, element)
		}
	}
	return nil
}

// ValidElement says whether s may stand between the separators of a key.
func ValidElement(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > MaxElement {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '~', c == '-':
		default:
			return false
		}
	}
	return true
}

// CheckList says whether limit may be passed to List.
func CheckList(limit int) error {
	if limit < 1 || limit > MaxBatch {
		return fmt.Errorf("%w: list limit %d outside 1..%d", ErrKey, limit, MaxBatch)
	}
	return nil
}

// CheckDelete says whether keys may be passed to Delete.
func CheckDelete(keys []string) error {
	if len(keys) > MaxBatch {
		return fmt.Errorf("%w: delete of %d objects, the limit is %d", ErrKey, len(keys), MaxBatch)
	}
	for _, k := range keys {
		if err := CheckKey(k); err != nil {
			return err
		}
	}
	return nil
}

// ResolveRange turns the off and length of a Get into the number of bytes to read from an object of the given size, or
// returns ErrRange.
func ResolveRange(key string, size, off, length int64) (int64, error) {
	if err := CheckRange(key, off, length); err != nil {
		return 0, err
	}
	if off > size || length > size-off {
		return 0, fmt.Errorf("get %s: %w: offset %d, length %d, size %d", key, ErrRange, off, length, size)
	}
	if length < 0 {
		return size - off, nil
	}
	return length, nil
}

// CheckRange returns ErrRange for an off and length that lie in no object of any size.
func CheckRange(key string, off, length int64) error {
	if off < 0 || length < -1 {
		return fmt.Errorf("get %s: %w: offset %d, length %d", key, ErrRange, off, length)
	}
	return nil
}

// PossiblePrefix says whether any key can start with prefix. Stores answer List for others without looking: services and
// file systems differ in what they make of "a//b" or "../".
func PossiblePrefix(prefix string) bool {
	for {
		element, rest, more := strings.Cut(prefix, "/")
		if !more {
			// The rest of this element may follow, so "." and ".." are fine here.
			return element == "" || element == "." || element == ".." || ValidElement(element)
		}
		if !ValidElement(element) {
			return false
		}
		prefix = rest
	}
}
