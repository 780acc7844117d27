package killpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"wadi/integration/binary"
	"wadi/integration/etcd"
	"wadi/integration/minio"
	"wadi/internal/busy"
	"wadi/metadata/fsck"
	"wadi/objstore"
	"wadi/objstore/open"
)

// matrix is one cluster that is killed at some steps.
type matrix struct {
	base  plan
	steps []step
	sizes func(*rand.Rand) int
	grace time.Duration // of orphans, 0 = fsck's own
	fired map[string]int
	left  []fsck.Item // leftovers that fsck saw last
}

// patience bounds the wait for a plan to fire. A checkpoint's job is free a TTL after its holder died.
const patience = 4 * time.Minute

func (m *matrix) start(t *testing.T, p plan) *binary.Process {
	t.Helper()
	text, err := json.Marshal(p)
	require.NoError(t, err)
	return binary.Start(t, binary.Spec{
		Name: "agent", Path: os.Args[0], Env: []string{planVariable + "=" + string(text)}, Ready: started,
	})
}

// kill starts an agent with a plan and waits until that has fired.
func (m *matrix) kill(t *testing.T, p plan) {
	t.Helper()
	m.await(t, p, m.start(t, p))
}

// await waits until an agent's plan has fired.
func (m *matrix) await(t *testing.T, p plan, agent *binary.Process) {
	t.Helper()
	err := agent.Wait(patience)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		agent.Kill()
		t.Fatalf("the agent was to be killed %s: %v\n%s", p, err, agent.Output())
	}
	side := " before"
	if p.After {
		side = " after"
	}
	m.fired[string(p.Step)+side]++
}

// run kills `rounds` times at every step on both sides. Each round has a cluster of its own: what one round does to its
// cluster is thirty deaths already, and the step that a base is comes seldom once State has grown.
func (m *matrix) run(t *testing.T, rounds int) {
	m.fired = map[string]int{}
	for n := range rounds {
		t.Run(fmt.Sprintf("round %d", n), func(t *testing.T) {
			m.base.Cluster = fmt.Sprintf("crash-%d", n)
			m.round(t)
		})
	}
	t.Logf("kills: %s", m.kills())
}

// round kills at every step, in an order that the seed gives, and checks everything.
func (m *matrix) round(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	m.base.Port = uint16(binary.FreePort(t))
	m.base.Dir = t.TempDir()
	l := startLoad(t, fmt.Sprintf("127.0.0.1:%d", m.base.Port), m.sizes)
	// The kills begin when all producers are at work.
	first := m.start(t, m.base)
	l.begun(t)
	first.Kill()
	var plans []plan
	for _, s := range m.steps {
		for _, after := range []bool{false, true} {
			p := m.base
			p.Step, p.After, p.Nth = s, after, 1
			if s.often() {
				p.Nth += random.IntN(3)
			}
			plans = append(plans, p)
		}
	}
	random.Shuffle(len(plans), func(i, j int) { plans[i], plans[j] = plans[j], plans[i] })
	for _, p := range plans {
		if p.Step == closeSession { // there must be one to close
			before := p
			before.Step, before.After = openSession, true
			m.kill(t, before)
		}
		m.kill(t, p)
	}
	m.check(t, l)
}

// check lets a last agent live, ends the load, reads everything back, and runs fsck.
func (m *matrix) check(t *testing.T, l *load) {
	t.Helper()
	last := m.start(t, m.base)
	l.stop(t)
	if m.base.Etcd != "" {
		m.swept(t, l) // beside the live agent
	}
	l.verify(t)
	require.NoError(t, last.Stop(), last.Output())
	kinds := m.fsck(t)
	t.Logf("leftovers: %v", kinds)
	t.Logf("%d records", l.mu.sent)
}

func (m *matrix) kills() string {
	var list []string
	for name, n := range m.fired {
		list = append(list, fmt.Sprintf("%s %d", name, n))
	}
	sort.Strings(list)
	return strings.Join(list, ", ")
}

// swept waits until the checkpoints that go on have removed what dead ones left behind.
func (m *matrix) swept(t *testing.T, l *load) {
	t.Helper()
	admin := kadm.NewClient(l.client(t))
	left := 0
	for i, until := 0, time.Now().Add(patience); time.Now().Before(until); i++ {
		if left = m.fsck(t)[fsck.CheckpointLeftover]; left == 0 || t.Failed() {
			return
		}
		// Something to make a checkpoint of. It may fail while a session that was lost is replaced; then the next one will do.
		if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, fmt.Sprintf("nudge-%d", i)); err != nil {
			t.Log(err)
		}
		time.Sleep(4 * limits.Interval)
	}
	t.Errorf("%d objects of dead checkpoints are still there", left)
}

