package kafkaconfig

import "strconv"

// Source is where a value comes from, by Kafka's numbers in DescribeConfigs.
type Source int8

const (
	FromTopic         Source = 1
	FromBroker        Source = 2 // set for one broker, while it runs
	FromDefaultBroker Source = 3 // set for all brokers, while they run
	FromFile          Source = 4 // the agent's own configuration
	FromDefault       Source = 5
	FromLogger        Source = 6
	FromMetrics       Source = 7
	FromGroup         Source = 8
)

// Lookup gives what is set in one place.
type Lookup func(name string) (string, bool)

// Nothing is a place in which nothing is set.
func Nothing(string) (string, bool) { return "", false }

// Layers are the places that give a broker's configs their values, the first one that has it counts. None is nil.
type Layers struct {
	Broker Lookup // this broker
	All    Lookup // all brokers
	File   Lookup // the agent's own configuration
}

// NoLayers has nothing but Kafka's defaults.
var NoLayers = Layers{Broker: Nothing, All: Nothing, File: Nothing}

// Setting is one value that a config has in one place, under its own name or that of a synonym.
type Setting struct {
	Name   string
	Value  string
	Source Source
}

// Chain lists where a broker config has a value, the one in force first. It is empty when there is none and no default.
//
// Configs that say the same in other units follow, but never come first: log.retention.ms has no value as long as only
// log.retention.hours has one.
func (l Layers) Chain(name string) []Setting {
	names := family(name)
	var chain []Setting
	add := func(from Lookup, source Source) {
		for _, n := range names {
			if v, ok := from(n); ok && (len(chain) > 0 || n == name) {
				chain = append(chain, Setting{n, v, source})
			}
		}
	}
	add(l.Broker, FromBroker)
	add(l.All, FromDefaultBroker)
	add(l.File, FromFile)
	add(brokerDefault, FromDefault)
	return chain
}

func brokerDefault(name string) (string, bool) {
	k, ok := Brokers.Lookup(name)
	if !ok || k.Null {
		return "", false
	}
	return k.Default, true
}

// Value is what is in force of a broker config, "" when there is none.
func (l Layers) Value(name string) string {
	if chain := l.Chain(name); len(chain) > 0 {
		return chain[0].Value
	}
	return ""
}

// Inherited lists where a topic's or group's config has a value, the one in force first: own is what is set for the
// resource itself, with its source. Where nothing is set and no broker config stands behind it, the list is empty and
// Kafka's default counts, except that groups show it.
func (l Layers) Inherited(k *Key, own Lookup, source Source) []Setting {
	var chain []Setting
	if v, ok := own(k.Name); ok {
		chain = append(chain, Setting{k.Name, v, source})
	}
	switch {
	case k.Broker != "":
		chain = append(chain, l.Chain(k.Broker)...)
	case source == FromGroup:
		chain = append(chain, Setting{k.Name, k.Default, FromDefault})
	}
	return chain
}

// InForce is the value that a chain of Inherited gives, and its source. Where a broker gives the value in another unit
// (log.retention.minutes or log.retention.hours, log.roll.hours) it counts and is shown, as a default: Kafka does not say
// where such a value comes from.
func (l Layers) InForce(k *Key, chain []Setting) (string, Source) {
	if len(chain) > 0 {
		return chain[0].Value, chain[0].Source
	}
	for _, name := range family(k.Broker) {
		unit, ok := units[name]
		if !ok {
			continue
		}
		if v := l.Value(name); v != "" {
			n := number(v)
			if n < 0 {
				return "-1", FromDefault
			}
			return strconv.FormatInt(n*unit, 10), FromDefault
		}
	}
	return k.Default, FromDefault
}

// units are the milliseconds in one of what a broker config counts in.
var units = map[string]int64{
	"log.retention.minutes": minute, "log.retention.hours": hour, "log.roll.hours": hour, "log.roll.jitter.hours": hour,
}

const minute, hour = 60_000, 3_600_000
