package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"wadi/integration/binary"
)

// Client is one Kafka client, as writer and as reader.
type Client interface {
	Writer
	// Read returns everything that the topics hold, each partition in offset order, read by assignment.
	Read(ctx context.Context, bootstrap string, topics []string) ([]Read, error)
}

// Writer is one Kafka client as writer.
type Writer interface {
	Name() string
	// Check returns an error that says what to install when the client cannot run here.
	Check() error
	// Write sends the records, in order, with one producer. It returns when each one has been acknowledged.
	Write(ctx context.Context, bootstrap, topic, codec string, records []Record) ([]Written, error)
}

// chooser is a Client that cannot write every record.
type chooser interface {
	// sayable leaves of the records, or makes of them, what it can write.
	sayable(records []Record) []Record
}

// shower is a Client that cannot show every record as it is.
type shower interface {
	// shows is what it reads of records that were written like this.
	shows(written []Written) []Written
}

// clients are all there are.
var clients = []Client{kcat{}, python{}, java{}, franz{}, sarama, kafkaGo{goClient{name: "kafka-go"}}, kafkaJS{}}

// codecs are the compression types of the Kafka protocol, by the names that all clients share.
var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// run starts a client program and returns its output. Its errors carry what the program said on stderr.
func run(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = binary.Root()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, firstLines(stderr.String(), 20))
	}
	return stdout.Bytes(), nil
}

// firstLines keeps a client that retries for minutes from filling the log: what went wrong first stands first.
func firstLines(text string, n int) string {
	lines := strings.SplitAfterN(text, "\n", n+1)
	if len(lines) > n {
		lines[n] = fmt.Sprintf("... and %d lines more\n", strings.Count(lines[n], "\n"))
	}
	return strings.Join(lines, "")
}

// input is what the Python and Java programs read.
func input(records []Record) []byte {
	var b bytes.Buffer
	for _, r := range records {
		fmt.Fprintln(&b, r.line())
	}
	return b.Bytes()
}

// parseWritten reads the delivery reports of a program: every record exactly one, without an error.
func parseWritten(out []byte, records []Record) ([]Written, error) {
	written := make([]Written, len(records))
	reported := make([]bool, len(records))
	err := eachLine(out, func(line []byte) error {
		var report struct {
			I         int
			Partition int32
			Offset    int64
			Error     string
		}
		if err := json.Unmarshal(line, &report); err != nil {
			return fmt.Errorf("delivery report %q: %w", line, err)
		}
		switch {
		case report.I < 0 || report.I >= len(records):
			return fmt.Errorf("delivery report for record %d of %d", report.I, len(records))
		case report.Error != "":
			return fmt.Errorf("record %d was not stored: %s", report.I, report.Error)
		case reported[report.I]:
			return fmt.Errorf("two delivery reports for record %d", report.I)
		}
		reported[report.I] = true
		written[report.I] = Written{Record: records[report.I], Partition: report.Partition, Offset: report.Offset}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, ok := range reported {
		if !ok {
			return nil, fmt.Errorf("no delivery report for record %d", i)
		}
	}
	return written, nil
}

// parseRead reads the records that a program printed.
func parseRead(out []byte) ([]Read, error) {
	var read []Read
	err := eachLine(out, func(line []byte) error {
		var r struct {
			Topic             string
			Partition         int32
			Offset, Timestamp int64
			Key, Value        *string
			Headers           [][2]*string
		}
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("record %q: %w", line, err)
		}
		got := Read{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Record: Record{Timestamp: r.Timestamp}}
		var err error
		if got.Key, err = decode(r.Key); err != nil {
			return err
		}
		if got.Value, err = decode(r.Value); err != nil {
			return err
		}
		for _, h := range r.Headers {
			name, err := decode(h[0])
			if err != nil {
				return err
			}
			value, err := decode(h[1])
			if err != nil {
				return err
			}
			got.Headers = append(got.Headers, Header{Name: string(name), Value: value})
		}
		read = append(read, got)
		return nil
	})
	return read, err
}

func eachLine(out []byte, f func(line []byte) error) error {
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		if err := f(lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func decode(text *string) ([]byte, error) {
	if text == nil {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(*text)
	if b == nil {
		b = []byte{}
	}
	return b, err
}
