package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Key    string // the key, or what was found in a key's place
	Value  string // as it was given, passwords hidden; "" when there is none to show
	Source string // where it was given: "--flush.bytes", "WADI_FLUSH_BYTES", "file wadi.yaml", "default"
	Text   string // what is wrong, as the rest of a sentence
}

// String is one sentence: flush.bytes = "9" (WADI_FLUSH_BYTES): must lie between 64KiB and 64MiB
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Key)
	if p.Value != "" {
		fmt.Fprintf(&b, " = %q", p.Value)
	}
	if p.Source != "" {
		fmt.Fprintf(&b, " (%s)", p.Source)
	}
	b.WriteString(": ")
	b.WriteString(p.Text)
	return b.String()
}

// Problems is the error that Load returns: everything that is wrong, in the order of sources and keys.
type Problems []Problem

func (p Problems) Error() string {
	if len(p) == 1 {
		return "the configuration has a problem: " + p[0].String()
	}
	lines := make([]string, 0, len(p)+1)
	lines = append(lines, fmt.Sprintf("the configuration has %d problems:", len(p)))
	for _, one := range p {
		lines = append(lines, "  "+one.String())
	}
	return strings.Join(lines, "\n")
}
