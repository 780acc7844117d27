package group

import (
	"regexp"

	"github.com/twmb/franz-go/pkg/kmsg"

	kip848 "wadi/agent/group/consumer"
	"wadi/metadata/state"
)

// Subscribed tells which topics the members of a group are subscribed to. A group of consumers whose words cannot be read
// counts as subscribed to everything, as in Kafka: what may be in use is not taken away.
func Subscribed(g *state.Group) func(topic string) bool {
	topics, patterns := map[string]bool{}, map[string]*regexp.Regexp{}
	for _, m := range g.Members() {
		if g.Type == state.ConsumerGroup {
			for _, t := range m.Topics {
				topics[t] = true
			}
			if _, known := patterns[m.Regex]; !known && m.Regex != "" {
				re, err := kip848.Pattern(m.Regex)
				if err != nil {
					return func(string) bool { return true } // it was taken by an agent that could read it
				}
				patterns[m.Regex] = re
			}
			continue
		}
		if g.ProtocolType != "consumer" {
			continue
		}
		for _, p := range m.Protocols {
			if p.Name != g.Protocol {
				continue
			}
			var meta kmsg.ConsumerMemberMetadata
			if err := meta.ReadFrom(p.Metadata); err != nil {
				return func(string) bool { return true }
			}
			for _, t := range meta.Topics {
				topics[t] = true
			}
		}
	}
	return func(topic string) bool {
		if topics[topic] {
			return true
		}
		for _, re := range patterns {
			if re.MatchString(topic) {
				return true
			}
		}
		return false
	}
}
