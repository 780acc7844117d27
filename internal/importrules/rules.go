// Package importrules says which packages of this module may depend on which, and finds what breaks it. The rules keep
// the cores free of I/O: a state machine that cannot reach a socket cannot hide one. They look at all dependencies, not
// only at direct imports, so a detour through a third package is found too.
package importrules

import (
	"fmt"
	"slices"
	"strings"
)

// Graph maps a package's import path to the packages that it imports directly. A package that is missing as a key
// imports nothing.
type Graph map[string][]string

// Rule forbids every package under From to depend, over any number of steps, on a package under one of Never.
type Rule struct {
	From  string
	Never []string
	Why   string
}

// outside is what a core must not reach: the shells above it, the network and the two services behind it.
var outside = []string{
	"wadi/agent", "wadi/compactor", "wadi/cmd",
	"go.etcd.io", "github.com/aws",
	"net", "google.golang.org/grpc",
}

// Rules are those of docs/DESIGN.md section 2. An entry covers the package and everything below it.
var Rules = []Rule{
	{From: "wadi/metadata/state", Never: outside, Why: "State is a pure function of the journal"},
	{From: "wadi/internal/batch", Never: outside, Why: "record batches are bytes, wherever they come from"},
	{From: "wadi/internal/layout", Never: outside, Why: "keys are names, not connections"},
	{From: "wadi/objstore/segment", Never: outside, Why: "the segment format knows no store"},
	{From: "wadi/agent", Never: []string{"wadi/compactor"}, Why: "agents run without a compactor"},
	{From: "wadi/compactor", Never: []string{"wadi/agent"}, Why: "a compactor serves no client"},
	{From: "wadi", Never: []string{"wadi/cmd"}, Why: "cmd is thin: what others need lives elsewhere"},
}

// standardAllowed are packages of the standard library below "net" that open no connection.
var standardAllowed = []string{"net/netip", "net/url"}

// Check returns one sentence per breach: the rule and a shortest chain of imports that leads there.
func Check(g Graph, rules []Rule) []string {
	var breaches []string
	for _, r := range rules {
		for _, from := range sortedKeys(g) {
			if !under(from, r.From) || within(from, r.Never) {
				continue
			}
			if chain := chainTo(g, from, r.Never); chain != nil {
				breaches = append(breaches, fmt.Sprintf("%s: %s", strings.Join(chain, " -> "), r.Why))
			}
		}
	}
	return breaches
}

// chainTo is a shortest path from a package to one that is forbidden, or nil.
func chainTo(g Graph, from string, never []string) []string {
	cameFrom := map[string]string{from: ""}
	queue := []string{from}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if at != from && within(at, never) {
			var chain []string
			for p := at; p != ""; p = cameFrom[p] {
				chain = append(chain, p)
			}
			slices.Reverse(chain)
			return chain
		}
		for _, next := range g[at] {
			if _, seen := cameFrom[next]; !seen {
				cameFrom[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func within(path string, roots []string) bool {
	if slices.Contains(standardAllowed, path) {
		return false
	}
	return slices.ContainsFunc(roots, func(root string) bool { return under(path, root) })
}

// under reports whether path is root or lies below it; "wadi/agents" is not under "wadi/agent".
func under(path, root string) bool {
	return path == root || strings.HasPrefix(path, root+"/")
}

func sortedKeys(g Graph) []string {
	keys := make([]string, 0, len(g))
	for k := range g {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
