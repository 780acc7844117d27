package kafkaconfig

import (
	"fmt"
	"strings"
	"testing"

	"wadi/internal/kafkaconfig/recorded"
)

// differs holds what Wadi answers otherwise than the recorded broker, each with its reason. What comes from that
// broker's own configuration file (recorded.Own) is not compared.
var differs = map[string]string{
	// Kafka sets it for all brokers by itself once it elects from eligible replicas (KIP-966); Wadi has no replicas.
	"min.insync.replicas": "source",
}

// The catalogue is that of the real broker: names, types, defaults, what is read-only or sensitive, synonyms.
func TestCatalogueIsKafkas(t *testing.T) {
	for what, c := range map[string]struct {
		keys   *Catalogue
		source Source
	}{
		recorded.Topic: {Topics, FromTopic}, recorded.Broker: {Brokers, 0}, recorded.Group: {Groups, FromGroup},
		recorded.Metrics: {Metrics, FromMetrics},
	} {
		want, err := recorded.Of(what)
		if err != nil || len(want) < 3 {
			t.Fatalf("%s: %d configs: %v", what, len(want), err)
		}
		names := map[string]bool{}
		for _, w := range want {
			names[w.Name] = true
			k, ok := c.keys.Lookup(w.Name)
			if !ok {
				t.Errorf("%s config %s is missing", what, w.Name)
				continue
			}
			if k.Kind.String() != w.Type || k.Sensitive() != w.Sensitive {
				t.Errorf("%s %s: %v, sensitive %v, want %v", what, w.Name, k.Kind, k.Sensitive(), w)
			}
			if what == recorded.Broker && (k.Mode == ReadOnly) != w.ReadOnly {
				t.Errorf("%s %s: mode %d, want read-only %v", what, w.Name, k.Mode, w.ReadOnly)
			}
			if w.Value == recorded.Own || differs[w.Name] != "" {
				continue
			}
			var chain []Setting
			if what == recorded.Broker {
				chain = NoLayers.Chain(w.Name)
			} else {
				chain = NoLayers.Inherited(k, Nothing, c.source)
			}
			value, source := NoLayers.InForce(k, chain)
			if k.Null && len(chain) == 0 {
				value = recorded.Null
			}
			var synonyms []string
			for _, s := range chain {
				synonyms = append(synonyms, fmt.Sprintf("%s=%s %d", s.Name, s.Value, s.Source))
			}
			if value != w.Value || fmt.Sprint(int(source)) != w.Source || strings.Join(synonyms, "; ") != w.Synonyms {
				t.Errorf("%s %s: %q from %d, synonyms %q, want %+v", what, w.Name, value, source, synonyms, w)
			}
		}
		for i := range c.keys.Keys {
			if k := &c.keys.Keys[i]; !names[k.Name] && !k.Unlisted {
				t.Errorf("%s config %s is not Kafka's", what, k.Name)
			}
		}
	}
}
