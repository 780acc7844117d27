package checker

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wadi/integration/binary"
)

// patch changes a file of the product, by text, for a build of its own. It fails loudly when the text is gone.
type patch struct {
	file     string // from the module's root
	old, new string // old occurs exactly once
}

// haltPatches put package halt around what an agent is built from.
var haltPatches = []patch{
	{"cmd/wadi/run_agent.go", "p.Endpoints, KV: p.KV, Store: p.Store,", "p.Endpoints, KV: halt.KV(p.KV), Store: halt.Store(p.Store),"},
	{"cmd/wadi/run_agent.go", "\t\"wadi/agent\"\n", "\t\"wadi/agent\"\n\t\"wadi/integration/checker/halt\"\n"},
}

// apply returns the changed files, text by path.
func apply(patches []patch) (map[string]string, error) {
	changed := map[string]string{}
	for _, p := range patches {
		path := filepath.Join(binary.Root(), p.file)
		text, ok := changed[path]
		if !ok {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			text = string(b)
		}
		if n := strings.Count(text, p.old); n != 1 {
			return nil, fmt.Errorf("%s has %d places for %q: the patch must follow the code", p.file, n, p.old)
		}
		changed[path] = strings.Replace(text, p.old, p.new, 1)
	}
	return changed, nil
}

// build builds wadi with patches into a folder and returns the binary's path.
func build(dir string, patches []patch) (string, error) {
	changed, err := apply(patches)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for path, text := range changed {
		to := filepath.Join(dir, fmt.Sprintf("changed-%d.go", len(replace)))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[path] = to
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file, out := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "wadi")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-overlay", file, "-o", out, "./cmd/wadi")
	cmd.Dir = binary.Root()
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build wadi: %w\n%s", err, text)
	}
	return out, nil
}

// mustBuild is build for a test, which ends where it fails.
func mustBuild(t testing.TB, patches ...patch) string {
	t.Helper()
	path, err := build(t.TempDir(), append(patches, haltPatches...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
