package clients

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"wadi/integration/binary"
)

// snippet is a block of the README that says "<!-- tested: KIND -->" above its fence.
type snippet struct{ kind, text string }

var snippetFence = regexp.MustCompile("(?ms)^<!-- tested: (\\w+) -->\n```\\w*\n(.*?)^```$")

func snippets(t *testing.T) []snippet {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(binary.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var found []snippet
	for _, m := range snippetFence.FindAllStringSubmatch(string(readme), -1) {
		found = append(found, snippet{m[1], m[2]})
	}
	if len(found) != strings.Count(string(readme), "<!-- tested:") || len(found) == 0 {
		t.Fatalf("%d of %d marked snippets were understood", len(found), strings.Count(string(readme), "<!-- tested:"))
	}
	return found
}

// TestReadme runs the README's snippets in order, as a reader would, against one `wadi dev`, and compares what they
// print where the README says so. Only the address is another one, and the programs come from .tools.
func TestReadme(t *testing.T) {
	binary.Need(t, kcat{}.Check())
	binary.Need(t, python{}.Check())
	b := startDev(t, t.TempDir(), binary.FreePort(t))
	dir := t.TempDir()
	if err := os.Symlink(binary.Path(t), filepath.Join(dir, "wadi")); err != nil {
		t.Fatal(err)
	}
	var printed string
	for _, s := range snippets(t) {
		text := strings.ReplaceAll(s.text, "localhost:9092", b.bootstrap)
		switch s.kind {
		case "sh":
			// The binary is there already, and its default address is the one of the process that this test runs.
			text = strings.ReplaceAll(text, "go build -o wadi ./cmd/wadi\n", "")
			text = regexp.MustCompile(`(?m)\./wadi (\w+)`).ReplaceAllString(text, "./wadi $1 --bootstrap-server "+b.bootstrap)
			printed = runSnippet(t, dir, "sh", "-euc", text)
		case "python":
			printed = runSnippet(t, dir, venvPython(), "-c", text)
		case "output":
			if printed != text {
				t.Errorf("the README promises\n%s\nand the snippet printed\n%s", text, printed)
			}
		case "config":
			file := filepath.Join(dir, "wadi.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := runSnippet(t, dir, filepath.Join(dir, "wadi"), "agent", "--config", file, "--print-config"); !strings.Contains(got, "kafka.example.com") {
				t.Errorf("the configuration in force is not that of the file:\n%s", got)
			}
		default:
			t.Errorf("a snippet of unknown kind %q", s.kind)
		}
	}
}

func runSnippet(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, binary.Environ(), &stderr
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s\n%v\n%s", name, args[len(args)-1], err, stderr.String())
	}
	return string(out)
}
