package kafka

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/internal/kafkaconfig/recorded"
)

var rewrite = flag.Bool("rewrite", false, "write the recorded configs anew")

const record = "../../internal/kafkaconfig/recorded/kafka-4.3.1.txt"

// One broker answers for both, as its start takes most of the time.
func TestConfigsAndMarkers(t *testing.T) {
	b := Start(t)
	t.Run("Configs", func(t *testing.T) { recordedConfigs(t, b) })
	t.Run("Markers", func(t *testing.T) { markers(t, b) })
}

// The catalogue of internal/kafkaconfig is held against what a real broker answered once; this holds that record against
// the real broker. `go test ./integration/kafka -run Configs -rewrite` records again, for another version of Kafka.
func recordedConfigs(t *testing.T, b *Broker) {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	create := kmsg.NewPtrCreateTopicsRequest()
	create.TimeoutMillis = 10_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "recorded", 1, 1
	create.Topics = append(create.Topics, topic)
	if _, err := create.RequestWith(ctx, client); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range []struct {
		kind       kmsg.ConfigResourceType
		name, word string
	}{
		{kmsg.ConfigResourceTypeTopic, "recorded", recorded.Topic}, {kmsg.ConfigResourceTypeBroker, "1", recorded.Broker},
		{kmsg.ConfigResourceTypeGroupConfig, "recorded", recorded.Group},
		{kmsg.ConfigResourceTypeClientMetrics, "recorded", recorded.Metrics},
	} {
		lines = append(lines, describe(ctx, t, client, r.kind, r.name, r.word)...)
	}
	got := strings.Join(lines, "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile(record, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	old := strings.Split(strings.TrimSuffix(string(want), "\n"), "\n")
	for _, l := range lines {
		if !slices.Contains(old, l) {
			t.Errorf("Kafka answers what is not recorded: %s", l)
		}
	}
	for _, l := range old {
		if !slices.Contains(lines, l) {
			t.Errorf("Kafka does not answer any more: %s", l)
		}
	}
}

// describe writes a line per config: what the resource is, name, type, value, source, whether it can be read only,
// whether it is sensitive, synonyms. Values of this broker's own server.properties are left out.
func describe(ctx context.Context, t *testing.T, client *kgo.Client, kind kmsg.ConfigResourceType, name, word string) []string {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	res := kmsg.NewDescribeConfigsRequestResource()
	res.ResourceType, res.ResourceName = kind, name
	req.Resources = append(req.Resources, res)
	var resp *kmsg.DescribeConfigsResponse
	var err error
	for range 50 { // a topic is not known to the broker at once
		if resp, err = req.RequestWith(ctx, client); err != nil {
			t.Fatal(err)
		}
		if resp.Resources[0].ErrorCode == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if resp.Resources[0].ErrorCode != 0 || len(resp.Resources[0].Configs) == 0 {
		t.Fatalf("configs of %s: %+v", word, resp.Resources[0])
	}
	var lines []string
	for _, c := range resp.Resources[0].Configs {
		value := recorded.Null
		if c.Value != nil {
			value = *c.Value
		}
		var synonyms []string
		for _, s := range c.ConfigSynonyms {
			if s.Source == kmsg.ConfigSourceStaticBrokerConfig {
				synonyms, value = append(synonyms, recorded.Own), recorded.Own
				continue
			}
			text := recorded.Null
			if s.Value != nil {
				text = *s.Value
			}
			synonyms = append(synonyms, fmt.Sprintf("%s=%s %d", s.Name, text, s.Source))
		}
		lines = append(lines, strings.Join([]string{
			word, c.Name, c.ConfigType.String(), value, fmt.Sprint(int8(c.Source)), fmt.Sprint(c.ReadOnly),
			fmt.Sprint(c.IsSensitive), strings.Join(synonyms, "; "),
		}, "\t"))
	}
	slices.Sort(lines)
	return lines
}
