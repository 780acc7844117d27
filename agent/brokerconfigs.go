package agent

import (
	"strconv"
	"strings"

	"wadi/internal/config"
	"wadi/internal/kafkaconfig"
	"wadi/internal/listen"
)

// brokerConfigs is what the agent's own configuration says in Kafka's words, for those who ask for a broker's configs.
// The addresses advertised are those of the endpoints: a listener's port may have been chosen at start.
func brokerConfigs(c config.Config, endpoints []listen.Endpoint) map[string]string {
	list := func(all []config.Listener) string {
		words := make([]string, len(all))
		for i, l := range all {
			words[i] = l.String()
		}
		return strings.Join(words, ",")
	}
	advertised := make([]config.Listener, len(endpoints))
	for i, e := range endpoints {
		advertised[i] = e.Advertised
	}
	own := map[string]string{
		kafkaconfig.Listeners: list(c.Listeners), kafkaconfig.AdvertisedListeners: list(advertised),
		kafkaconfig.ProcessRoles: "broker,controller",
	}
	for name, value := range map[string]int{
		"group.initial.rebalance.delay.ms":     c.Kafka.Groups.InitialRebalanceDelayMs,
		"group.min.session.timeout.ms":         c.Kafka.Groups.MinSessionTimeoutMs,
		"group.max.session.timeout.ms":         c.Kafka.Groups.MaxSessionTimeoutMs,
		"group.max.size":                       c.Kafka.Groups.MaxSize,
		"group.consumer.session.timeout.ms":    c.Kafka.Groups.ConsumerSessionTimeoutMs,
		"group.consumer.heartbeat.interval.ms": c.Kafka.Groups.ConsumerHeartbeatIntervalMs,
		"group.consumer.max.size":              c.Kafka.Groups.ConsumerMaxSize,
		"offsets.retention.minutes":            c.Kafka.Groups.OffsetsRetentionMinutes,
		"offset.metadata.max.bytes":            c.Kafka.Groups.OffsetMetadataMaxBytes,
	} {
		own[name] = strconv.Itoa(value)
	}
	for name, value := range txnConfigs(c.Kafka.Txns) {
		own[name] = strconv.Itoa(value)
	}
	if c.Zone != "" {
		own[kafkaconfig.Rack] = c.Zone
	}
	return own
}
