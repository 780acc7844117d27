package kafkaconfig

import "slices"

// Names of broker configs that the agent gives values of its own.
const (
	NodeID              = "node.id"
	BrokerID            = "broker.id"
	Listeners           = "listeners"
	AdvertisedListeners = "advertised.listeners"
	Rack                = "broker.rack"
	NumPartitions       = "num.partitions"
	AutoCreate          = "auto.create.topics.enable"
	DefaultReplication  = "default.replication.factor"
	FetchMaxBytes       = "fetch.max.bytes"
	ProcessRoles        = "process.roles"
	LogDirs             = "log.dirs"
)

const brokerRetentionMs = "log.retention.ms"

// Brokers are the broker configs.
var Brokers = newCatalogue("broker config name", prepared(slices.Concat(logKeys, retentionKeys, replicationKeys, controllerKeys, networkKeys, tieredKeys,
	groupKeys, transactionKeys, internalTopicKeys, securityKeys))...)

// prepared marks what the tables do not say.
func prepared(keys []Key) []Key {
	for i := range keys {
		switch keys[i].Name {
		case "follower.replication.throttled.rate", "leader.replication.throttled.rate",
			"replica.alter.log.dirs.io.max.bytes.per.second":
			keys[i].Unlisted = true
		case brokerRetentionMs:
			keys[i].rule = notZero
		}
	}
	return keys
}

// families are configs that say the same in different units: the first that is set counts.
var families = [][]string{
	{brokerRetentionMs, "log.retention.minutes", "log.retention.hours"},
	{"log.roll.ms", "log.roll.hours"},
	{"log.roll.jitter.ms", "log.roll.jitter.hours"},
}

// family is a broker config with those that say the same. Only log.flush.interval.ms looks at the one after it, and not
// the other way round.
func family(name string) []string {
	if name == "log.flush.interval.ms" {
		return []string{name, "log.flush.scheduler.interval.ms"}
	}
	for _, f := range families {
		if slices.Contains(f, name) {
			return f
		}
	}
	return []string{name}
}
