package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A group reads as far as it is asked, goes on where it was, is described with its lag, reset and deleted.
func TestGroups(t *testing.T) {
	run := broker(t)
	requireOK(t, run("", "topic", "create", "t", "--partitions", "1"))
	requireOK(t, run("a\nb\nc\nd\ne\n", "produce", "--topic", "t"))
	read := func(n string) string {
		return requireOK(t, run("", "consume", "--topic", "t", "--group", "g", "--from-beginning", "--max-messages", n))
	}
	require.Equal(t, "a\nb\n", read("2"))
	require.Equal(t, "c\n", read("1"), "it goes on where it was")

	require.Regexp(t, `(?m)^g +Empty +classic$`, requireOK(t, run("", "group", "list")))
	text := requireOK(t, run("", "group", "describe", "g"))
	require.Regexp(t, `^g \(classic, Empty, 0 members\)\nTOPIC +PARTITION +COMMITTED +END +LAG +MEMBER +CLIENT +HOST\nt +0 +3 +5 +2 +- +- +-\n$`, text)
	var described []describedGroup
	require.NoError(t, json.Unmarshal([]byte(requireOK(t, run("", "group", "describe", "g", "--output", "json"))), &described))
	require.Len(t, described, 1)
	require.Len(t, described[0].Offsets, 1)
	described[0].Offsets[0].Metadata = "" // the client's name
	require.Equal(t, groupOffset{Topic: "t", Committed: 3, End: 5, Lag: 2}, described[0].Offsets[0])

	for _, c := range []struct {
		to   string
		want string
		next string
	}{
		{"--to-earliest", `t +0 +3 +0`, "a\n"},
		{"--to-latest", `t +0 +1 +5`, ""},
		{"--shift-by -3", `t +0 +5 +2`, "c\n"},
		{"--shift-by -100", `t +0 +3 +0`, "a\n"},
		{"--to-datetime 1000", `t +0 +1 +0`, "a\n"},
	} {
		args := append([]string{"group", "reset-offsets", "g"}, strings.Fields(c.to)...)
		dry := requireOK(t, run("", args...))
		require.Regexp(t, c.want, dry, c.to)
		require.Contains(t, dry, "nothing was done")
		done := requireOK(t, run("", append(args, "--execute")...))
		require.Regexp(t, c.want, done, "the dry run did something")
		require.NotContains(t, done, "nothing was done")
		if c.next != "" {
			require.Equal(t, c.next, read("1"), c.to)
		}
	}
	require.Equal(t, "deleted g\n", requireOK(t, run("", "group", "delete", "g")))
	r := run("", "group", "describe", "g")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "wadi: group g: ")
	r = run("", "group", "reset-offsets", "g", "--to-latest")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "has committed nothing")
	require.Regexp(t, `t +0 +- +5`, requireOK(t, run("", "group", "reset-offsets", "g", "--to-latest", "--topic", "t")))
}

func TestGroupUsage(t *testing.T) {
	for args, want := range map[string]string{
		"group":                 "wadi group needs a command",
		"group reset-offsets g": "one of --to-earliest, --to-latest, --to-datetime and --shift-by is needed",
		"group reset-offsets g --to-latest --shift-by 0": "one of --to-earliest, --to-latest, --to-datetime and --shift-by is needed",
		"group reset-offsets g --to-datetime monday":     "--to-datetime \"monday\": must be a time",
		"consume --topic t --group g --exit-at-end":      "--group goes with neither",
		"consume --topic t --group g --offset 4":         "--group goes with neither",
		"consume --topic t --group g --partition 1":      "--group goes with neither",
	} {
		r := wadi(t.Context(), "", strings.Fields(args)...)
		require.Equal(t, exitUsage, r.code, args)
		require.Contains(t, r.err, want, args)
	}
}
