package differential

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/api"
	"wadi/integration/binary"
	"wadi/integration/kafka"
)

func TestMain(m *testing.M) {
	// Cases side by side. What is under way at once is bounded by talks; most of it waits.
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(cap(talks))); err != nil {
		panic(err)
	}
	code := m.Run()
	binary.Cleanup()
	os.Exit(code)
}

// broker is one of the two that answer.
type broker struct {
	name    string
	address string
	host    string
	port    int32
	node    int32 // its node id

	twoSteps bool          // Apache Kafka: coordinators load, transactions end in two steps; see txn_test.go
	settle   func() error  // nil: what was answered is in force
	output   func() string // the end of its log
	troubles atomic.Int64  // conversations that came to no end
}

// talks bounds the conversations that are under way at once: those of one API, but for cases that need to be alone.
var talks = make(chan struct{}, 14)

// KIP-35 and all that Wadi serves: Apache Kafka and Wadi answer alike, but for what allowed_test.go explains.
func TestAgainstKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Apache Kafka")
	}
	var found findings
	t.Cleanup(func() { // the first to be registered speaks last
		for _, line := range found.differing {
			t.Logf("DIFFERS: %s", line)
		}
	})
	jvm := kafka.Start(t)
	apache := newBroker(t, "Kafka", jvm.Address, jvm.Tail)
	apache.settle, apache.twoSteps = jvm.Settle, true
	agent := startWadi(t)
	wadi := newBroker(t, "Wadi", agent.address, agent.Output)
	for _, a := range apis() {
		t.Run(fmt.Sprintf("%02d %s", a.key, kmsg.NameForKey(a.key)), func(t *testing.T) {
			for _, c := range append(frames(a), a.cases...) {
				t.Run(c.Name, func(t *testing.T) {
					if !c.Alone { // those come first
						t.Parallel()
					}
					diffs := hold(t, apache, wadi, a, c)
					for _, d := range found.judge(a.key, c.Name, diffs) {
						t.Error(d)
					}
					if t.Failed() {
						found.differs(fmt.Sprintf("%02d/%s", a.key, c.Name))
					}
				})
			}
		})
	}
	if found.cases == total() { // else -run chose some
		for _, line := range unused(allowed, found.used) {
			t.Errorf("allowed, but Apache Kafka and Wadi do not differ there any more: %s", line)
		}
		for _, line := range unused(open, found.left) {
			t.Logf("mended: strike from open_test.go: %s", line)
		}
	}
}

// hold runs a case with both brokers in every version and returns what differs.
func hold(t *testing.T, apache, wadi *broker, a apiCases, c Case) []versioned {
	t.Helper()
	from, to := c.versions(a.key)
	all := make([][]versioned, to-from+1)
	gates := talks
	if c.Alone {
		gates = make(chan struct{}, 1)
	}
	var wg sync.WaitGroup
	for v := from; v <= to; v++ {
		if !c.holds(v) {
			continue
		}
		gates <- struct{}{}
		wg.Go(func() {
			defer func() { <-gates }()
			list, again, err := holdOnce(apache, wadi, a.key, c, v)
			for _, why := range again {
				t.Logf("v%d: Kafka was asked again: %s", v, why)
			}
			if err != nil {
				t.Errorf("v%d: %v", v, err)
			}
			all[v-from] = list
		})
	}
	wg.Wait()
	return slices.Concat(all...)
}

// holdOnce holds one conversation with both; with Kafka again while there is a difference that nobody explained. It returns
// why it did so.
func holdOnce(apache, wadi *broker, key int16, c Case, version int16) (list []versioned, again []string, err error) {
	var (
		scripts [2]*Script
		errs    [2]error
		wg      sync.WaitGroup
	)
	for i, b := range []*broker{apache, wadi} {
		wg.Go(func() { scripts[i], errs[i] = b.hold(c, version, prefixOf(key, c, version, 0)) })
	}
	wg.Wait()
	if errs[1] != nil {
		wadi.troubles.Add(1)
		return nil, nil, errors.Join(errs[:]...)
	}
	for attempt := 1; ; attempt++ {
		list, err = nil, errs[0]
		if err == nil {
			list, err = differences(scripts[0].said, scripts[1].said, version)
		}
		why := ""
		if err != nil {
			why = err.Error()
		} else if i := slices.IndexFunc(list, func(d versioned) bool { return !excusedAnywhere(key, c.Name, d) }); i >= 0 {
			why = fmt.Sprintf("%s: %s: Kafka %s, Wadi %s", list[i].step, list[i].path, list[i].kafka, list[i].wadi)
		}
		if why == "" {
			return list, again, nil
		}
		if attempt == attempts {
			if errs[0] != nil {
				apache.troubles.Add(1)
			}
			return list, again, err
		}
		again = append(again, why)
		scripts[0], errs[0] = apache.hold(c, version, prefixOf(key, c, version, attempt))
	}
}

