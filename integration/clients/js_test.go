package clients

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"wadi/integration/binary"
)

// kafkaJS is KafkaJS with an idempotent producer and acks=all, in the folder that `task install` fills.
type kafkaJS struct{}

func (kafkaJS) Name() string { return "kafkajs" }

func (kafkaJS) Check() error {
	if _, err := exec.LookPath("node"); err != nil {
		return fmt.Errorf("no Node.js (go tool task install): %w", err)
	}
	if _, err := os.Stat(filepath.Join(binary.Root(), jsPrograms, "node_modules", "kafkajs")); err != nil {
		return fmt.Errorf("KafkaJS is not installed (go tool task install): %w", err)
	}
	return nil
}

// sayable: KafkaJS fails on headers whose value is null.
func (kafkaJS) sayable(records []Record) []Record {
	for i, r := range records {
		records[i].Headers = slices.DeleteFunc(slices.Clone(r.Headers), func(h Header) bool { return h.Value == nil })
	}
	return records
}

func (kafkaJS) Write(ctx context.Context, bootstrap, topic, codec string, records []Record) ([]Written, error) {
	out, err := run(ctx, input(records), "node", jsArgs("write.js", bootstrap, topic, codec)...)
	if err != nil {
		return nil, err
	}
	return parseWritten(out, records)
}

func (kafkaJS) Read(ctx context.Context, bootstrap string, topics []string) ([]Read, error) {
	out, err := run(ctx, nil, "node", jsArgs("read.js", append([]string{bootstrap}, topics...)...)...)
	if err != nil {
		return nil, err
	}
	return parseRead(out)
}

// jsPrograms is the folder of the JavaScript programs, relative to the module.
const jsPrograms = "integration/clients/js"

func jsArgs(program string, args ...string) []string {
	return append([]string{filepath.Join(binary.Root(), jsPrograms, program)}, args...)
}
