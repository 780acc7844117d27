package kafkatools

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"wadi/integration/binary"
	"wadi/integration/child"
	"wadi/integration/kafka"
)

// patience bounds each command.
const patience = 4 * time.Minute

// driver is a JVM that runs tools.
type driver struct {
	in    io.Writer
	lines chan string // what it prints, closed at the end
}

// start runs java/Tools.java until the test ends.
func start(t *testing.T) *driver {
	t.Helper()
	java, err := exec.LookPath("java")
	if err != nil {
		binary.Need(t, err)
	}
	cmd := exec.Command(java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"--add-opens", "java.base/java.lang=ALL-UNNAMED",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-Duser.timezone=UTC", "-Duser.language=en",
		"-cp", filepath.Join(kafka.Jars(t), "*"),
		filepath.Join(binary.Root(), "integration", "kafkatools", "java", "Tools.java"))
	cmd.Env = binary.Environ()
	cmd.Dir = t.TempDir()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := child.Start(cmd); err != nil {
		t.Fatal(err)
	}
	d := &driver{in: in, lines: make(chan string, 1)}
	go func() {
		defer close(d.lines)
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			d.lines <- strings.TrimSuffix(line, "\n")
		}
	}()
	t.Cleanup(func() {
		in.Close()
		timer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		for range d.lines { // Wait closes the pipe: read it to the end first
		}
		err := cmd.Wait()
		timer.Stop()
		if t.Failed() && (err != nil || errs.Len() > 0) {
			t.Logf("the JVM of the tools: %v\n%s", err, errs.String())
		}
	})
	if line, err := d.read(); err != nil || line != "ready" {
		t.Fatalf("the JVM of the tools says %q, %v", line, err)
	}
	return d
}

func (d *driver) read() (string, error) {
	select {
	case line, ok := <-d.lines:
		if !ok {
			return "", io.ErrUnexpectedEOF
		}
		return line, nil
	case <-time.After(patience):
		return "", fmt.Errorf("no end after %v", patience)
	}
}

// result is how a command ended and what it printed.
type result struct {
	code     int
	out, err string
}

// run runs a tool. An error is one of the harness.
func (d *driver) run(class, input string, args ...string) (result, error) {
	words := []string{class, base64.StdEncoding.EncodeToString([]byte(input))}
	for _, a := range args {
		words = append(words, base64.StdEncoding.EncodeToString([]byte(a)))
	}
	if _, err := io.WriteString(d.in, strings.Join(words, " ")+"\n"); err != nil {
		return result{}, err
	}
	line, err := d.read()
	if err != nil {
		return result{}, fmt.Errorf("%s %s: %w", class, strings.Join(args, " "), err)
	}
	f := strings.Split(line, " ")
	if len(f) != 3 {
		return result{}, fmt.Errorf("%s: a result of %d words", class, len(f))
	}
	var r result
	if r.code, err = strconv.Atoi(f[0]); err != nil {
		return result{}, err
	}
	for i, to := range []*string{&r.out, &r.err} {
		b, err := base64.StdEncoding.DecodeString(f[i+1])
		if err != nil {
			return result{}, err
		}
		*to = string(b)
	}
	return r, nil
}
