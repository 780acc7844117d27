package differential

import (
	"fmt"
	"slices"
)

// allowedConfigs are differences in configs; docs/kafka-configs.md tells them to users.
var allowedConfigs = slices.Concat([]excuse{
	{-1, "*", `*{"min.insync.replicas"}.*`, "*", "*", "Apache Kafka sets it for all brokers by itself (KIP-966); Wadi has no replicas"},
	{32, "cluster default/*", "Resources{BROKER}.Configs", "a list", "none", "as above: nothing else is set for all brokers"},
	{44, "bad changes/*", "*.ErrorCode", "-1 UNKNOWN_SERVER_ERROR", "42 INVALID_REQUEST", garbage},
	{19, "configs/*", `*{"retention.ms"}.Value`, `" 1000 "`, `"1000"`, oneForm},
	{19, "bad configs/*", `*{"cleanup.policy"}.Value`, `"compact,compact"`, `"compact"`, oneForm},
	{19, "bad configs/*", `*{"cleanup.policy"}.Value`, `"delete, compact"`, `"delete,compact"`, oneForm},
	{19, "bad configs/*", `*{"unclean.leader.election.enable"}.Value`, `"TRUE"`, `"true"`, oneForm},
}, own("listeners", "advertised.listeners", "node.id", "broker.id", "log.dirs", "listener.security.protocol.map",
	"controller.listener.names", "controller.quorum.voters", "offsets.topic.replication.factor",
	"transaction.state.log.replication.factor", "transaction.state.log.min.isr", "broker.session.timeout.ms"))

const oneForm = "Wadi keeps values in the form in which both describe them; Apache Kafka answers CreateTopics with what was sent"

// own are broker configs that the broker of the test has in its own configuration.
func own(names ...string) []excuse {
	var list []excuse
	for _, n := range names {
		list = append(list, excuse{32, "broker/*", fmt.Sprintf("Resources{BROKER self}.Configs{%q}.*", n), "*", "*",
			"addresses, ids and what integration/kafka writes into server.properties"})
	}
	return list
}
