package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConfigs(t *testing.T) {
	run := broker(t)
	requireOK(t, run("", "topic", "create", "t"))
	require.Equal(t, "CONFIG  VALUE  SOURCE\n", requireOK(t, run("", "config", "describe", "--topic", "t")))
	require.Equal(t, "altered topic t: 2 configs\n",
		requireOK(t, run("", "config", "alter", "--topic", "t", "--set", "retention.ms=60000", "--set", "segment.ms=70000")))
	require.Regexp(t, `^CONFIG +VALUE +SOURCE\nretention\.ms +60000 +DYNAMIC_TOPIC_CONFIG\nsegment\.ms +70000 +DYNAMIC_TOPIC_CONFIG\n$`,
		requireOK(t, run("", "config", "describe", "--topic", "t")))
	require.JSONEq(t, `{"resource":"topic t","configs":["cleanup.policy","segment.ms"],"validated_only":false}`,
		requireOK(t, run("", "config", "alter", "--topic", "t", "--unset", "segment.ms", "--append", "cleanup.policy=compact", "--output", "json")))
	var got []shownConfig
	require.NoError(t, json.Unmarshal([]byte(requireOK(t, run("", "config", "describe", "--topic", "t", "--all", "--output", "json"))), &got))
	values := map[string]string{}
	for _, c := range got {
		if c.Value != nil {
			values[c.Name] = *c.Value
		}
	}
	require.Equal(t, "60000", values["retention.ms"])
	require.Contains(t, values["cleanup.policy"], "compact")
	require.Greater(t, len(values), 5)

	require.Equal(t, "topic t could be altered: 1 config\n",
		requireOK(t, run("", "config", "alter", "--topic", "t", "--set", "retention.ms=5", "--validate-only")))
	require.Contains(t, requireOK(t, run("", "config", "describe", "retention.ms", "--topic", "t")), " 60000 ")
	require.Equal(t, "altered all brokers: 1 config\n", requireOK(t, run("", "config", "alter", "--broker-default", "--set", "log.retention.ms=5")))
	require.Equal(t, "altered broker 0: 1 config\n", requireOK(t, run("", "config", "alter", "--broker", "0", "--set", "log.retention.ms=6")))
	require.Regexp(t, `log\.retention\.ms +6 `, requireOK(t, run("", "config", "describe", "--broker", "0")))

	r := run("", "config", "describe", "--topic", "none")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "wadi: topic none: UNKNOWN_TOPIC_OR_PARTITION")
	r = run("", "config", "alter", "--topic", "none", "--set", "retention.ms=1")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "wadi: topic none: UNKNOWN_TOPIC_OR_PARTITION")
}

func TestConfigUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"describe"}, "name one of --topic, --broker, --broker-default and --group"},
		{[]string{"describe", "--topic", "t", "--group", "g"}, "name one of"},
		{[]string{"alter", "--topic", "t"}, "there is nothing to change"},
		{[]string{"alter", "--set", "a=1"}, "name one of"},
		{[]string{"alter", "--group", "g", "--set", "a"}, `--set "a": must be KEY=VALUE`},
		{[]string{"alter", "--group", "g", "--unset", "a=1"}, `--unset "a=1": must be a KEY`},
		{[]string{"alter", "--group", "g", "--append", "=1"}, `--append "=1": must be KEY=VALUE`},
		{[]string{"alter", "--group", "g", "--set", "a=1", "--subtract", "a=1"}, "the configuration a is named twice"},
	} {
		r := wadi(t.Context(), "", append([]string{"config"}, c.args...)...)
		require.Equal(t, exitUsage, r.code, c.args)
		require.Contains(t, r.err, c.want)
	}
}
