package importrules

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestModule holds the module to the rules. The graph is that of product code: what tests import is their own affair.
func TestModule(t *testing.T) {
	for _, breach := range Check(listGraph(t), Rules) {
		t.Error(breach)
	}
}

// TestCoresExist fails when a core was moved or renamed: the rule about it would hold for ever.
func TestCoresExist(t *testing.T) {
	g := listGraph(t)
	for _, r := range Rules {
		if len(r.Never) == len(outside) && !slices.ContainsFunc(sortedKeys(g), func(p string) bool { return under(p, r.From) }) {
			t.Errorf("no package under %s: the rule about it cannot fire", r.From)
		}
	}
}

func TestCheckFires(t *testing.T) {
	clean := Graph{
		"wadi/cmd/wadi":         {"wadi/agent", "wadi/compactor", "net/http"},
		"wadi/agent":            {"wadi/metadata/state", "net"},
		"wadi/compactor":        {"wadi/objstore/segment"},
		"wadi/metadata/state":   {"wadi/internal/batch", "net/url", "net/netip"},
		"wadi/objstore/segment": {"wadi/internal/batch"},
		"wadi/internal/batch":   {"hash/crc32"},
		"wadi/internal/layout":  {"strings"},
		"wadi/agents":           {"wadi/compactor"},
	}
	if breaches := Check(clean, Rules); len(breaches) > 0 {
		t.Fatalf("the clean graph is refused: %q", breaches)
	}
	for name, c := range map[string]struct {
		from, imports string
		chain         string
	}{
		"net in state":         {"wadi/metadata/state", "net", "wadi/metadata/state -> net"},
		"http in batch":        {"wadi/internal/batch", "net/http", "wadi/internal/batch -> net/http"},
		"etcd in layout":       {"wadi/internal/layout", "go.etcd.io/etcd/client/v3", "wadi/internal/layout -> go.etcd.io/etcd/client/v3"},
		"aws in segment":       {"wadi/objstore/segment", "github.com/aws/aws-sdk-go-v2/aws", "wadi/objstore/segment -> github.com/aws/aws-sdk-go-v2/aws"},
		"detour":               {"hash/crc32", "net", "wadi/internal/batch -> hash/crc32 -> net"},
		"state uses agent":     {"wadi/metadata/state", "wadi/agent/ingest", "wadi/metadata/state -> wadi/agent/ingest"},
		"agent on compactor":   {"wadi/agent", "wadi/compactor/merge", "wadi/agent -> wadi/compactor/merge"},
		"compactor on agent":   {"wadi/compactor", "wadi/agent/fetch", "wadi/compactor -> wadi/agent/fetch"},
		"agent uses a command": {"wadi/agent", "wadi/cmd/wadi", "wadi/agent -> wadi/cmd/wadi"},
	} {
		t.Run(name, func(t *testing.T) {
			g := Graph{}
			for p, imports := range clean {
				g[p] = imports
			}
			g[c.from] = append(slices.Clone(g[c.from]), c.imports)
			breaches := Check(g, Rules)
			if !slices.ContainsFunc(breaches, func(b string) bool { return strings.HasPrefix(b, c.chain+":") }) {
				t.Errorf("no breach %q among %q", c.chain, breaches)
			}
		})
	}
}

// listGraph is the module's import graph with everything that it depends on.
func listGraph(t *testing.T) Graph {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-deps", "-json=ImportPath,Imports", "wadi/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	g := Graph{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		g[p.ImportPath] = p.Imports
	}
	if len(g) < 20 {
		t.Fatalf("go list named only %d packages", len(g))
	}
	return g
}
