package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// kcat is the command line client from Debian, on librdkafka 2.0.
type kcat struct{}

func (kcat) Name() string { return "kcat" }

func (kcat) Check() error {
	if _, err := exec.LookPath("kcat"); err != nil {
		return fmt.Errorf("no kcat (go tool task install): %w", err)
	}
	return nil
}

// keyEnd divides key and value, recordEnd one record from the next: no workload holds them as text.
const (
	keyEnd    = "\x1f:end of key:\x1f"
	recordEnd = "\x1e:end of record:\x1e"
)

// Write takes the headers of the first record for all of them, as kcat does, and tells no places. A record with a
// value that holds a delimiter, or that is null or empty, is refused: kcat cannot say it.
func (kcat) Write(ctx context.Context, bootstrap, topic, codec string, records []Record) ([]Written, error) {
	args := []string{"-P", "-b", bootstrap, "-t", topic, "-z", codec, "-X", "acks=all", "-K", keyEnd, "-D", recordEnd}
	for _, h := range records[0].Headers {
		args = append(args, "-H", h.Name+"="+string(h.Value))
	}
	written := make([]Written, len(records))
	var stdin bytes.Buffer
	for i, r := range records {
		if len(r.Value) == 0 || bytes.Contains(r.Value, []byte(recordEnd)) || bytes.Contains(r.Value, []byte(keyEnd)) {
			return nil, fmt.Errorf("record %d cannot be written with kcat", i)
		}
		if r.Key != nil {
			stdin.Write(r.Key)
			stdin.WriteString(keyEnd)
		}
		stdin.Write(r.Value)
		if i < len(records)-1 {
			stdin.WriteString(recordEnd)
		}
		r.Headers, r.Timestamp = records[0].Headers, 0
		written[i] = Written{Record: r, Partition: -1, Offset: -1}
	}
	_, err := run(ctx, stdin.Bytes(), "kcat", args...)
	return written, err
}

// writeFile sends the bytes of one file as one record, which is how kcat writes what no delimiter can divide.
func (kcat) writeFile(ctx context.Context, dir, bootstrap, topic, key string, value []byte) (Written, error) {
	file := filepath.Join(dir, "value")
	if err := os.WriteFile(file, value, 0o600); err != nil {
		return Written{}, err
	}
	_, err := run(ctx, nil, "kcat", "-P", "-b", bootstrap, "-t", topic, "-k", key, file)
	return Written{Record: Record{Key: []byte(key), Value: value}, Partition: -1, Offset: -1}, err
}

// kcatFormat prints numbers first and the bytes behind them by their lengths. The headers come last and are not framed:
// they end where kcatEnd stands.
const (
	kcatFormat = "%p %o %T %K %S\n%k%s%h" + kcatEnd
	kcatEnd    = "\x1d:end:\x1d\n"
)

// Read reads at librdkafka's default, read_committed.
func (kcat) Read(ctx context.Context, bootstrap string, topics []string) ([]Read, error) {
	return kcat{}.ReadAt(ctx, "read_committed", bootstrap, topics)
}

// ReadAt runs a few kcats at once: each waits at the end of its topic for half a second (fetch.wait.max.ms).
func (kcat) ReadAt(ctx context.Context, isolation, bootstrap string, topics []string) ([]Read, error) {
	parts := make([][]Read, len(topics))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(6)
	for i, topic := range topics {
		group.Go(func() error {
			topic, start, from := strings.Cut(topic, "@")
			if !from {
				start = "beginning"
			}
			out, err := run(ctx, nil, "kcat", "-C", "-b", bootstrap, "-t", topic, "-o", start, "-e", "-q",
				"-X", "check.crcs=true", "-X", "isolation.level="+isolation, "-f", kcatFormat)
			if err != nil {
				return err
			}
			if parts[i], err = parseKcat(topic, out); err != nil {
				return fmt.Errorf("output of kcat for %s: %w", topic, err)
			}
			return nil
		})
	}
	err := group.Wait()
	return slices.Concat(parts...), err
}

func parseKcat(topic string, out []byte) ([]Read, error) {
	var read []Read
	for len(out) > 0 {
		line, rest, ok := bytes.Cut(out, []byte("\n"))
		numbers := strings.Fields(string(line))
		if !ok || len(numbers) != 5 {
			return nil, fmt.Errorf("after %d records: %q", len(read), line)
		}
		var n [5]int64
		for i, text := range numbers {
			var err error
			if n[i], err = strconv.ParseInt(text, 10, 64); err != nil {
				return nil, fmt.Errorf("after %d records: %w", len(read), err)
			}
		}
		r := Read{Topic: topic, Partition: int32(n[0]), Offset: n[1], Record: Record{Timestamp: n[2]}}
		var err error
		if r.Key, rest, err = take(rest, n[3]); err != nil {
			return nil, err
		}
		if r.Value, rest, err = take(rest, n[4]); err != nil {
			return nil, err
		}
		headers, rest, ok := bytes.Cut(rest, []byte(kcatEnd))
		if !ok {
			return nil, errors.New("the last record has no end")
		}
		r.Headers = parseKcatHeaders(string(headers))
		read = append(read, r)
		out = rest
	}
	return read, nil
}

// take cuts length bytes off; -1 stands for null.
func take(b []byte, length int64) (part, rest []byte, err error) {
	switch {
	case length == -1:
		return nil, b, nil
	case length < 0 || length > int64(len(b)):
		return nil, nil, fmt.Errorf("a part of %d bytes, %d are left", length, len(b))
	}
	return b[:length:length], b[length:], nil
}

// parseKcatHeaders splits name=value,name=value. No workload has '=' or ',' in a header, or the value "NULL".
func parseKcatHeaders(text string) []Header {
	if text == "" {
		return nil
	}
	var headers []Header
	for pair := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(pair, "=")
		h := Header{Name: name, Value: []byte(value)}
		if value == "NULL" {
			h.Value = nil
		}
		headers = append(headers, h)
	}
	return headers
}

// sayable: plain headers, the same for all, and values that are neither null nor empty.
func (kcat) sayable(records []Record) []Record {
	records = slices.DeleteFunc(records, func(r Record) bool { return len(r.Value) == 0 || (r.Key != nil && len(r.Key) == 0) })
	records[0].Headers = []Header{{"source", []byte("kcat")}, {"source", []byte("twice")}}
	return records
}

// shows: kcat ends header values at their first zero byte.
func (kcat) shows(written []Written) []Written {
	shown := slices.Clone(written)
	for i := range shown {
		headers := slices.Clone(shown[i].Headers)
		for j, h := range headers {
			if end := bytes.IndexByte(h.Value, 0); end >= 0 {
				headers[j].Value = h.Value[:end]
			}
		}
		shown[i].Headers = headers
	}
	return shown
}
