package clients

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"wadi/integration/binary"
)

// TestSaramaVersions: sarama takes the versions of APIs from the Kafka version that it is told. From 2.1, whose versions
// Kafka 4 still has (KIP-896), to the newest, each writes and reads what the others wrote.
func TestSaramaVersions(t *testing.T) {
	binary.Need(t, sarama.Check())
	b := oneBroker(t)
	ctx := b.context(t, patience)
	versions := []string{"2.1.0", "2.8.0", "3.6.0", "4.0.0", "4.3.1"}
	var topics []topic
	readers := []Client{franz{}}
	for i, version := range versions {
		c := sarama.speaking(version)
		topics = append(topics, write(ctx, t, b, c, codecs[i], true))
		readers = append(readers, c)
	}
	for _, c := range readers {
		t.Run("read/"+c.Name(), func(t *testing.T) { readAll(ctx, t, b, c, topics) })
	}
}

// TestSaramaTooOld: for a broker of version 1.0 sarama asks with versions that Kafka 4 has no more (KIP-896), which
// closes the connection (Semantics line 6). What is young enough works on, even then: Produce and Fetch.
func TestSaramaTooOld(t *testing.T) {
	binary.Need(t, sarama.Check())
	b := oneBroker(t)
	ctx := b.context(t, patience)
	old := sarama.speaking("1.0.0")
	filled := write(ctx, t, b, old, "lz4", true)
	readAll(ctx, t, b, old, []topic{filled})
	out, err := old.administer(ctx, b.bootstrap, fmt.Sprintf("too-old-%08x", rand.Uint32()), filled.name, 0)
	if err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("DescribeConfigs v0 (in %q) ended with %v, want the end of the connection", out, err)
	}
}
