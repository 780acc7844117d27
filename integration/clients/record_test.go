package clients

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Header is one record header. A nil Value is null, which is not the same as empty.
type Header struct {
	Name  string
	Value []byte
}

// Record is what a client is asked to write. nil keys and values are null.
type Record struct {
	Timestamp int64 // Unix milliseconds; 0 = the client takes its own clock
	Key       []byte
	Value     []byte
	Headers   []Header
}

// line is the record in the form that the Python and Java programs read: timestamp, key, value and headers with a tab
// between them; bytes in base64, null as "-", headers as name:value with a comma between them.
func (r Record) line() string {
	headers := make([]string, len(r.Headers))
	for i, h := range r.Headers {
		headers[i] = field([]byte(h.Name)) + ":" + field(h.Value)
	}
	return strings.Join([]string{
		strconv.FormatInt(r.Timestamp, 10), field(r.Key), field(r.Value), strings.Join(headers, ","),
	}, "\t")
}

func field(b []byte) string {
	if b == nil {
		return "-"
	}
	return base64.StdEncoding.EncodeToString(b)
}

// keys are what the keyed workloads use: text, bytes that are no text, and the empty key.
var keys = [][]byte{
	[]byte("amal"), []byte("badr"), []byte("وادي"), {0x00, 0xff, 0x0a, 0x09, 0x80}, []byte("k k"), {}, []byte("0"),
}

// workload gives n records that a client can have: null and empty and binary and large parts, timestamps that go back
// and forth. The same n and keyed give the same records, except that timestamps follow the clock.
func workload(n int, keyed bool) []Record {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	noise := func(size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	now := time.Now().UnixMilli()
	records := make([]Record, n)
	for i := range records {
		r := Record{Timestamp: now - int64(i%17)*1000, Value: fmt.Appendf(nil, "record %d ", i)}
		if keyed {
			r.Key = keys[random.IntN(len(keys))]
		}
		switch i % 10 {
		case 1:
			r.Value = append(r.Value, noise(random.IntN(300))...)
		case 2:
			r.Value = append(r.Value, strings.Repeat("it compresses well; ", 40)...)
		case 3:
			r.Headers = []Header{{"trace", []byte("7f3a")}, {"trace", []byte("twice")}, {"null", nil}, {"empty", []byte{}}}
		case 4:
			r.Headers = []Header{{"ключ", []byte{1, 2, 0xfe, 0, 0xff}}}
			r.Timestamp = 1_000_000_000_000 // 2001
		case 5:
			r.Value = nil
		case 6:
			r.Value = []byte{}
		}
		if i == n/2 {
			r.Value = append(r.Value, noise(300_000)...)
		}
		records[i] = r
	}
	return records
}
