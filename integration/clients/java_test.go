package clients

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"wadi/integration/binary"
)

// java is kafka-clients with the defaults of its producer and its consumer, compiled by `task install`.
type java struct{}

func (java) Name() string { return "java" }

func (java) Check() error { return checkJava(javaClients) }

func (java) Write(ctx context.Context, bootstrap, topic, codec string, records []Record) ([]Written, error) {
	out, err := run(ctx, input(records), "java", javaArgs(javaClients, "wadi.Write", bootstrap, topic, codec)...)
	if err != nil {
		return nil, err
	}
	return parseWritten(out, records)
}

func (java) Read(ctx context.Context, bootstrap string, topics []string) ([]Read, error) {
	out, err := run(ctx, nil, "java", javaArgs(javaClients, "wadi.Read", append([]string{bootstrap}, topics...)...)...)
	if err != nil {
		return nil, err
	}
	return parseRead(out)
}

// The Maven projects, relative to the module.
const (
	javaClients  = "integration/clients/java"
	javaSpring   = "integration/clients/spring"
	javaExamples = "examples/java"
)

func checkJava(project string) error {
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("no Java (go tool task install): %w", err)
	}
	if _, err := os.Stat(filepath.Join(binary.Root(), project, "target", "classes")); err != nil {
		return fmt.Errorf("Java programs are not compiled (go tool task install): %w", err)
	}
	return nil
}

func javaArgs(project, class string, args ...string) []string {
	target := filepath.Join(binary.Root(), project, "target")
	path := filepath.Join(target, "classes") + string(os.PathListSeparator) + filepath.Join(target, "lib", "*")
	// These programs run for a second or two: what compiles and collects well in the long run costs more than they do.
	return append([]string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", path, class}, args...)
}
