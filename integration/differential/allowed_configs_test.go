package differential

// ofConfigs are differences in configs; docs/kafka-configs.md tells them to users.
var ofConfigs = []excuse{
	{-1, "*", "*{\"min.insync.replicas\"}.*", "*", "*", "Apache Kafka sets it for all brokers by itself (KIP-966); Wadi has no replicas"},
	{44, "bad changes/*", "*.ErrorCode", "-1 UNKNOWN_SERVER_ERROR", "42 INVALID_REQUEST", garbage},
	{44, "bad changes/*", "*.ErrorMessage", "null", "words", garbage},
}
