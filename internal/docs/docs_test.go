package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// planStart is where DESIGN.md goes over from what is decided, part of which is still to be built, to what is there.
const planStart = "\n## 8. "

func TestPathsExist(t *testing.T) {
	checked := 0
	for name, text := range pages(t) {
		if filepath.Base(name) == "DESIGN.md" {
			_, after, ok := strings.Cut(text, planStart)
			if !ok {
				t.Fatalf("%s has no section 8", name)
			}
			text = after
		}
		for _, path := range pathsIn(text) {
			checked++
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s names %s, which does not exist", name, path)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d paths were found: the pattern does not match any more", checked)
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([\w./:-]+)(?:#([^)]*))?\)`)
	checked := 0
	for name, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			checked++
			target := filepath.Join(filepath.Dir(name), m[1])
			content, err := os.ReadFile(target)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if m[2] != "" && !hasAnchor(string(content), m[2]) {
				t.Errorf("%s: %s has no heading #%s", name, m[1], m[2])
			}
		}
	}
	if checked == 0 {
		t.Error("no link was found: the pattern does not match any more")
	}
}

func TestPathsIn(t *testing.T) {
	got := pathsIn("`agent/api`, `Apply(x)`, `agent/x_<n>.go`, `objstore/s3/`, `s3://a/b`, `.ci/run`, `NN_name.go`")
	if want := "agent/api objstore/s3/ .ci/run"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// pathsIn finds what stands in backticks and looks like a path of this repository.
func pathsIn(text string) []string {
	var found []string
	path := regexp.MustCompile("`((?:agent|cmd|compactor|deploy|docs|examples|integration|internal|metadata|objstore|tools|\\.ci)/[\\w./-]*)`")
	for _, m := range path.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// hasAnchor knows the anchors that a heading gets: lower case, spaces to dashes, other signs dropped.
func hasAnchor(text, anchor string) bool {
	drop := regexp.MustCompile(`[^\w\- ]`)
	for line := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok {
			heading = strings.ToLower(strings.TrimLeft(heading, "# "))
			if strings.ReplaceAll(drop.ReplaceAllString(heading, ""), " ", "-") == anchor {
				return true
			}
		}
	}
	return false
}

// pages are the README and everything under docs.
func pages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, name := range append(names, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(text)
	}
	if len(pages) < 4 {
		t.Fatalf("only %d pages", len(pages))
	}
	return pages
}