// fsck expects no finding; what crashes leave behind is no finding, and is counted.
func (m *matrix) fsck(t *testing.T) map[fsck.Kind]int {
	t.Helper()
	metadata, err := openEtcd(t.Context(), m.base)
	require.NoError(t, err)
	defer func() { require.NoError(t, metadata.Close()) }()
	store, err := open.Open(t.Context(), m.base.storeURL(), open.Options{ReadOnly: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, objstore.Close(store)) }()
	r, err := fsck.Run(t.Context(), fsck.Options{KV: etcd.Patient(metadata), Store: store, Cluster: m.base.Cluster, Grace: m.grace})
	require.NoError(t, err)
	for _, f := range r.Findings {
		t.Error(f)
	}
	m.left = r.Leftovers
	kinds := map[fsck.Kind]int{}
	for _, i := range r.Leftovers {
		kinds[i.Kind]++
	}
	return kinds
}

func small(r *rand.Rand) int { return r.IntN(200) }

// mixed sizes take both lanes at an inline limit of 4 KiB.
func mixed(r *rand.Rand) int {
	if r.IntN(3) == 0 {
		return 6000
	}
	return r.IntN(500)
}

// Every flush becomes an object.
func TestObjectLane(t *testing.T) {
	t.Parallel()
	m := &matrix{
		base:  plan{Etcd: etcd.Start(t, etcd.Options{}).Endpoint(), Inline: 0},
		steps: append([]step{putSegment, appendObject}, sessionSteps...), sizes: small,
	}
	if *kills > 1 {
		m.steps = append(m.steps, checkpointSteps...)
	}
	m.run(t, *kills)
}

// Flushes go into the journal or become objects, by size.
func TestBothLanes(t *testing.T) {
	t.Parallel()
	m := &matrix{
		base:  plan{Etcd: etcd.Start(t, etcd.Options{}).Endpoint(), Inline: 4 << 10},
		steps: append([]step{putSegment, appendObject, appendInline}, checkpointSteps...), sizes: mixed,
	}
	m.run(t, *kills)
}

// The objects are in a bucket: what a dead process uploaded meets what its successor uploads.
func TestBucket(t *testing.T) {
	server := minio.Start(t)
	for _, variable := range server.Env() { // for the agents and for fsck here
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	m := &matrix{
		base: plan{
			Etcd: etcd.Start(t, etcd.Options{}).Endpoint(), Inline: 4 << 10,
			Store: server.URL(server.NewBucket(t) + "/streams"),
		},
		steps: []step{putSegment, appendObject, putArchive, putBase, putRoot, clean}, sizes: mixed,
	}
	m.run(t, *kills)
}

// Every flush is hedged, and what lies under its other name is nobody's.
func TestHedges(t *testing.T) {
	t.Parallel()
	m := &matrix{
		base:  plan{Etcd: etcd.Start(t, etcd.Options{}).Endpoint(), Inline: 4 << 10, Hedge: true},
		steps: []step{putHedge, appendHedge}, sizes: mixed,
	}
	m.run(t, *kills)
}

// The embedded etcd dies with its agent.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	m := &matrix{
		base:  plan{Inline: 4 << 10},
		steps: []step{putSegment, appendObject, appendInline, openSession, pointer, trim, compact}, sizes: mixed,
	}
	m.run(t, *kills)
}

// A cluster's first moments: whoever comes next finishes what a dead process began.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	m := &matrix{base: plan{Etcd: etcd.Start(t, etcd.Options{}).Endpoint(), Inline: 4 << 10}, sizes: small, fired: map[string]int{}}
	for n := range *kills {
		for _, s := range bootstrapSteps {
			for _, after := range []bool{false, true} {
				p := m.base
				p.Step, p.After, p.Nth = s, after, 1
				t.Run(fmt.Sprintf("%d %s", n, p), func(t *testing.T) {
					m.base.Cluster = fmt.Sprintf("first-%d-%s-%t", n, s, after)
					m.base.Port, m.base.Dir = uint16(binary.FreePort(t)), t.TempDir()
					p.Cluster, p.Port, p.Dir = m.base.Cluster, m.base.Port, m.base.Dir
					l := startLoad(t, fmt.Sprintf("127.0.0.1:%d", p.Port), m.sizes)
					m.kill(t, p)
					m.check(t, l)
				})
			}
		}
	}
	t.Logf("kills: %s", m.kills())
}

