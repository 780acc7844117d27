package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type consumeOptions struct {
	topic         string
	partitions    []int32
	fromBeginning bool
	offset        string
	timestamp     string
	maxMessages   int64
	exitAtEnd     bool
	keySeparator  string
	group         string
	isolation     string
}

// isolations are the values of --isolation, as Kafka names them.
var isolations = map[string]kgo.IsolationLevel{"read_uncommitted": kgo.ReadUncommitted(), "read_committed": kgo.ReadCommitted()}

func (o consumeOptions) committed() bool { return o.isolation == "read_committed" }

func (a *app) consumeCommand() *cobra.Command {
	var o consumeOptions
	cmd := &cobra.Command{
		Use:   "consume",
		Short: "Print the records of a topic",
		Long: "Print the records of a topic, by default those that arrive from now on, or with --exit-at-end all that are\n" +
			"there. Text output is the value on a line; --key-separator puts the key in front; JSON has everything. With\n" +
			"--group the command is a member of that consumer group and commits what it has printed. Records of open and\n" +
			"aborted transactions are printed too, unless --isolation is read_committed.",
		Args: cobra.NoArgs,
		RunE: a.do(func(ctx context.Context, _ []string) error { return a.consume(ctx, o) }),
	}
	f := cmd.Flags()
	f.StringVar(&o.topic, "topic", "", "topic to read (required)")
	f.Int32SliceVar(&o.partitions, "partition", nil, "partitions to read, repeatable (default all)")
	f.BoolVar(&o.fromBeginning, "from-beginning", false, "start at the first record")
	f.StringVar(&o.offset, "offset", "", "start at this offset of each partition, or 'latest'")
	f.StringVar(&o.timestamp, "timestamp", "", "start at the first record of this time or later: RFC 3339, or milliseconds")
	f.Int64Var(&o.maxMessages, "max-messages", 0, "stop after this many records, 0 for no limit")
	f.BoolVar(&o.exitAtEnd, "exit-at-end", false, "stop at the end that the partitions had at the start")
	f.StringVar(&o.group, "group", "", "read as a member of this consumer group, and commit what was printed")
	f.StringVar(&o.isolation, "isolation", "read_uncommitted", "read_committed leaves out what aborted transactions wrote, and waits for open ones")
	f.StringVar(&o.keySeparator, "key-separator", "", "print the key and this text before the value")
	return cmd
}

// from is where reading starts.
type from struct {
	kind  fromKind
	value int64 // offset or milliseconds
}

type fromKind int

const (
	fromLatest fromKind = iota
	fromBeginning
	fromOffset
	fromTime
)

// start reads the flags that say where to begin, of which one may be given.
func (o consumeOptions) start() (from, error) {
	given := 0
	at := from{kind: fromLatest}
	if o.exitAtEnd {
		at.kind = fromBeginning
	}
	if o.fromBeginning {
		given++
		at = from{kind: fromBeginning}
	}
	if o.offset != "" {
		given++
		n, err := strconv.ParseInt(o.offset, 10, 64)
		switch {
		case o.offset == "latest":
			at = from{kind: fromLatest}
		case err != nil || n < 0:
			return at, usagef("--offset %q: must be an offset or 'latest'", o.offset)
		default:
			at = from{kind: fromOffset, value: n}
		}
	}
	if o.timestamp != "" {
		given++
		ms, err := parseTime("--timestamp", o.timestamp)
		if err != nil {
			return at, err
		}
		at = from{kind: fromTime, value: ms}
	}
	if given > 1 {
		return at, usagef("--from-beginning, --offset and --timestamp exclude each other")
	}
	return at, nil
}

