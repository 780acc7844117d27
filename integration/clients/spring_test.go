package clients

import (
	"context"
	"testing"

	"wadi/integration/binary"
)

// spring is Spring for Apache Kafka without Boot: a KafkaTemplate, and a @KafkaListener, which belongs to a group.
type spring struct{}

func (spring) Name() string { return "spring" }

func (spring) Check() error { return checkJava(javaSpring) }

func (spring) Write(ctx context.Context, bootstrap, topic, codec string, records []Record) ([]Written, error) {
	out, err := run(ctx, input(records), "java", javaArgs(javaSpring, "wadi.spring.Write", bootstrap, topic, codec)...)
	if err != nil {
		return nil, err
	}
	return parseWritten(out, records)
}

func (spring) member(bootstrap, group, topic string) (string, []string) {
	return "java", javaArgs(javaSpring, "wadi.spring.Member", bootstrap, group, topic)
}

// TestSpringWrites: what a KafkaTemplate writes lies where it was told, byte for byte.
func TestSpringWrites(t *testing.T) {
	binary.Need(t, spring{}.Check())
	b := oneBroker(t)
	ctx := b.context(t, patience)
	var topics []topic
	for _, codec := range []string{"none", "zstd"} {
		topics = append(topics, write(ctx, t, b, spring{}, codec, true))
	}
	readAll(ctx, t, b, franz{}, topics)
}
