// Package kafka runs Apache Kafka itself, one KRaft node from the jars that pom.xml names, so that Wadi can be measured
// and compared beside it in the same run.
package kafka

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/integration/binary"
)

// Broker is a running Apache Kafka.
type Broker struct {
	Address string // host:port for clients
	Process *binary.Process

	settling settling
}

// Start formats a log directory and runs a broker until the test ends. Without Java or the jars the test is skipped, or
// fails where the tools are required.
//
// The broker's session is long: after a pause of more than nine seconds, the default, its own controller would take it for
// dead, and partitions would be without a leader for a moment and have another leader epoch from then on.
func Start(t testing.TB) *Broker {
	t.Helper()
	java, err := exec.LookPath("java")
	if err != nil {
		binary.Need(t, err)
	}
	jars := Jars(t)
	dir := t.TempDir()
	client, controller := binary.FreePort(t), binary.FreePort(t)
	file := filepath.Join(dir, "server.properties")
	text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=600000
`, client, controller, filepath.Join(dir, "log"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	classes := filepath.Join(jars, "*")
	format := exec.Command(java, "-cp", classes, "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", file)
	if out, err := format.CombinedOutput(); err != nil {
		t.Fatalf("format Kafka's log directory: %v\n%s", err, out)
	}
	b := &Broker{Address: fmt.Sprintf("127.0.0.1:%d", client)}
	b.Process = binary.Start(t, binary.Spec{
		Name: "Apache Kafka", Path: java, Dir: dir, Ready: "Kafka Server started", Within: 5 * time.Minute, Quiet: true,
		Args: []string{"-Xmx1g", "-Xms1g", "-XX:+UseG1GC", "-Dorg.slf4j.simpleLogger.logFile=System.out", "-cp", classes, "kafka.Kafka", file},
	})
	t.Cleanup(func() {
		b.settling.close()
		if t.Failed() {
			if err := b.probe(); err != nil {
				t.Logf("Apache Kafka does not answer any more: %v; its last lines:\n%s", err, b.Tail())
			}
		}
		b.Process.Kill() // Java exits with 143 after a SIGTERM, which would count as a failure
	})
	return b
}

// probe asks for the versions of APIs.
func (b *Broker) probe() error {
	conn, err := net.DialTimeout("tcp", b.Address, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), 1)); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, 8))
	return err
}

// shown is how many lines of Kafka's log a test shows at most: more would bury what the test itself has to say.
const shown = 40

// Tail is the end of Kafka's log, for tests of which Kafka did not answer a request.
func (b *Broker) Tail() string {
	lines := strings.Split(b.Process.Output(), "\n")
	return strings.Join(lines[max(0, len(lines)-shown):], "\n")
}

// Jars is the folder with the jars of pom.xml, the broker's and those of Kafka's command-line tools. `go tool task install`
// brings them; a test does not.
func Jars(t testing.TB) string {
	t.Helper()
	jars := filepath.Join(binary.Root(), ".tools", "kafka")
	found, err := filepath.Glob(filepath.Join(jars, "kafka-tools-*.jar"))
	if err == nil && len(found) == 0 {
		err = errors.New("the jars of Apache Kafka are not installed (go tool task install)")
	}
	binary.Need(t, err)
	return jars
}