// parseTime reads a flag's time as milliseconds since 1970.
func parseTime(flag, s string) (int64, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil && ms >= 0 {
		return ms, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.UnixMilli() < 0 {
		return 0, usagef("%s %q: must be a time such as 2006-01-02T15:04:05Z, or milliseconds since 1970", flag, s)
	}
	return t.UnixMilli(), nil
}

func (a *app) consume(ctx context.Context, o consumeOptions) error {
	at, err := o.start()
	isolation, known := isolations[o.isolation]
	switch {
	case err != nil:
		return err
	case o.topic == "":
		return usagef("--topic is required")
	case o.maxMessages < 0:
		return usagef("--max-messages %d: must not be negative", o.maxMessages)
	case !known:
		return usagef("--isolation %q: there are read_uncommitted and read_committed", o.isolation)
	case o.group != "" && (len(o.partitions) > 0 || o.exitAtEnd || at.kind == fromOffset || at.kind == fromTime):
		return usagef("--group goes with neither --partition, --offset, --timestamp nor --exit-at-end: the group says what is read from where")
	case o.group != "":
		reset := kgo.NewOffset().AtEnd()
		if at.kind == fromBeginning {
			reset = kgo.NewOffset().AtStart()
		}
		if err := a.admin(ctx, func(adm *kadm.Client) error { return topicThere(ctx, adm, o.topic) }); err != nil {
			return err
		}
		return a.print(ctx, o, groupReader{group: o.group, topic: o.topic, reset: reset, isolation: isolation}.read)
	}
	r := topicReader{topic: o.topic, isolation: isolation}
	err = a.admin(ctx, func(adm *kadm.Client) error {
		b, err := resolve(ctx, adm, o, at)
		if err != nil {
			return err
		}
		r.starts = b.starts
		if o.exitAtEnd {
			r.ends = b.stable
		}
		if o.exitAtEnd && o.committed() {
			r.ends, err = a.committedEnds(ctx, adm, o.topic, b)
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.print(ctx, o, r.read)
}

// topicThere is an error when there is no such topic. Members of a group wait for it, without a word.
func topicThere(ctx context.Context, adm *kadm.Client, topic string) error {
	_, err := partitionsOf(ctx, adm, topic)
	if kerr.IsRetriable(err) && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil // the client tries again
	}
	return err
}

// reader hands over records one by one, and says when those of one poll are through.
type reader func(ctx context.Context, a *app, each func(*kgo.Record) error, flush func() error) error

// print writes what read hands over.
func (a *app) print(ctx context.Context, o consumeOptions, read reader) error {
	out := bufio.NewWriterSize(a.out, 64<<10)
	format := a.recordFormat(o.keySeparator)
	left := o.maxMessages
	var line []byte
	err := read(ctx, a, func(record *kgo.Record) (err error) {
		if line, err = format(line[:0], record); err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
		if left--; left == 0 {
			return errStop
		}
		return nil
	}, out.Flush)
	if errors.Is(err, context.Canceled) && !o.exitAtEnd {
		return out.Flush() // a signal is how following a topic ends
	}
	return err
}

// extent is what there is of a topic: offsets by partition.
type extent struct {
	starts map[int32]int64 // the first to read, of the partitions asked for
	first  map[int32]int64
	stable map[int32]int64 // the end as it is now, of committed records if only these are read
	high   map[int32]int64 // the end
}

// resolve finds the first offset to read, and the end as it is now, for every partition asked for.
func resolve(ctx context.Context, adm *kadm.Client, o consumeOptions, at from) (b extent, err error) {
	listed, err := adm.ListEndOffsets(ctx, o.topic)
	if b.high, err = offsetsOf(o.topic, listed, err); err != nil {
		return b, err
	}
	b.stable = b.high
	if o.committed() {
		listed, err = adm.ListCommittedOffsets(ctx, o.topic)
		if b.stable, err = offsetsOf(o.topic, listed, err); err != nil {
			return b, err
		}
	}
	listed, err = adm.ListStartOffsets(ctx, o.topic)
	if b.first, err = offsetsOf(o.topic, listed, err); err != nil {
		return b, err
	}
	var found map[int32]int64
	if at.kind == fromTime {
		listed, err = adm.ListOffsetsAfterMilli(ctx, at.value, o.topic)
		if found, err = offsetsOf(o.topic, listed, err); err != nil {
			return b, err
		}
	}
	wanted := o.partitions
	if len(wanted) == 0 {
		wanted = sortedKeys(b.high)
	}
	b.starts = make(map[int32]int64, len(wanted))
	for _, p := range wanted {
		end, ok := b.high[p]
		if !ok {
			return b, noPartition(o.topic, p)
		}
		switch at.kind {
		case fromLatest:
			b.starts[p] = b.stable[p]
		case fromBeginning:
			b.starts[p] = b.first[p]
		case fromTime:
			b.starts[p] = found[p]
		case fromOffset:
			if at.value < b.first[p] || at.value > end {
				return b, fmt.Errorf("topic %s, partition %d: offset %d is outside of what is there, %d to %d", o.topic, p, at.value, b.first[p], end)
			}
			b.starts[p] = at.value
		}
	}
	return b, nil
}
