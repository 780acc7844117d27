package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (a *app) txnCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "txn", Short: "List and describe transactions, abort one that hangs", Args: cobra.ArbitraryArgs, RunE: group}
	cmd.AddCommand(a.txnList(), a.txnDescribe(), a.txnAbort())
	return cmd
}

// describedTxn is a transactional id with its newest transaction.
type describedTxn struct {
	ID          string             `json:"transactional_id"`
	State       string             `json:"state"`
	ProducerID  int64              `json:"producer_id"`
	Epoch       int16              `json:"producer_epoch"`
	TimeoutMs   int32              `json:"timeout_ms"`
	OpenMs      int64              `json:"open_ms"` // for how long it has been open, -1 = it is not
	Coordinator int32              `json:"coordinator"`
	Partitions  map[string][]int32 `json:"partitions"`
}

const ongoing = "Ongoing"

var txnStates = []string{"Empty", ongoing, "CompleteCommit", "CompleteAbort"}

func (a *app) txnList() *cobra.Command {
	var states []string
	var open time.Duration
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List transactional ids and what their newest transaction has come to",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringSliceVar(&states, "state", nil, "only those in these states: "+strings.Join(txnStates, ", "))
	cmd.Flags().DurationVar(&open, "open-for", 0, "only those with a transaction that has been open for at least this long")
	cmd.RunE = a.do(func(ctx context.Context, _ []string) error {
		if open < 0 || open > 0 && len(states) > 0 {
			return usagef("--open-for is a duration above 0, and goes without --state")
		}
		if err := knownStates(states, txnStates); err != nil {
			return err
		}
		return a.admin(ctx, func(adm *kadm.Client) error {
			txns, err := listTxns(ctx, adm, states, open)
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(txns)
			}
			rows := [][]string{{"TRANSACTIONAL ID", "STATE", "PRODUCER", "EPOCH", "OPEN FOR"}}
			for _, t := range txns {
				rows = append(rows, []string{t.ID, t.State, strconv.FormatInt(t.ProducerID, 10), strconv.Itoa(int(t.Epoch)), t.age()})
			}
			return a.printTable(rows)
		})
	})
	return cmd
}

// listTxns asks all brokers, each of which knows the ids that it coordinates.
func listTxns(ctx context.Context, adm *kadm.Client, states []string, open time.Duration) ([]describedTxn, error) {
	if open > 0 {
		states = []string{ongoing}
	}
	listed, err := adm.ListTransactions(ctx, nil, states)
	if err != nil {
		return nil, fmt.Errorf("transactions cannot be listed: %w", err)
	}
	ids := listed.TransactionalIDs()
	if len(ids) == 0 {
		return []describedTxn{}, nil
	}
	txns, err := describeTxns(ctx, adm, ids)
	if err != nil && !errors.Is(err, kerr.TransactionalIDNotFound) { // one may be forgotten in between
		return nil, err
	}
	return slices.DeleteFunc(txns, func(t describedTxn) bool {
		return open > 0 && time.Duration(t.OpenMs)*time.Millisecond < open
	}), nil
}

func (a *app) txnDescribe() *cobra.Command {
	return &cobra.Command{
		Use:   "describe ID...",
		Short: "Show transactional ids with the partitions of their open transactions",
		Args:  cobra.MinimumNArgs(1),
		RunE: a.do(func(ctx context.Context, ids []string) error {
			return a.admin(ctx, func(adm *kadm.Client) error {
				txns, err := describeTxns(ctx, adm, ids)
				if a.json() {
					return errors.Join(a.printJSON(txns), err)
				}
				for _, t := range txns {
					err = errors.Join(err, a.printTxn(t))
				}
				return err
			})
		}),
	}
}

