package kafkaconfig

import "slices"

const (
	noGroups  = "Kept and shown; no effect yet."
	noMetrics = "Kept and shown: nobody asks clients for their metrics."
)

// Groups are the configs of groups (KIP-848, KIP-932, KIP-1071).
var Groups = newCatalogue("group config name", groupBrokers(table(noGroups, []row{
	{"consumer.assignment.interval.ms", Int, "1000", atLeast(0), ClusterWide, "Shortest time between two assignments of the group."},
	{"consumer.heartbeat.interval.ms", Int, "5000", atLeast(1), ClusterWide, "!How often members report."},
	{"consumer.session.timeout.ms", Int, "45000", atLeast(1), ClusterWide, "!Silence after which a member is out."},
	{"share.assignment.interval.ms", Int, "1000", atLeast(0), ClusterWide, "Shortest time between two assignments of the share group."},
	{"share.auto.offset.reset", String, "latest", offsetReset, ClusterWide, "Where a share group starts: latest, earliest, or by_duration: a time before now."},
	{"share.delivery.count.limit", Int, "5", atLeast(2), ClusterWide, "How often a record is handed out at most."},
	{"share.heartbeat.interval.ms", Int, "5000", atLeast(1), ClusterWide, "How often members of the share group report."},
	{"share.isolation.level", String, "read_uncommitted", oneOf("read_committed", "read_uncommitted"), ClusterWide, "Whether a share group sees records of transactions that are open or aborted."},
	{"share.partition.max.record.locks", Int, "2000", atLeast(100), ClusterWide, "Records of a partition that may be handed out at once."},
	{"share.record.lock.duration.ms", Int, "30000", atLeast(1000), ClusterWide, "How long a record stays handed out."},
	{"share.renew.acknowledge.enable", Boolean, "true", nil, ClusterWide, "Whether a member may keep a record longer."},
	{"share.session.timeout.ms", Int, "45000", atLeast(1), ClusterWide, "Silence after which a member of the share group is out."},
	{"streams.assignment.interval.ms", Int, "1000", atLeast(0), ClusterWide, "Shortest time between two assignments of the streams group."},
	{"streams.heartbeat.interval.ms", Int, "5000", atLeast(1), ClusterWide, "How often members of the streams group report."},
	{"streams.initial.rebalance.delay.ms", Int, "3000", atLeast(0), ClusterWide, "How long the first assignment waits for more members."},
	{"streams.num.standby.replicas", Int, "0", atLeast(0), ClusterWide, "Standby copies of each task."},
	{"streams.session.timeout.ms", Int, "45000", atLeast(1), ClusterWide, "Silence after which a member of the streams group is out."},
}))...)

// groupBrokers finds each config's default: the broker config of the same name in "group.".
func groupBrokers(keys []Key) []Key {
	for i := range keys {
		if slices.ContainsFunc(groupKeys, func(k Key) bool { return k.Name == "group."+keys[i].Name }) {
			keys[i].Broker = "group." + keys[i].Name
		}
	}
	return keys
}

// groupBounds are the broker configs between which a group's config must lie; "" is no bound.
var groupBounds = map[string][2]string{
	"consumer.assignment.interval.ms":  {"group.consumer.min.assignment.interval.ms", "group.consumer.max.assignment.interval.ms"},
	"consumer.heartbeat.interval.ms":   {"group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"},
	"consumer.session.timeout.ms":      {"group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"},
	"share.assignment.interval.ms":     {"group.share.min.assignment.interval.ms", "group.share.max.assignment.interval.ms"},
	"share.delivery.count.limit":       {"group.share.min.delivery.count.limit", "group.share.max.delivery.count.limit"},
	"share.heartbeat.interval.ms":      {"group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms"},
	"share.partition.max.record.locks": {"group.share.min.partition.max.record.locks", "group.share.max.partition.max.record.locks"},
	"share.record.lock.duration.ms":    {"group.share.min.record.lock.duration.ms", "group.share.max.record.lock.duration.ms"},
	"share.session.timeout.ms":         {"group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms"},
	"streams.assignment.interval.ms":   {"group.streams.min.assignment.interval.ms", "group.streams.max.assignment.interval.ms"},
	"streams.heartbeat.interval.ms":    {"group.streams.min.heartbeat.interval.ms", "group.streams.max.heartbeat.interval.ms"},
	"streams.num.standby.replicas":     {"", "group.streams.max.standby.replicas"},
	"streams.session.timeout.ms":       {"group.streams.min.session.timeout.ms", "group.streams.max.session.timeout.ms"},
}

// Metrics are the configs of client metrics subscriptions (KIP-714).
var Metrics = newCatalogue("client metrics configuration", table(noMetrics, []row{
	{"interval.ms", Int, "300000", between(100, 3600000), ClusterWide, "How often clients send."},
	{"match", List, "", clientMatch, ClusterWide, "Which clients: a list of selector=pattern that must all match."},
	{"metrics", List, "", nil, ClusterWide, "Which metrics, by prefixes of their names; * is all."},
})...)
