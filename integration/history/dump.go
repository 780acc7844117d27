package history

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
)

// Dump writes facts as JSON, one a line.
func Dump(w io.Writer, facts []Fact) error {
	b := bufio.NewWriter(w)
	e := json.NewEncoder(b)
	for i := range facts {
		if err := e.Encode(&facts[i]); err != nil {
			return fmt.Errorf("dump fact %d: %w", facts[i].N, err)
		}
	}
	return b.Flush()
}

// Load reads what Dump wrote.
func Load(r io.Reader) ([]Fact, error) {
	var facts []Fact
	d := json.NewDecoder(r)
	for {
		var f Fact
		switch err := d.Decode(&f); {
		case errors.Is(err, io.EOF):
			return facts, nil
		case err != nil:
			return nil, fmt.Errorf("load fact %d: %w", len(facts)+1, err)
		}
		facts = append(facts, f)
	}
}

var seed = maphash.MakeSeed()

// Header is one of a record's headers.
type Header struct {
	Key   string
	Value []byte
}

// Sum is a digest of a record's key, value and headers; null and empty differ. It is the same within one process.
func Sum(key, value []byte, headers []Header) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	part := func(b []byte, null bool) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		if null {
			n[0] = 0xff
		}
		h.Write(n[:])
		h.Write(b)
	}
	part(key, key == nil)
	part(value, value == nil)
	for _, x := range headers {
		part([]byte(x.Key), false)
		part(x.Value, x.Value == nil)
	}
	return h.Sum64()
}