// Kills between the steps, whenever.
func TestAnytime(t *testing.T) {
	t.Parallel()
	m := &matrix{base: plan{Etcd: etcd.Start(t, etcd.Options{}).Endpoint(), Inline: 4 << 10}, sizes: mixed}
	m.often(t, 10**kills, func(t *testing.T, agent *binary.Process) { agent.Kill() })
}

// Regression R1: an agent that is asked to stop under load has answered for everything that it took, ends with 0, and
// its successor goes on from there.
func TestSignals(t *testing.T) {
	t.Parallel()
	m := &matrix{base: plan{Etcd: etcd.Start(t, etcd.Options{}).Endpoint(), Inline: 4 << 10}, sizes: mixed}
	m.often(t, 5**kills, func(t *testing.T, agent *binary.Process) {
		begin, waited := time.Now(), busy.Since()
		require.NoError(t, agent.Stop(), agent.Output())
		took := time.Since(begin)
		require.Less(t, took, 8*time.Second+waited())
	})
}

// Kills at the first and the last step of a drain, under load.
func TestDrain(t *testing.T) {
	t.Parallel()
	m := &matrix{base: plan{Etcd: etcd.Start(t, etcd.Options{}).Endpoint(), Inline: 4 << 10}, sizes: mixed, fired: map[string]int{}}
	m.base.Cluster, m.base.Port, m.base.Dir = "drain", uint16(binary.FreePort(t)), t.TempDir()
	l := startLoad(t, fmt.Sprintf("127.0.0.1:%d", m.base.Port), m.sizes)
	first := m.start(t, m.base)
	l.begun(t)
	first.Kill()
	for range *kills {
		for _, p := range []plan{{Step: register, Nth: 2}, {Step: revoke, Nth: 1}} {
			for _, after := range []bool{false, true} {
				plan := m.base
				plan.Step, plan.Nth, plan.After, plan.Lasting = p.Step, p.Nth, after, true
				before := l.answered()
				agent := m.start(t, plan)
				require.Eventually(t, func() bool { return l.answered() > before }, patience, 10*time.Millisecond, "it serves")
				require.NoError(t, agent.Signal(syscall.SIGTERM))
				m.await(t, plan, agent)
			}
		}
	}
	m.check(t, l)
	t.Logf("kills: %s", m.kills())
}

// often ends n agents, each after a random time, and checks everything.
func (m *matrix) often(t *testing.T, n int, end func(*testing.T, *binary.Process)) {
	m.base.Cluster, m.base.Port, m.base.Dir = "anytime", uint16(binary.FreePort(t)), t.TempDir()
	l := startLoad(t, fmt.Sprintf("127.0.0.1:%d", m.base.Port), m.sizes)
	for i := range n {
		agent := m.start(t, m.base)
		if i == 0 {
			l.begun(t)
		}
		select {
		case <-agent.Done():
			t.Fatalf("the agent ended by itself\n%s", agent.Output())
		case <-time.After(time.Duration(100+rand.IntN(1400)) * time.Millisecond):
		}
		end(t, agent)
	}
	m.check(t, l)
}

// Topics come and go under the kills: what a deleted one leaves in the state must not confuse references.
func TestTopics(t *testing.T) {
	t.Parallel()
	m := &matrix{base: plan{Etcd: etcd.Start(t, etcd.Options{}).Endpoint(), Inline: 4 << 10}, sizes: mixed}
	m.base.Cluster, m.base.Port, m.base.Dir = "topics", uint16(binary.FreePort(t)), t.TempDir()
	l := startLoad(t, fmt.Sprintf("127.0.0.1:%d", m.base.Port), m.sizes)
	for n := range 6 * *kills {
		agent := m.start(t, m.base)
		if n == 0 {
			l.begun(t)
			l.churn(t)
		}
		time.Sleep(time.Duration(300+rand.IntN(1200)) * time.Millisecond)
		agent.Kill()
	}
	// A slow machine may not have brought a topic to its end between two kills.
	last := m.start(t, m.base)
	require.Eventually(t, l.hasChurned, patience, 10*time.Millisecond, "no topic came and went")
	last.Kill()
	m.check(t, l)
	t.Logf("%d topics came and went", l.mu.churned)
}
