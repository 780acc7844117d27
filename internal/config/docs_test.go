package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/configuration.md describes the keys that exist, with the defaults and bounds that are in force.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	var want, got []string
	for _, k := range Keys() {
		def := "empty"
		if k.Default != "" {
			def = "`" + k.Default + "`"
		}
		want = append(want, fmt.Sprintf("| `%s` | `%s` | %s | %s | %s |", k.Name, k.Env(), def, k.Allowed, k.Doc))
	}
	for _, line := range strings.Split(string(doc), "\n") {
		if strings.HasPrefix(line, "| `") {
			got = append(got, line)
		}
	}
	require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"))
}

// Every key has a flag, a variable and a line in the file; no two keys share a variable.
func TestEnvNamesAreUnique(t *testing.T) {
	seen := make(map[string]string)
	for _, k := range Keys() {
		require.Empty(t, seen[k.Env()], k.Name)
		seen[k.Env()] = k.Name
	}
	require.Equal(t, "flush.interval", seen["WADI_FLUSH_INTERVAL"])
	require.Equal(t, "cluster", seen["WADI_CLUSTER"])
}
