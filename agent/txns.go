package agent

import (
	"wadi/agent/api"
	"wadi/internal/config"
)

// txnRouting implements txn.Routing.
type txnRouting struct{ *routing }

// Rank implements txn.Routing.
func (r txnRouting) Rank(id string) int {
	rank := -1
	r.ask(func(self int32, brokers []api.Broker) bool {
		rank = -1
		if self >= 0 && len(brokers) > 0 {
			rank = api.TxnRank(id, brokers, self)
		}
		return rank == 0
	})
	return rank
}

// txnConfigs are Kafka's broker configs of transactions by the agent's own configuration.
func txnConfigs(c config.Txns) map[string]int {
	return map[string]int{
		"transaction.max.timeout.ms":                                  c.MaxTimeoutMs,
		"transactional.id.expiration.ms":                              c.IDExpirationMs,
		"producer.id.expiration.ms":                                   c.ProducerIDExpirationMs,
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": c.AbortIntervalMs,
		"transaction.remove.expired.transaction.cleanup.interval.ms":  c.RemoveIntervalMs,
	}
}
