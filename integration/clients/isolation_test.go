package clients

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"wadi/integration/binary"
)

// placed is a record of a topic and where it lies.
type placed struct {
	partition int32
	offset    int64
	value     string
}

func (p placed) String() string {
	return fmt.Sprintf("%d/%d %.12s", p.partition, p.offset, p.value)
}

func place(read []Read) []placed {
	records := make([]placed, len(read))
	for i, r := range read {
		records[i] = placed{r.Partition, r.Offset, string(r.Value)}
	}
	return records
}

func inOrder(records []placed) []placed {
	return slices.SortedFunc(slices.Values(records), func(a, b placed) int {
		if a.partition != b.partition {
			return int(a.partition - b.partition)
		}
		return int(a.offset - b.offset)
	})
}

// comparePlaces holds what was read against what must be there, whatever the order of partitions.
func comparePlaces(t *testing.T, what string, got, want []placed) {
	t.Helper()
	if got, want = inOrder(got), inOrder(want); !slices.Equal(got, want) {
		t.Errorf("%s: %d records, want %d\ngot  %v\nwant %v", what, len(got), len(want), got, want)
	}
}

// isolationReader is a client that reads at an isolation level.
type isolationReader interface {
	Name() string
	Check() error
	// ReadAt is Read at an isolation level, read_committed or read_uncommitted.
	ReadAt(ctx context.Context, isolation, bootstrap string, topics []string) ([]Read, error)
}

// positioned are the readers that know where they are when nothing comes: in TOPIC@OFFSET they begin anywhere, and they
// come to an end before a transaction that is open.
var positioned = []isolationReader{kcat{}, python{}, java{}}

// isolationReaders are all of them. segmentio/kafka-go has isolation levels too, but shows its readers what was aborted,
// and markers, as records. KafkaJS takes aborted transactions to be listed in the order in which they begin, as Wadi does;
// Apache Kafka lists them in the order in which they end.
var isolationReaders = append(slices.Clone(positioned), franz{}, sarama, sarama.speaking("4.3.1"), kafkaJS{})

func (c goClient) ReadAt(ctx context.Context, isolation, bootstrap string, topics []string) ([]Read, error) {
	out, err := run(ctx, nil, "env", append([]string{"ISOLATION=" + isolation, "SARAMA_VERSION=" + c.version, goProgram(), c.name,
		"read", bootstrap}, topics...)...)
	if err != nil {
		return nil, err
	}
	return parseRead(out)
}

func (kafkaJS) ReadAt(ctx context.Context, isolation, bootstrap string, topics []string) ([]Read, error) {
	return readAt(ctx, isolation, "node", jsArgs("read.js", append([]string{bootstrap}, topics...)...)...)
}

func (python) ReadAt(ctx context.Context, isolation, bootstrap string, topics []string) ([]Read, error) {
	return readAt(ctx, isolation, venvPython(), append([]string{"integration/clients/python/read.py", bootstrap}, topics...)...)
}

func (java) ReadAt(ctx context.Context, isolation, bootstrap string, topics []string) ([]Read, error) {
	return readAt(ctx, isolation, "java", javaArgs(javaClients, "wadi.Read", append([]string{bootstrap}, topics...)...)...)
}

// readAt runs a program that takes its isolation level from a variable.
func readAt(ctx context.Context, isolation, name string, args ...string) ([]Read, error) {
	out, err := run(ctx, nil, "env", append([]string{"ISOLATION=" + isolation, name}, args...)...)
	if err != nil {
		return nil, err
	}
	return parseRead(out)
}

// TestIsolation: transactions of several clients lie mixed on the partitions of a topic, with records outside of
// transactions between them. Every reader finds the same: at read_committed what was committed, as far as nothing before
// it is open; at read_uncommitted everything; each record at the offset that its producer was told.
func TestIsolation(t *testing.T) {
	t.Parallel()
	b := oneBroker(t)
	ctx := b.context(t, patience)
	b.waitFor(ctx, t, transactionAPIs...)
	m := newMixture(ctx, t, b)
	m.mix(rand.New(rand.NewPCG(1, 2)), 150)
	m.plain(0, 1, 2)
	m.open()

	t.Run("while transactions are open", func(t *testing.T) {
		m.compare(t, 0, append(slices.Clone(positioned), franz{})...)
	})
	m.end()
	m.plain(0, 1, 2) // the clients without positions look for a last record
	t.Run("after all have ended", func(t *testing.T) {
		m.compare(t, 0, slices.DeleteFunc(slices.Clone(isolationReaders), func(c isolationReader) bool {
			return c == isolationReader(kafkaJS{}) && b.process == nil
		})...)
	})
	t.Run("from a marker on", func(t *testing.T) { m.compare(t, m.marker(), positioned...) })
}

// compare has clients read at both levels, from an offset of each partition on, and holds what they find against what they
// must find. A few read side by side: no transaction is open for longer than it must be.
func (m *mixture) compare(t *testing.T, from int64, readers ...isolationReader) {
	t.Helper()
	begin := m.topic
	if from > 0 {
		begin = fmt.Sprintf("%s@%d", m.topic, from)
	}
	levels := []string{"read_committed", "read_uncommitted"}
	type found struct {
		read []Read
		err  error
	}
	all := make([][2]found, len(readers))
	var running sync.WaitGroup
	slots := make(chan struct{}, 3)
	for i, c := range readers {
		if c.Check() != nil {
			continue
		}
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			for level, isolation := range levels {
				read, err := c.ReadAt(m.ctx, isolation, m.b.bootstrap, []string{begin})
				all[i][level] = found{read, err}
			}
		})
	}
	running.Wait()
	for i, c := range readers {
		t.Run(c.Name(), func(t *testing.T) {
			binary.Need(t, c.Check())
			for level, isolation := range levels {
				if err := all[i][level].err; err != nil {
					t.Fatal(isolation, err)
				}
				want := slices.DeleteFunc(m.visible(isolation), func(r placed) bool { return r.offset < from })
				comparePlaces(t, isolation+" "+begin, place(all[i][level].read), want)
			}
		})
	}
}
