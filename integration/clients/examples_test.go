package clients

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"wadi/integration/binary"
)

// exampleRecords is what each example producer sends: 40 records, keyed by four names in turn.
const exampleRecords = 40

// TestExamples runs the programs under examples/ as their readers do: a producer, then a consumer, which prints every
// record that the producer reported, in its place, and ends by itself.
func TestExamples(t *testing.T) {
	for _, example := range []struct {
		name               string
		err                error
		command            string
		producer, consumer []string
	}{
		{
			"python", python{}.Check(), venvPython(),
			[]string{"examples/python/producer.py"}, []string{"examples/python/consumer.py"},
		},
		{
			"java", checkJava(javaExamples), "java",
			javaArgs(javaExamples, "ExampleProducer"), javaArgs(javaExamples, "ExampleConsumer"),
		},
	} {
		t.Run(example.name, func(t *testing.T) {
			binary.Need(t, example.err)
			eachBroker(t, func(t *testing.T, b broker) {
				ctx := b.context(t, 2*time.Minute)
				topic := fmt.Sprintf("example-%08x", rand.Uint32())
				if err := createTopic(ctx, b.bootstrap, topic, 3); err != nil {
					t.Fatal(err)
				}
				out, err := run(ctx, nil, example.command, append(example.producer, b.bootstrap, topic)...)
				if err != nil {
					t.Fatal(err)
				}
				stored := places(out, regexp.MustCompile(`^stored (\w+) in `+topic+`-(\d+) at offset (\d+)$`), []int{2, 3, 1})
				if out, err = run(ctx, nil, example.command, append(example.consumer, b.bootstrap, topic)...); err != nil {
					t.Fatal(err)
				}
				read := places(out, regexp.MustCompile(`^partition=(\d+) offset=(\d+) key=(\w+) value=\{.*\}$`), []int{1, 2, 3})
				if len(stored) != exampleRecords || len(read) != exampleRecords {
					t.Fatalf("%d records stored, %d read, want %d", len(stored), len(read), exampleRecords)
				}
				for place := range stored {
					if !read[place] {
						t.Errorf("stored but not read: %s", place)
					}
				}
			})
		})
	}
}

// places collects "partition/offset/key" from the lines that match; groups says which group is which.
func places(out []byte, line *regexp.Regexp, groups []int) map[string]bool {
	found := map[string]bool{}
	for text := range strings.Lines(string(out)) {
		if m := line.FindStringSubmatch(strings.TrimSpace(text)); m != nil {
			found[m[groups[0]]+"/"+m[groups[1]]+"/"+m[groups[2]]] = true
		}
	}
	return found
}
