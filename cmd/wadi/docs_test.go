package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"wadi/internal/config"
)

// commandDocs is the flags part of docs/cli.md: a heading for each command and a row for each of its flags. The flags
// of the configuration keys are in docs/configuration.md.
func commandDocs() string {
	keys := make(map[string]bool)
	for _, k := range config.Keys() {
		keys[k.Name] = true
	}
	a := &app{}
	var b strings.Builder
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Runnable() && !c.HasSubCommands() && c.Name() != "help" {
			fmt.Fprintf(&b, "## %s\n", c.CommandPath())
			c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
				if (keys[f.Name] && (c.Name() == "agent" || c.Name() == "compactor")) || f.Name == "help" {
					return
				}
				def := "none"
				if f.DefValue != "" && f.DefValue != "[]" {
					def = "`" + f.DefValue + "`"
				}
				fmt.Fprintf(&b, "| `--%s` | %s | %s |\n", f.Name, def, f.Usage)
			})
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(a.root())
	return b.String()
}

// docs/cli.md has every command and every flag with its default, and no others.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../docs/cli.md")
	require.NoError(t, err)
	var got strings.Builder
	for _, line := range strings.Split(string(doc), "\n") {
		if strings.HasPrefix(line, "## wadi") || strings.HasPrefix(line, "| `--") {
			got.WriteString(line + "\n")
		}
	}
	require.Equal(t, commandDocs(), got.String())
}
