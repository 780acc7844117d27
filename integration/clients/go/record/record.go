// Package record is what the programs of this module exchange with the tests that run them: records on stdin, a line
// each, and JSON lines on stdout.
package record

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// Header is one record header. A nil Value is null.
type Header struct {
	Name  string
	Value []byte
}

// Record is one line of input. A nil Key or Value is null.
type Record struct {
	Timestamp  int64 // Unix milliseconds
	Key, Value []byte
	Headers    []Header
}

// Parse reads records to the end of in. A line is: timestamp TAB key TAB value TAB headers; bytes are base64, null is
// "-", headers are name:value pairs with a comma between them.
func Parse(in io.Reader) ([]Record, error) {
	var records []Record
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		r, err := parse(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", len(records), err)
		}
		records = append(records, r)
	}
	return records, lines.Err()
}

func parse(line string) (r Record, err error) {
	fields := strings.Split(line, "\t")
	if len(fields) != 4 {
		return r, fmt.Errorf("%d fields, want 4", len(fields))
	}
	if r.Timestamp, err = strconv.ParseInt(fields[0], 10, 64); err != nil {
		return r, err
	}
	if r.Key, err = decode(fields[1]); err != nil {
		return r, err
	}
	if r.Value, err = decode(fields[2]); err != nil {
		return r, err
	}
	if fields[3] == "" {
		return r, nil
	}
	for pair := range strings.SplitSeq(fields[3], ",") {
		name, value, _ := strings.Cut(pair, ":")
		n, err := decode(name)
		if err != nil {
			return r, err
		}
		v, err := decode(value)
		if err != nil {
			return r, err
		}
		r.Headers = append(r.Headers, Header{Name: string(n), Value: v})
	}
	return r, nil
}

func decode(text string) ([]byte, error) {
	if text == "-" {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if b == nil {
		b = []byte{}
	}
	return b, err
}

// Printer writes JSON lines. It may be used by several goroutines.
type Printer struct {
	mu  sync.Mutex
	out *json.Encoder
}

// NewPrinter returns a Printer on out.
func NewPrinter(out io.Writer) *Printer { return &Printer{out: json.NewEncoder(out)} }

// Print writes one value as a line. The programs have nowhere to report a closed stdout to.
func (p *Printer) Print(value any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.out.Encode(value)
}

// Stored is the delivery report of record I of the input.
type Stored struct {
	I         int    `json:"i"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Error     string `json:"error,omitempty"`
}

// Read is a record as a client gave it back; []byte is base64, nil is null. A header is [name, value].
type Read struct {
	Topic     string      `json:"topic"`
	Partition int32       `json:"partition"`
	Offset    int64       `json:"offset"`
	Timestamp int64       `json:"timestamp"`
	Key       []byte      `json:"key"`
	Value     []byte      `json:"value"`
	Headers   [][2][]byte `json:"headers"`
}
