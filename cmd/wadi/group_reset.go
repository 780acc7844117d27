package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

type resetOptions struct {
	topics     []string
	toEarliest bool
	toLatest   bool
	toDatetime string
	shiftBy    int64
	shifted    bool // --shift-by was given
	execute    bool
}

func (a *app) groupResetOffsets() *cobra.Command {
	var o resetOptions
	cmd := &cobra.Command{
		Use:   "reset-offsets NAME",
		Short: "Move the committed offsets of a group that has no members",
		Long: "Move the committed offsets of a group that has no members. Without --execute it only shows what would be\n" +
			"done. Without --topic it is done to every topic that the group has committed.",
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.topics, "topic", nil, "topics to reset, repeatable (default those committed)")
	f.BoolVar(&o.toEarliest, "to-earliest", false, "to the first offset that is there")
	f.BoolVar(&o.toLatest, "to-latest", false, "to the end")
	f.StringVar(&o.toDatetime, "to-datetime", "", "to the first record of this time or later: RFC 3339, or milliseconds")
	f.Int64Var(&o.shiftBy, "shift-by", 0, "by so many offsets, forwards or, below zero, backwards, within what is there")
	f.BoolVar(&o.execute, "execute", false, "do it")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		o.shifted = c.Flags().Changed("shift-by")
		return a.do(func(ctx context.Context, names []string) error { return a.resetOffsets(ctx, names[0], o) })(c, args)
	}
	return cmd
}

// resetOffset is one partition's move.
type resetOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"` // -1 = nothing was committed
	To        int64  `json:"to"`
}

type resetReport struct {
	Group    string        `json:"group"`
	Executed bool          `json:"executed"`
	Offsets  []resetOffset `json:"offsets"`
}

func (a *app) resetOffsets(ctx context.Context, name string, o resetOptions) error {
	given, ms := 0, int64(0)
	for _, is := range []bool{o.toEarliest, o.toLatest, o.toDatetime != "", o.shifted} {
		if is {
			given++
		}
	}
	if given != 1 {
		return usagef("one of --to-earliest, --to-latest, --to-datetime and --shift-by is needed")
	}
	if o.toDatetime != "" {
		var err error
		if ms, err = parseTime("--to-datetime", o.toDatetime); err != nil {
			return err
		}
	}
	return a.admin(ctx, func(adm *kadm.Client) error {
		report, err := planReset(ctx, adm, name, o, ms)
		if err != nil {
			return err
		}
		if o.execute {
			if err := commitReset(ctx, adm, report); err != nil {
				return err
			}
			report.Executed = true
		}
		return a.printReset(report)
	})
}

// planReset finds where each partition would go.
func planReset(ctx context.Context, adm *kadm.Client, name string, o resetOptions, ms int64) (resetReport, error) {
	report := resetReport{Group: name, Offsets: []resetOffset{}}
	if g, err := membersOf(ctx, adm, name); err == nil && len(g.Members) > 0 {
		return report, fmt.Errorf("group %s has %s: stop them first", name, plural(len(g.Members), "member"))
	}
	committed, err := adm.FetchOffsets(ctx, name)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // a group begins with its first commit
		return report, groupError(name, err)
	}
	topics := o.topics
	if len(topics) == 0 {
		topics = sortedKeys(committed)
	}
	if len(topics) == 0 {
		return report, fmt.Errorf("group %s has committed nothing: --topic says what to reset", name)
	}
	for _, topic := range topics {
		starts, ends, err := bounds(ctx, adm, topic)
		if err != nil {
			return report, err
		}
		var found map[int32]int64
		if o.toDatetime != "" {
			listed, err := adm.ListOffsetsAfterMilli(ctx, ms, topic)
			if found, err = offsetsOf(topic, listed, err); err != nil {
				return report, err
			}
		}
		for _, p := range sortedKeys(ends) {
			r := resetOffset{Topic: topic, Partition: p, From: -1}
			if at, ok := committed.Lookup(topic, p); ok {
				if at.Err != nil {
					return report, partitionError(topic, p, at.Err)
				}
				r.From = at.At
			}
			switch {
			case r.From < 0 && (len(o.topics) == 0 || o.shifted):
				continue // nothing to move
			case o.toEarliest:
				r.To = starts[p]
			case o.toLatest:
				r.To = ends[p]
			case o.shifted:
				r.To = min(max(r.From+o.shiftBy, starts[p]), ends[p])
			default:
				r.To = found[p]
			}
			report.Offsets = append(report.Offsets, r)
		}
	}
	return report, nil
}

// bounds are first and end offset of each partition.
func bounds(ctx context.Context, adm *kadm.Client, topic string) (starts, ends map[int32]int64, err error) {
	listed, err := adm.ListEndOffsets(ctx, topic)
	if ends, err = offsetsOf(topic, listed, err); err != nil {
		return nil, nil, err
	}
	listed, err = adm.ListStartOffsets(ctx, topic)
	starts, err = offsetsOf(topic, listed, err)
	return starts, ends, err
}

func commitReset(ctx context.Context, adm *kadm.Client, report resetReport) error {
	offsets := kadm.Offsets{}
	for _, r := range report.Offsets {
		offsets.AddOffset(r.Topic, r.Partition, r.To, -1)
	}
	answers, err := adm.CommitOffsets(ctx, report.Group, offsets)
	if err != nil {
		return groupError(report.Group, err)
	}
	var errs []error
	for _, o := range answers.Sorted() {
		errs = append(errs, partitionError(o.Topic, o.Partition, o.Err))
	}
	return errors.Join(errs...)
}

func (a *app) printReset(report resetReport) error {
	if a.json() {
		return a.printJSON(report)
	}
	rows := [][]string{{"TOPIC", "PARTITION", "FROM", "TO"}}
	for _, r := range report.Offsets {
		from := "-"
		if r.From >= 0 {
			from = strconv.FormatInt(r.From, 10)
		}
		rows = append(rows, []string{r.Topic, strconv.Itoa(int(r.Partition)), from, strconv.FormatInt(r.To, 10)})
	}
	if err := a.printTable(rows); err != nil {
		return err
	}
	if report.Executed {
		return nil
	}
	return a.printf("\nnothing was done: --execute does it\n")
}
