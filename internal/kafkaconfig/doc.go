// Package kafkaconfig knows Kafka's configs, those of Apache Kafka 4.3: of topics, brokers, groups and client metrics
// subscriptions. It says which exist, their types and defaults, what values they take, which broker config is the
// default of which other one, and what they mean in Wadi: whether anything depends on them (Acts), or whether they are
// accepted and shown because tools set them, but describe files, replicas or controllers that Wadi does not have.
//
// A resource stores only what was set for it; everything else is the default (Layers, Effective). The package is pure:
// the agent and the compactor read the same meaning out of the same State.
//
//	keys.go     what a config is
//	rules.go    what values it takes
//	topics.go   topic configs
//	brokers*.go broker configs, by subject
//	groups.go   configs of groups and of client metrics subscriptions
//	check.go    a value, and all values of a resource, as they are stored
//	layers.go   where a value comes from, when several places could give it
//	effective.go what a topic's configs mean for its records
package kafkaconfig
