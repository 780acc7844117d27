package agent

import (
	"strconv"
	"time"

	"wadi/agent/api"
	"wadi/agent/tenure"
	"wadi/agent/txn"
	"wadi/internal/config"
	"wadi/metadata/state"
)

// txnRouting implements txn.Routing.
type txnRouting struct{ *routing }

// Rank implements txn.Routing.
func (r txnRouting) Rank(id string) int {
	rank := -1
	r.ask(func(self int32, brokers []api.Broker) bool {
		rank = rankOf(id, self, brokers)
		return rank == 0
	})
	return rank
}

// Many implements txn.Routing.
func (r txnRouting) Many() func(id string) bool {
	self, brokers := r.once()
	return func(id string) bool { return rankOf(id, self, brokers) == 0 }
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

// keeperRouting is txnRouting for who asks for thousands of ids and sends nobody away: a list of a moment ago will do.
type keeperRouting struct{ txnRouting }

// Rank implements txn.Routing.
func (r keeperRouting) Rank(id string) int {
	self, brokers, _ := r.list(routingAge)
	return rankOf(id, self, brokers)
}

func rankOf(id string, self int32, brokers []api.Broker) int {
	if self < 0 || len(brokers) == 0 {
		return -1
	}
	return api.TxnRank(id, brokers, self)
}

func keeperOptions(o Options, p *parts, routing txn.Routing, held *tenure.Tenure) txn.KeeperOptions {
	c := o.Config.Kafka.Txns
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	every := ms(c.AbortIntervalMs)
	return txn.KeeperOptions{
		View: p.view, Session: p.session, Routing: routing, Tenure: held, Date: o.Store.Date, Log: o.Log,
		Janitor: txn.DefaultJanitor(o.Config.SessionTTL, every), Every: every,
		ForgetEvery: ms(c.RemoveIntervalMs), IDExpiration: ms(c.IDExpirationMs),
		ProducerExpiration: func(s *state.State) time.Duration {
			text, set := s.Configs(state.BrokerConfigs, "").Config("producer.id.expiration.ms")
			if n, err := strconv.Atoi(text); set && err == nil { // checked when it was set
				return ms(n)
			}
			return ms(c.ProducerIDExpirationMs)
		},
		OnOverdue: func() { o.Metrics.TransactionsEnded.WithLabelValues("overdue").Inc() },
	}
}
