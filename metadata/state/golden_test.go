package state

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"wadi/internal/layout"
)

var rewrite = flag.Bool("rewrite", false, "write the digests of golden files anew; their entries stay")

// Golden journals hold entries of the commands that there were when each was made; a new one comes beside them.
const goldenJournals = "testdata/golden-*.txt"

func TestGoldenJournals(t *testing.T) {
	files, err := filepath.Glob(goldenJournals)
	if err != nil || len(files) < 2 {
		t.Fatalf("golden journals %v: %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { checkGolden(t, file) })
	}
}

// checkGolden: the entries of a golden journal give the digests that stand beside them. A change of what Apply decides is
// seen here, and needs a feature level once there is a release. A line is position, session, sequence, digest after it,
// value; all but position and sequence in hex. The last line is the SHA-256 of the base's records.
func checkGolden(t *testing.T, file string) {
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var fresh bytes.Buffer
	s := New()
	wantBase, entries := "", 0
	lines := bufio.NewScanner(bytes.NewReader(old))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "base %s", &wantBase); n == 1 {
			continue
		}
		var position int64
		var session layout.Session
		var seq uint64
		var want, value string
		if _, err := fmt.Sscan(lines.Text(), &position, (*hexSession)(&session), &seq, &want, &value); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		raw, err := hex.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		e, err := Decode(position, session, seq, raw)
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(e)
		entries++
		if got := s.Digest().String(); got != want && !*rewrite {
			t.Fatalf("position %d: digest %s, want %s: %v", position, got, want, e.Body)
		}
		fmt.Fprintf(&fresh, "%d %v %d %v %s\n", position, session, seq, s.Digest(), value)
	}
	sum := sha256.New()
	for _, r := range base(t, s) {
		sum.Write([]byte(r))
	}
	fmt.Fprintf(&fresh, "base %x\n", sum.Sum(nil))
	if got := hex.EncodeToString(sum.Sum(nil)); got != wantBase && !*rewrite {
		t.Errorf("the base's records have changed: SHA-256 %s, want %s", got, wantBase)
	}
	if entries < 100 {
		t.Errorf("%d entries", entries)
	}
	if *rewrite {
		if err := os.WriteFile(file, fresh.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// hexSession scans a session as keys print it.
type hexSession layout.Session

func (h *hexSession) Scan(state fmt.ScanState, _ rune) error {
	word, err := state.Token(true, nil)
	if err != nil {
		return err
	}
	s, err := layout.ParseSession(string(word))
	*h = hexSession(s)
	return err
}
