package clients

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"wadi/integration/binary"
)

// goClient is a Kafka client of the module in go/, in a program that `task install` builds.
type goClient struct {
	name    string
	version string // of the broker that sarama is told to talk to; "" is its default
}

// sarama writes with idempotence and acks=all.
var sarama = goClient{name: "sarama"}

// kafkaGo is segmentio/kafka-go, which has no idempotence, with acks=all.
type kafkaGo struct{ goClient }

// shows: a Reader of kafka-go makes null of what is empty.
func (kafkaGo) shows(written []Written) []Written {
	full := func(b []byte) []byte {
		if len(b) == 0 {
			return nil
		}
		return b
	}
	shown := slices.Clone(written)
	for i, w := range shown {
		shown[i].Key, shown[i].Value, shown[i].Headers = full(w.Key), full(w.Value), slices.Clone(w.Headers)
		for j, h := range w.Headers {
			shown[i].Headers[j].Value = full(h.Value)
		}
	}
	return shown
}

func (c goClient) Name() string { return c.name + c.version }

// speaking is sarama for brokers of a version. It asks with the versions of APIs that those had, whatever the broker says.
func (c goClient) speaking(version string) goClient {
	c.version = version
	return c
}

func (goClient) Check() error {
	if _, err := os.Stat(goProgram()); err != nil {
		return fmt.Errorf("no program for sarama and kafka-go (go tool task install): %w", err)
	}
	return nil
}

func (c goClient) Write(ctx context.Context, bootstrap, topic, codec string, records []Record) ([]Written, error) {
	out, err := c.run(ctx, input(records), "write", bootstrap, topic, codec)
	if err != nil {
		return nil, err
	}
	return parseWritten(out, records)
}

func (c goClient) Read(ctx context.Context, bootstrap string, topics []string) ([]Read, error) {
	out, err := c.run(ctx, nil, "read", append([]string{bootstrap}, topics...)...)
	if err != nil {
		return nil, err
	}
	return parseRead(out)
}

func (c goClient) run(ctx context.Context, stdin []byte, command string, args ...string) ([]byte, error) {
	return run(ctx, stdin, "env", append([]string{"SARAMA_VERSION=" + c.version, goProgram(), c.name, command}, args...)...)
}

func goProgram() string { return filepath.Join(binary.Root(), ".tools", "bin", "clients") }