// hold holds a conversation with one broker.
func (b *broker) hold(c Case, version int16, prefix string) (*Script, error) {
	s := &Script{Version: version, broker: b, names: newNaming(b), prefix: prefix}
	return s, s.run(c.Run)
}

// differences compares what two brokers said in a conversation.
func differences(kafka, wadi []answer, version int16) ([]versioned, error) {
	if len(kafka) != len(wadi) {
		return nil, fmt.Errorf("Kafka was heard %d times, Wadi %d times: the case must ask both the same", len(kafka), len(wadi))
	}
	var list []versioned
	for i := range kafka {
		step := kafka[i].label
		if len(kafka) > 1 {
			step = fmt.Sprintf("%s #%d", step, i+1)
		}
		for _, d := range compare("", kafka[i].shape, wadi[i].shape, nil) {
			list = append(list, versioned{version, step, d})
		}
	}
	return list, nil
}

// agent is a running Wadi.
type agent struct {
	*binary.Process
	address string
}

func startWadi(t *testing.T) agent {
	address := fmt.Sprintf("127.0.0.1:%d", binary.FreePort(t))
	dir := t.TempDir()
	p := binary.Start(t, binary.Spec{
		// As package kafka configures Apache Kafka.
		Env:  []string{"WADI_KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0", binary.NoCompactor, binary.LongSession},
		Name: "wadi dev", Path: binary.Path(t), Ready: "ready", Dir: dir, Quiet: true,
		Args: []string{"dev", "--listen", address, "--data-dir", filepath.Join(dir, "data"), "--http", ""},
	})
	return agent{p, address}
}

// newBroker asks a broker who it is. Its log is shown when it left a conversation unfinished.
func newBroker(t *testing.T, name, address string, output func() string) *broker {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{name: name, address: address, host: host, port: int32(n), output: output}
	t.Cleanup(func() {
		if n := b.troubles.Load(); t.Failed() && n > 0 {
			t.Logf("%s left %d conversations unfinished; its last lines:\n%s", b.name, n, b.output())
		}
	})
	s := &Script{broker: b, names: newNaming(b)}
	err = s.run(func(s *Script) {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{}
		resp := s.Do(9, req).(*kmsg.MetadataResponse)
		if len(resp.Brokers) != 1 {
			s.fail("%d brokers", len(resp.Brokers))
		}
		b.node = resp.Brokers[0].NodeID
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every API and version that is served has a case that asks for it by itself, beside the malformed frames.
func TestEveryServedVersionHasACase(t *testing.T) {
	listed := map[int16]apiCases{}
	for _, a := range apis() {
		listed[a.key] = a
	}
	for _, row := range api.Versions {
		a, ok := listed[row.Key]
		if !ok {
			t.Errorf("API %d (%s) is served, and apis_test.go does not list it", row.Key, row.Name)
			continue
		}
		delete(listed, row.Key)
		covered := map[int16]bool{}
		names := map[string]bool{}
		for _, c := range a.cases {
			if names[slug(c.Name)] || strings.TrimSpace(c.Name) == "" {
				t.Errorf("API %d: %q is the name of two cases, or none", row.Key, c.Name)
			}
			names[slug(c.Name)] = true
			from, to := c.versions(row.Key)
			for v := from; v <= to; v++ {
				if c.holds(v) {
					covered[v] = true
				}
			}
		}
		for v := row.Min; v <= row.Max; v++ {
			if !covered[v] {
				t.Errorf("API %d (%s) v%d is served and no case asks for it", row.Key, row.Name, v)
			}
		}
	}
	for key := range listed {
		t.Errorf("API %d has cases and is not served", key)
	}
}
