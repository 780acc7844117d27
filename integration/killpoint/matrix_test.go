package killpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/integration/binary"
	"wadi/integration/etcd"
	"wadi/metadata/fsck"
	"wadi/objstore"
	"wadi/objstore/file"
)

// matrix is one cluster that is killed at some steps.
type matrix struct {
	base    plan
	steps   []step
	sizes   func(*rand.Rand) int
	running *binary.Process
	fired   map[string]int
}

// patience bounds the wait for a plan to fire. A checkpoint's job is free a TTL after its holder died.
const patience = 30 * time.Second

func (m *matrix) start(t *testing.T, p plan) *binary.Process {
	t.Helper()
	text, err := json.Marshal(p)
	require.NoError(t, err)
	return binary.Start(t, binary.Spec{Name: "agent", Path: os.Args[0], Env: []string{planVariable + "=" + string(text)}})
}

// kill starts an agent with a plan and waits until that has fired.
func (m *matrix) kill(t *testing.T, p plan) {
	t.Helper()
	agent := m.start(t, p)
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

// run kills at every step on both sides, `rounds` times, in an order that the seed gives, then checks everything.
func (m *matrix) run(t *testing.T, rounds int) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	m.base.Port = uint16(binary.FreePort(t))
	m.base.Dir = t.TempDir()
	m.base.Cluster = "crash"
	m.fired = map[string]int{}
	l := startLoad(t, fmt.Sprintf("127.0.0.1:%d", m.base.Port), m.sizes)
	for range rounds {
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
	}
	last := m.start(t, m.base)
	l.stop(t)
	l.verify(t)
	require.NoError(t, last.Stop(), last.Output())
	m.fsck(t)
	t.Logf("%d records; kills: %s", l.mu.sent, m.kills())
}

func (m *matrix) kills() string {
	var list []string
	for name, n := range m.fired {
		list = append(list, fmt.Sprintf("%s %d", name, n))
	}
	sort.Strings(list)
	return strings.Join(list, ", ")
}

// fsck expects no finding; what crashes leave behind is no finding.
func (m *matrix) fsck(t *testing.T) {
	t.Helper()
	metadata, err := openEtcd(t.Context(), m.base)
	require.NoError(t, err)
	defer func() { require.NoError(t, metadata.Close()) }()
	store, err := file.OpenReadOnly(filepath.Join(m.base.Dir, "objects"))
	require.NoError(t, err)
	defer func() { require.NoError(t, objstore.Close(store)) }()
	r, err := fsck.Run(t.Context(), fsck.Options{KV: metadata, Store: store, Cluster: m.base.Cluster})
	require.NoError(t, err)
	for _, f := range r.Findings {
		t.Error(f)
	}
	kinds := map[fsck.Kind]int{}
	for _, i := range r.Leftovers {
		kinds[i.Kind]++
	}
	t.Logf("fsck: %+v, leftovers %v", r.Counts, kinds)
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
