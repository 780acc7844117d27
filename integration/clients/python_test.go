package clients

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"wadi/integration/binary"
)

// python is confluent-kafka with acks=all, idempotence and delivery callbacks, in the venv that `task install` makes.
type python struct{}

func (python) Name() string { return "python" }

func (python) Check() error {
	if _, err := os.Stat(venvPython()); err != nil {
		return fmt.Errorf("no Python with confluent-kafka (go tool task install): %w", err)
	}
	return nil
}

func (python) Write(ctx context.Context, bootstrap, topic, codec string, records []Record) ([]Written, error) {
	out, err := run(ctx, input(records), venvPython(), "integration/clients/python/write.py", bootstrap, topic, codec)
	if err != nil {
		return nil, err
	}
	return parseWritten(out, records)
}

func (python) Read(ctx context.Context, bootstrap string, topics []string) ([]Read, error) {
	args := append([]string{"integration/clients/python/read.py", bootstrap}, topics...)
	out, err := run(ctx, nil, venvPython(), args...)
	if err != nil {
		return nil, err
	}
	return parseRead(out)
}

func venvPython() string { return filepath.Join(binary.Root(), ".tools", "venv", "bin", "python") }
