package main

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// jsonRecord is a record for people and scripts. Bytes that are not UTF-8 appear under the name with _base64 instead.
type jsonRecord struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Timestamp int64  `json:"timestamp"` // milliseconds since 1970

	Key         *string      `json:"key"` // null: none
	KeyBase64   []byte       `json:"key_base64,omitempty"`
	Value       *string      `json:"value"` // null: none, a tombstone
	ValueBase64 []byte       `json:"value_base64,omitempty"`
	Headers     []jsonHeader `json:"headers,omitempty"`
}

type jsonHeader struct {
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
}

// textOrBytes returns b as text where it is UTF-8, else as bytes; neither for nil.
func textOrBytes(b []byte) (*string, []byte) {
	switch {
	case b == nil:
		return nil, nil
	case utf8.Valid(b):
		s := string(b)
		return &s, nil
	default:
		return nil, b
	}
}

func newJSONRecord(r *kgo.Record) jsonRecord {
	j := jsonRecord{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli()}
	j.Key, j.KeyBase64 = textOrBytes(r.Key)
	j.Value, j.ValueBase64 = textOrBytes(r.Value)
	for _, h := range r.Headers {
		header := jsonHeader{Key: h.Key}
		header.Value, header.ValueBase64 = textOrBytes(h.Value)
		j.Headers = append(j.Headers, header)
	}
	return j
}

// recordFormat returns the function that appends one record as a line.
func (a *app) recordFormat(keySeparator string) func(line []byte, r *kgo.Record) ([]byte, error) {
	if a.json() {
		return func(line []byte, r *kgo.Record) ([]byte, error) {
			data, err := json.Marshal(newJSONRecord(r))
			return append(append(line, data...), '\n'), err
		}
	}
	return func(line []byte, r *kgo.Record) ([]byte, error) {
		if keySeparator != "" {
			line = append(append(line, r.Key...), keySeparator...)
		}
		return append(append(line, r.Value...), '\n'), nil
	}
}
