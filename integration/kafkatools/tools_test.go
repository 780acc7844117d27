package kafkatools

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wadi/integration/binary"
	"wadi/integration/kafka"
)

func TestMain(m *testing.M) {
	code := m.Run()
	binary.Cleanup()
	os.Exit(code)
}

// step is a command line, the same for both brokers.
type step struct {
	name string
	tool string // as users call it, without the path
	// args may hold $SERVER, the broker's address; $NODE, its node id; $FILE, a file that holds file.
	args  string
	input string
	file  string
	// before does what no tool does, on each broker.
	before func(server string) error
	// settles: what a broker does in its own time shows here, or the tool ends by a timeout, which a slow machine reaches before
	// it was answered; the step is repeated until both brokers say the same, for a while.
	settles bool
	// skip says why the step cannot run on Wadi yet.
	skip string
}

// classes are the main classes of the tools.
var classes = map[string]string{
	"kafka-topics":              "org.apache.kafka.tools.TopicCommand",
	"kafka-configs":             "kafka.admin.ConfigCommand",
	"kafka-get-offsets":         "org.apache.kafka.tools.GetOffsetShell",
	"kafka-delete-records":      "org.apache.kafka.tools.DeleteRecordsCommand",
	"kafka-log-dirs":            "org.apache.kafka.tools.LogDirsCommand",
	"kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
	"kafka-console-producer":    "org.apache.kafka.tools.ConsoleProducer",
	"kafka-console-consumer":    "org.apache.kafka.tools.consumer.ConsoleConsumer",
	"kafka-producer-perf-test":  "org.apache.kafka.tools.ProducerPerformance",
	"kafka-consumer-perf-test":  "org.apache.kafka.tools.ConsumerPerformance",
	"kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
	"kafka-leader-election":     "org.apache.kafka.tools.LeaderElectionCommand",
	"kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
	"kafka-acls":                "org.apache.kafka.tools.AclCommand",
	"kafka-cluster":             "org.apache.kafka.tools.ClusterTool",
	"kafka-transactions":        "org.apache.kafka.tools.TransactionsCommand",
	"kafka-groups":              "org.apache.kafka.tools.GroupsCommand",
	"kafka-consumer-groups":     "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
	"kafka-features":            "org.apache.kafka.tools.FeatureCommand",
	"kafka-client-metrics":      "org.apache.kafka.tools.ClientMetricsCommand",
	"kafka-metadata-quorum":     "org.apache.kafka.tools.MetadataQuorumCommand",
}

// target is a broker and the JVM whose tools talk to it.
type target struct {
	server string
	node   string
	port   string
	driver *driver
}

// Kafka's tools print the same about Wadi as about Apache Kafka, but for what allowed_test.go lists.
func TestTools(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Apache Kafka")
	}
	apache := kafka.Start(t)
	targets := []*target{{server: apache.Address, node: "1"}, {server: startWadi(t), node: "0"}}
	for _, to := range targets {
		_, to.port, _ = net.SplitHostPort(to.server)
		to.driver = start(t)
	}
	files := t.TempDir()
	used := map[string]bool{}
	ran := 0
	for _, s := range steps() {
		t.Run(s.name, func(t *testing.T) {
			ran++
			if s.skip != "" {
				t.Skip(s.skip)
			}
			// Apache Kafka learns of what the step before changed after its answer; Wadi has to know it by then.
			if err := apache.Settle(); err != nil {
				t.Fatal(err)
			}
			for _, to := range targets {
				if s.before != nil {
					if err := s.before(to.server); err != nil {
						t.Fatal(err)
					}
				}
			}
			apache, wadi, err := both(targets, s, files, used)
			for deadline := time.Now().Add(3 * time.Minute); s.settles && err == nil && apache != wadi && time.Now().Before(deadline); {
				apache, wadi, err = both(targets, s, files, used)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Log(wadi) // with -v
			if apache != wadi {
				t.Errorf("%s %s\n%s", s.tool, s.args, sideBySide(apache, wadi))
			}
		})
	}
	if ran == len(steps()) { // else -run chose some
		for _, a := range allowed {
			if !used[a.key()] {
				t.Errorf("allowed, but no longer printed: %q, %q: %s", a.step, a.line, a.why)
			}
		}
		for _, a := range open {
			if !used[a.key()] {
				t.Logf("mended: strike %q, %q", a.step, a.line)
			}
		}
	}
}

// docs/kafka-tools.md tells users of every difference that is allowed, and of every tool that was tried.
func TestDifferencesAreDocumented(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(binary.Root(), "docs", "kafka-tools.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(b)), " ")
	for _, a := range allowed {
		if !strings.Contains(page, a.why) {
			t.Errorf("docs/kafka-tools.md does not say: %s", a.why)
		}
	}
	for _, s := range steps() {
		if !strings.Contains(page, "`"+s.tool+"`") {
			t.Errorf("docs/kafka-tools.md does not name %s", s.tool)
		}
	}
}

// both runs a step on both brokers at once and returns what they printed, without what may differ.
func both(targets []*target, s step, dir string, used map[string]bool) (apache, wadi string, err error) {
	var (
		got  [2]string
		errs [2]error
		wg   sync.WaitGroup
	)
	for i, to := range targets {
		wg.Go(func() { got[i], errs[i] = to.print(s, dir) })
	}
	wg.Wait()
	apache, wadi = excused(allowed, s.name, got[0], got[1], used)
	apache, wadi = excused(open, s.name, apache, wadi, used)
	return apache, wadi, errors.Join(errs[:]...)
}

// print runs a step and returns what it printed, normalised.
func (to *target) print(s step, dir string) (string, error) {
	class, ok := classes[s.tool]
	if !ok {
		return "", fmt.Errorf("no class of %s is known", s.tool)
	}
	file := filepath.Join(dir, "file-"+to.node)
	if s.file != "" {
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(s.file, "$NODE", to.node)), 0o600); err != nil {
			return "", err
		}
	}
	args := strings.NewReplacer("$SERVER", to.server, "$NODE", to.node, "$FILE", file).Replace(s.args)
	r, err := to.driver.run(class, s.input, strings.Fields(args)...)
	if err != nil {
		return "", err
	}
	r.err = strings.ReplaceAll(r.err, file, "<file>")
	return to.normal(s, fmt.Sprintf("exit code %d\n%s%s", r.code, mark("out", r.out), mark("err", r.err))), nil
}

// mark puts the stream's name before each line.
func mark(stream, text string) string {
	if text == "" {
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(stream + ": " + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

// sideBySide shows the lines that differ.
func sideBySide(apache, wadi string) string {
	x, y := strings.Split(apache, "\n"), strings.Split(wadi, "\n")
	var b strings.Builder
	for _, line := range x {
		if !slices.Contains(y, line) {
			fmt.Fprintf(&b, "Kafka only: %s\n", line)
		}
	}
	for _, line := range y {
		if !slices.Contains(x, line) {
			fmt.Fprintf(&b, "Wadi only:  %s\n", line)
		}
	}
	if b.Len() == 0 {
		return "the same lines in another order:\n" + apache + "---\n" + wadi
	}
	return b.String()
}

func startWadi(t *testing.T) string {
	address := fmt.Sprintf("127.0.0.1:%d", binary.FreePort(t))
	dir := t.TempDir()
	binary.Start(t, binary.Spec{
		Name: "wadi dev", Path: binary.Path(t), Ready: "ready", Dir: dir, Env: []string{binary.NoCompactor, binary.LongSession},
		Args: []string{"dev", "--listen", address, "--data-dir", filepath.Join(dir, "data"), "--http", ""},
	})
	return address
}
