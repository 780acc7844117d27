// Package recorded holds what an Apache Kafka broker answered when it was asked for all its configs, for tests that
// compare with it. TestConfigsAndMarkers of integration/kafka writes it, and says how.
package recorded

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed kafka-4.3.1.txt
var text string

// What a line is about.
const (
	Topic   = "topic"
	Broker  = "broker"
	Group   = "group"
	Metrics = "metrics"
)

// Values that stand for something else.
const (
	Null = "(null)"
	Own  = "(own)" // from the broker's own configuration file
)

// Config is one config of one resource without any of its own.
type Config struct {
	Name      string
	Type      string // BOOLEAN, STRING, ...
	Value     string // or Null, Own
	Source    string // Kafka's number
	ReadOnly  bool
	Sensitive bool
	Synonyms  string // name=value source; ...
}

// Of lists the configs of a resource in the order of their names.
func Of(resource string) ([]Config, error) {
	var list []Config
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		f := strings.Split(line, "\t")
		if len(f) != 8 {
			return nil, fmt.Errorf("recorded line %q has %d fields", line, len(f))
		}
		if f[0] == resource {
			list = append(list, Config{f[1], f[2], f[3], f[4], f[5] == "true", f[6] == "true", f[7]})
		}
	}
	return list, nil
}
