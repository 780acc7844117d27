package clients

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"wadi/integration/binary"
)

// idle is how long a client is watched while it has nothing to do but telemetry.
const idle = 3 * time.Second

// trouble is what no client may say: at its own log level, that telemetry fails, or that a connection broke.
var trouble = regexp.MustCompile(`(?i)\b(warn|error|fail\w*|disconnect\w*|unsupported\w*)\b|%[0-5]\|`)

// Current clients push metrics by default to brokers that take them (KIP-714). Wadi does not, and neither does Apache
// Kafka without a receiver plugin: the clients find no such API, say nothing of it, and keep their connections.
func TestClientsDoWithoutTelemetry(t *testing.T) {
	for name, program := range map[string]struct {
		client Client
		args   func(bootstrap string) (string, []string)
	}{
		"java": {java{}, func(bootstrap string) (string, []string) {
			args := javaArgs(javaClients, "wadi.Write", bootstrap, "idle-java", "none")
			for i := range args {
				args[i] = strings.Replace(args[i], "defaultLogLevel=warn", "defaultLogLevel=info", 1)
			}
			return "java", args
		}},
		"librdkafka": {python{}, func(bootstrap string) (string, []string) {
			return venvPython(), []string{"integration/clients/python/write.py", bootstrap, "idle-librdkafka", "none"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			binary.Need(t, program.client.Check())
			monitor := fmt.Sprintf("127.0.0.1:%d", binary.FreePort(t))
			b := startDev(t, t.TempDir(), binary.FreePort(t), "--http", monitor)
			ctx := b.context(t, patience)
			path, args := program.args(b.bootstrap)
			said := idling(ctx, t, path, args, func() {
				for figure(ctx, t, monitor, `wadi_request_seconds_count{api="Produce"}`) == 0 {
					time.Sleep(50 * time.Millisecond) // until the context ends
				}
				before := figure(ctx, t, monitor, `wadi_request_seconds_count{api="ApiVersions"}`)
				time.Sleep(idle) // long enough for a client that tries again every second
				if after := figure(ctx, t, monitor, `wadi_request_seconds_count{api="ApiVersions"}`); after != before || before < 1 || before > 5 {
					t.Errorf("the client connected %v times at first and %v times while idle", before, after-before)
				}
			})
			if refused := figure(ctx, t, monitor, "wadi_connections_refused_total"); refused != 0 {
				t.Errorf("%v connections were closed", refused)
			}
			for _, line := range strings.Split(said, "\n") {
				// The configuration that Java prints names settings of what may fail.
				if trouble.MatchString(line) && !strings.Contains(line, " = ") {
					t.Errorf("the client says: %s", line)
				}
			}
		})
	}
}

// idling runs a writer, gives it one record, calls watch, ends the writer, and returns what it wrote to stderr.
func idling(ctx context.Context, t *testing.T, path string, args []string, watch func()) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Stderr, cmd.WaitDelay = binary.Root(), &stderr, 5*time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(input([]Record{{Value: []byte("v"), Timestamp: time.Now().UnixMilli()}})); err != nil {
		t.Fatal(err)
	}
	watch()
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, firstLines(stderr.String(), 20))
	}
	if _, err := parseWritten(report, make([]Record, 1)); err != nil {
		t.Error(err)
	}
	return stderr.String()
}

// figure is the sum of a metric's samples that begin with name.
func figure(ctx context.Context, t *testing.T, monitor, name string) (sum float64) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+monitor+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(page), "\n") {
		if rest, ok := strings.CutPrefix(line, name); ok {
			v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			sum += v
		}
	}
	return sum
}
