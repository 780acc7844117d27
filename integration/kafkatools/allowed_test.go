package kafkatools

import (
	"regexp"
	"strings"
)

// difference is a line that only one of the two prints, for a reason that docs/kafka-tools.md tells.
type difference struct {
	step string         // a regular expression of whole step names
	line *regexp.Regexp // of lines, after what differs by nature was replaced
	why  string         // stands in docs/kafka-tools.md word by word
}

var allowed = []difference{
	{"topics create factor 2", regexp.MustCompile(`.*`),
		"Replication factors 1, 2 and 3 are accepted on any number of agents: replicas are names for agents, not copies."},
	{"topics describe.*", regexp.MustCompile(`min.insync.replicas=1`), minISR},
	{"topics describe.*", regexp.MustCompile(`Configs: (|.*,.*)$`), minISR},
	{"configs .*", regexp.MustCompile(`^out:   min.insync.replicas=1`), minISR},
	{"api versions", regexp.MustCompile(`UNSUPPORTED|^out: 	(` + unserved + `)\(`),
		"APIs that Wadi does not serve are listed as UNSUPPORTED; docs/kafka-apis.md says which."},
	{"features", regexp.MustCompile(`^out: Feature: (metadata|kraft|eligible\.leader\.replicas|share|streams)\.version`),
		"Of Kafka's features Wadi has transaction.version and group.version, at the same levels; kafka-features prints no others."},
	{"transactions describe committed", regexp.MustCompile(`CompleteCommit`),
		"The start time of a transaction that has ended is not kept: kafka-transactions describe prints None where Apache Kafka prints that of the last one."},
	{"transactions producers aborted", regexp.MustCompile(`<pid> (0 0 0|1 0 -1) <time> None`),
		"kafka-transactions abort ends the whole transaction and fences its producer, which shows the next epoch and no last sequence then; Apache Kafka leaves the id as it was."},
	{"quorum", regexp.MustCompile(`.*`), "There is no KRaft quorum; kafka-metadata-quorum says that it is not supported."},
	{"transactions describe terminated", regexp.MustCompile(`open2 <pid> [12] Empty`),
		"A transactional id that is taken over with a transaction open gets the next epoch; Apache Kafka counts two."},
	{"configs broker all", regexp.MustCompile(`^out:   (` + ownBrokerConfigs + `)=`),
		"Broker configs that say how a broker is started (listeners, directories, controllers, internal topics) are Wadi's own."},
}

// open are defects that are not mended yet; one that is no longer printed is reported, to be struck.
var open = []difference{
	{"topics alter down", regexp.MustCompile(`5 partition`), "words"},
	{"topics alter same", regexp.MustCompile(`5 partition`), "words"},
}

const minISR = "Apache Kafka 4 sets min.insync.replicas=1 as a cluster default when a cluster is formatted, and lists it; Wadi has the same value as the default."

const unserved = "AddOffsetsToTxn|AddPartitionsToTxn|AddRaftVoter|AlterClientQuotas|AlterShareGroupOffsets|AlterUserScramCredentials|" +
	"ConsumerGroupDescribe|ConsumerGroupHeartbeat|CreateDelegationToken|DeleteShareGroup.*|DescribeDelegationToken|DescribeQuorum|" +
	"DescribeShareGroupOffsets|DescribeTransactions|EndTxn|ExpireDelegationToken|Initialize.*|ListConfigResources|ListTransactions|" +
	"Read.*|RemoveRaftVoter|RenewDelegationToken|Sasl.*|Share.*|Streams.*|TxnOffsetCommit|UnregisterBroker|UpdateFeatures|Write.*|Fetch"

const ownBrokerConfigs = "controller.listener.names|controller.quorum.voters|listener.security.protocol.map|listeners|advertised.listeners|log.dirs|" +
	"offsets.topic.replication.factor|transaction.state.log.min.isr|transaction.state.log.replication.factor|process.roles|" +
	"group.initial.rebalance.delay.ms|broker.session.timeout.ms"

// excused takes the lines out of both texts that a difference of the list names, and marks it as used where they differ.
func excused(list []difference, name, apache, wadi string, used map[string]bool) (string, string) {
	for _, a := range list {
		if !regexp.MustCompile("^(" + a.step + ")$").MatchString(name) {
			continue
		}
		if cut(apache, a.line) != cut(wadi, a.line) {
			used[a.key()] = true
			apache, wadi = without(apache, a.line), without(wadi, a.line)
		}
	}
	return apache, wadi
}

func (d difference) key() string { return d.step + " " + d.line.String() }

func without(text string, line *regexp.Regexp) string {
	return pick(text, func(s string) bool { return !line.MatchString(s) })
}

func cut(text string, line *regexp.Regexp) string { return pick(text, line.MatchString) }

func pick(text string, keep func(string) bool) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if keep(strings.TrimSuffix(line, "\n")) {
			b.WriteString(line)
		}
	}
	return b.String()
}
