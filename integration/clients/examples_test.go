package clients

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

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
				ctx := b.context(t, patience)
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

// TestTransactionExamples runs the examples of transactions on what the example producers wrote, twice: the output has
// every record one time.
func TestTransactionExamples(t *testing.T) {
	t.Parallel()
	b := oneBroker(t)
	ctx := b.context(t, patience)
	b.waitFor(ctx, t, transactionAPIs...)
	for _, example := range []struct {
		name, suffix, command string
		err                   error
		producer, transaction []string
	}{
		{
			"python", "-metres", venvPython(), python{}.Check(),
			[]string{"examples/python/producer.py"}, []string{"examples/python/transaction.py"},
		},
		{
			"java", "-checked", "java", checkJava(javaExamples),
			javaArgs(javaExamples, "ExampleProducer"), javaArgs(javaExamples, "ExampleTransaction"),
		},
	} {
		t.Run(example.name, func(t *testing.T) {
			t.Parallel()
			binary.Need(t, example.err)
			topic := fmt.Sprintf("example-%08x", rand.Uint32())
			for _, name := range []string{topic, topic + example.suffix} {
				if err := createTopic(ctx, b.bootstrap, name, 3); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := run(ctx, nil, example.command, append(example.producer, b.bootstrap, topic)...); err != nil {
				t.Fatal(err)
			}
			var carried []int
			for range 2 {
				out, err := run(ctx, nil, example.command, append(example.transaction, b.bootstrap, topic)...)
				if err != nil {
					t.Fatal(err)
				}
				sum := 0
				for _, m := range regexp.MustCompile(`(?m)^committed (\d+) \w+$`).FindAllSubmatch(out, -1) {
					n, err := strconv.Atoi(string(m[1]))
					if err != nil {
						t.Fatal(err)
					}
					sum += n
				}
				carried = append(carried, sum)
			}
			if !slices.Equal(carried, []int{exampleRecords, 0}) {
				t.Errorf("%v records were carried, want %d and then none", carried, exampleRecords)
			}
			read, err := python{}.ReadAt(ctx, "read_committed", b.bootstrap, []string{topic + example.suffix})
			if err != nil || len(read) != exampleRecords {
				t.Errorf("%d records in the output, %v, want %d", len(read), err, exampleRecords)
			}
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
