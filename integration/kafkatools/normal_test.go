package kafkatools

import (
	"regexp"
	"slices"
	"sort"
	"strings"
)

// rule replaces what differs by nature.
type rule struct {
	tool string // "" is every tool
	find *regexp.Regexp
	with string
}

var rules = []rule{
	{"", regexp.MustCompile(`TopicId: [A-Za-z0-9_-]{22}`), "TopicId: <id>"},
	{"", regexp.MustCompile(`(?i)(cluster id: )[A-Za-z0-9_-]{22}`), "$1<id>"},
	// Where the JVM's stack traces were, in which thread.
	{"", regexp.MustCompile(`(?m)^err: \s+(at|\.\.\. \d+ more).*\n`), ""},
	{"", regexp.MustCompile(`\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]`), "[<time>]"},
	{"", regexp.MustCompile(`timestamp = \d+|CreateTime:\d+|LogAppendTime:\d+`), "<time>"},
	{"", regexp.MustCompile(`elapsed time: \d+ ms`), "elapsed time: <n> ms"},
	// Paths, sizes and volumes of disks.
	{"kafka-log-dirs", regexp.MustCompile(`"logDir":"[^"]*"`), `"logDir":"<path>"`},
	{"kafka-log-dirs", regexp.MustCompile(`"(size|usableBytes|totalBytes)":\d+`), `"$1":<bytes>`},
	{"kafka-reassign-partitions", regexp.MustCompile(`"log_dirs":\["[^"]*"\]`), `"log_dirs":["<path>"]`},
	{"kafka-cluster", regexp.MustCompile(`(127.0.0.1|localhost) \d+ `), "<host>"},
	// Rates and times of whole runs.
	{"kafka-producer-perf-test", regexp.MustCompile(`\d+(\.\d+)?`), "<n>"},
	{"kafka-verifiable-producer", regexp.MustCompile(`"(timestamp|avg_throughput|target_throughput)":[-\d.E]+`), `"$1":<n>`},
	{"kafka-consumer-perf-test", regexp.MustCompile(`\d+(\.\d+)?`), "<n>"},
	// Producer ids are counted over the life of a cluster, and columns are as wide as what stands in them.
	{"kafka-transactions", regexp.MustCompile(`(?m)[ \t]+`), " "},
	{"kafka-transactions", regexp.MustCompile(`(?m) $`), ""},
	{"kafka-transactions", regexp.MustCompile(`(?m)^(out: )\d+( -?\d+ -?\d+ -?\d+) \d{13}`), "$1<pid>$2 <time>"},                        // describe-producers
	{"kafka-transactions", regexp.MustCompile(`(?m)^(out: \S+) \d+ \d+ (Empty|Ongoing|Complete\w+)$`), "$1 <node> <pid> $2"},            // list
	{"kafka-transactions", regexp.MustCompile(`(?m)^(out:) \d+ (\S+) \d+ (\d+ (Empty|Ongoing|Complete\w+) )`), "$1 <node> $2 <pid> $3"}, // describe
	{"kafka-transactions", regexp.MustCompile(`\d{13}( \d+)?`), "<time>"},
	// Java's immutable maps have another order in every process.
	{"kafka-verifiable-producer", regexp.MustCompile(`("topic":"[^"]*"),("partition":\d+)`), "$2,$1"},
	// Counted over the life of a cluster.
	{"kafka-features", regexp.MustCompile(`Epoch: \d+`), "Epoch: <n>"},
}

// unordered are tools that print lines in the order of a hash map.
var unordered = []string{"kafka-configs", "kafka-broker-api-versions", "kafka-verifiable-producer", "kafka-delete-records", "kafka-transactions"}

// normal replaces what differs by nature in what a step printed.
func (to *target) normal(s step, text string) string {
	text = strings.NewReplacer(to.server, "<server>", "localhost:"+to.port, "<server>").Replace(text)
	for _, r := range rules {
		if r.tool == "" || r.tool == s.tool {
			text = r.find.ReplaceAllString(text, r.with)
		}
	}
	text = to.nodes(text)
	if slices.Contains(unordered, s.tool) {
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		sort.Strings(lines)
		text = strings.Join(lines, "\n") + "\n"
	}
	return text
}

// nodes replaces node ids where tools print them.
func (to *target) nodes(text string) string {
	for _, find := range []string{
		`(Leader: )N\b`, `(Replicas: )N\b`, `(Isr: )N\b`, `(?i)(brokers? )N\b`, `(id: )N\b`, `("broker":)N\b`, `(for broker )N\b`,
		`(broker-id )N\b`, `("replicas":\[)N\b`, `(?i)(broker\(s\) )N\b`, `(for brokers )N\b`, `(brokers: )N\b`, `(to brokers )N\b`, `(--entity-name )N\b`,
		`(LeaderId: +)N\b`, `(<server> +\()N\b`, `((?:broker|node)\.id=)N\b`, `(?m)(^out: )N\b +<host>`,
	} {
		re := regexp.MustCompile(strings.Replace(find, "N", to.node, 1))
		text = re.ReplaceAllString(text, "${1}<node>")
	}
	return text
}