// describeTxns returns what it found out, sorted by id, also next to an error.
func describeTxns(ctx context.Context, adm *kadm.Client, ids []string) ([]describedTxn, error) {
	answers, err := adm.DescribeTransactions(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("transactions cannot be described: %w", err)
	}
	out, errs := []describedTxn{}, []error(nil)
	for _, t := range answers.Sorted() {
		if t.Err != nil {
			errs = append(errs, txnError(t.TxnID, t.Err))
			continue
		}
		x := describedTxn{
			ID: t.TxnID, State: t.State, ProducerID: t.ProducerID, Epoch: t.ProducerEpoch, TimeoutMs: t.TimeoutMillis, OpenMs: -1,
			Coordinator: t.Coordinator, Partitions: map[string][]int32{},
		}
		if t.State == ongoing && t.StartTimestamp > 0 {
			x.OpenMs = max(0, time.Since(time.UnixMilli(t.StartTimestamp)).Milliseconds())
		}
		for topic, partitions := range t.Topics {
			x.Partitions[topic] = sortedKeys(partitions)
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b describedTxn) int { return cmp.Compare(a.ID, b.ID) })
	return out, errors.Join(errs...)
}

func (t describedTxn) age() string {
	if t.OpenMs < 0 {
		return "-"
	}
	return (time.Duration(t.OpenMs) * time.Millisecond).Round(time.Second).String()
}

func (a *app) printTxn(t describedTxn) error {
	open := ""
	if t.OpenMs >= 0 {
		open = fmt.Sprintf(", open for %s of %v", t.age(), time.Duration(t.TimeoutMs)*time.Millisecond)
	}
	err := a.printf("%s (%s%s, producer %d, epoch %d)\n", t.ID, t.State, open, t.ProducerID, t.Epoch)
	for _, topic := range sortedKeys(t.Partitions) {
		words := make([]string, len(t.Partitions[topic]))
		for i, p := range t.Partitions[topic] {
			words[i] = strconv.Itoa(int(p))
		}
		err = errors.Join(err, a.printf("  %s %s\n", topic, strings.Join(words, " ")))
	}
	return err
}

func (a *app) txnAbort() *cobra.Command {
	return &cobra.Command{
		Use:   "abort ID",
		Short: "Abort the open transaction of a transactional id and shut its producer out",
		Args:  cobra.ExactArgs(1),
		RunE: a.do(func(ctx context.Context, ids []string) error {
			client, err := a.connect(ctx)
			if err != nil {
				return err
			}
			defer client.Close()
			txns, err := describeTxns(ctx, kadm.NewClient(client), ids)
			if err != nil {
				return err
			}
			t := txns[0]
			if t.State != ongoing {
				return fmt.Errorf("transactional id %s has no open transaction: it is in state %s", t.ID, t.State)
			}
			if err := abortTxn(ctx, client, t); err != nil {
				return txnError(t.ID, err)
			}
			if a.json() {
				return a.printJSON(t)
			}
			return a.printf("aborted the transaction of %s\n", t.ID)
		}),
	}
}

// groupOffsetsTopic stands for the groups of a transaction.
const groupOffsetsTopic = "__consumer_offsets"

// abortTxn ends the transaction that was described and no other: markers name its producer's epoch. One that has groups
// alone has no partition to put a marker on, so its producer is shut out as a new instance of it would do.
func abortTxn(ctx context.Context, client *kgo.Client, t describedTxn) error {
	m := kadm.TxnMarkers{ProducerID: t.ProducerID, ProducerEpoch: t.Epoch, Topics: kadm.TopicsSet{}}
	for topic, partitions := range t.Partitions {
		if topic != groupOffsetsTopic {
			m.Topics.Add(topic, partitions...)
		}
	}
	if len(m.Topics) == 0 {
		return fenceTxn(ctx, client, t)
	}
	answers, err := kadm.NewClient(client).WriteTxnMarkers(ctx, m)
	if err != nil {
		return err
	}
	var errs []error
	answers.EachPartition(func(p kadm.TxnMarkersPartitionResponse) {
		errs = append(errs, partitionError(p.Topic, p.Partition, p.Err))
	})
	return errors.Join(errs...)
}

func fenceTxn(ctx context.Context, client *kgo.Client, t describedTxn) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &t.ID, t.TimeoutMs
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

func txnError(id string, err error) error { return fmt.Errorf("transactional id %s: %w", id, err) }
