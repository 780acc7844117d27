package semantics

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// requiredLines are the lines of docs/kafka-semantics.md, requiredRegressions the numbers of docs/invariants.md, that a
// test must cite. What is not here waits for what it is about: compaction, several zones.
var (
	requiredLines = []int{
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
		35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51,
		52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68,
		69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 95,
	}
	requiredRegressions = []int{1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}
)

const root = "../.."

// A citation names lines or regressions in one form, so that they can be found.
var (
	lineCitation       = regexp.MustCompile(`[Ss]emantics lines? (\d+(?:, \d+)*)`)
	regressionCitation = regexp.MustCompile(`Regressions? (R\d+(?:, R\d+)*)`)
	looseCitation      = regexp.MustCompile(`(?i)semantics lines?\b|\b[Ll]ines? \d+|\bR\d{1,2}\b`)
	numberedLine       = regexp.MustCompile(`(?m)^(\d+)\. `)
	numberedRegression = regexp.MustCompile(`(?m)(?:^- |[.:;] )R(\d+) `)
)

// TestEveryLineIsCited fails when a required line or regression is cited by no test over the wire, or when a comment of
// any test cites one in another form or one that does not exist.
func TestEveryLineIsCited(t *testing.T) {
	lines, regressions := map[int][]string{}, map[int][]string{}
	checked := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "coverage_test.go":
			return nil
		}
		checked++
		for where, text := range commentsOfTests(t, path) {
			note(lines, numbers(lineCitation, text), where)
			note(regressions, numbers(regressionCitation, text), where)
			rest := regressionCitation.ReplaceAllString(lineCitation.ReplaceAllString(text, ""), "")
			if loose := looseCitation.FindString(rest); loose != "" {
				t.Errorf("%s cites %q: write \"Semantics line 16\", \"Semantics lines 23, 24\", \"Regression R5\" or \"Regressions R15, R18\"",
					where, loose)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 50 {
		t.Fatalf("only %d files with tests were found", checked)
	}
	compare(t, "Semantics line %d", lines, requiredLines, numbersOf(t, "docs/kafka-semantics.md", numberedLine))
	compare(t, "Regression R%d", regressions, requiredRegressions, numbersOf(t, "docs/invariants.md", numberedRegression))
}

func note(cited map[int][]string, numbers []int, where string) {
	for _, n := range numbers {
		if !slices.Contains(cited[n], where) {
			cited[n] = append(cited[n], where)
		}
	}
}

func compare(t *testing.T, form string, cited map[int][]string, required, exist []int) {
	t.Helper()
	for _, n := range required {
		if !slices.ContainsFunc(cited[n], func(where string) bool { return strings.Contains(where, "integration/") }) {
			t.Errorf("no test over the wire cites "+form, n)
		}
		t.Logf(form+": %s", n, strings.Join(cited[n], ", "))
	}
	for n, where := range cited {
		if !slices.Contains(exist, n) {
			t.Errorf(form+" does not exist: %s", n, strings.Join(where, ", "))
		}
	}
}

// commentsOfTests are the comments on and in functions of a test file, by file and function. A comment elsewhere
// enforces nothing.
func commentsOfTests(t *testing.T, path string) map[string]string {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		from := fn.Pos()
		if fn.Doc != nil {
			from = fn.Doc.Pos()
		}
		where := fmt.Sprintf("%s %s", strings.TrimPrefix(filepath.ToSlash(path), root+"/"), fn.Name.Name)
		for _, c := range f.Comments {
			if c.Pos() >= from && c.End() <= fn.End() {
				texts[where] += strings.Join(strings.Fields(c.Text()), " ") + "\n"
			}
		}
	}
	return texts
}

func numbers(form *regexp.Regexp, text string) (list []int) {
	for _, m := range form.FindAllStringSubmatch(text, -1) {
		for _, s := range strings.Split(m[1], ", ") {
			if n, err := strconv.Atoi(strings.TrimPrefix(s, "R")); err == nil {
				list = append(list, n)
			}
		}
	}
	return list
}

func numbersOf(t *testing.T, page string, form *regexp.Regexp) []int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	list := numbers(form, string(text))
	if len(list) < 15 {
		t.Fatalf("only %d numbers in %s: the pattern does not match any more", len(list), page)
	}
	return list
}
