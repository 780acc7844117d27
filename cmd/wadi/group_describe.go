package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

type describedGroup struct {
	Group       string            `json:"group"`
	State       string            `json:"state"`
	Type        string            `json:"type"`
	Protocol    string            `json:"protocol"` // the assignor
	Coordinator int32             `json:"coordinator"`
	Members     []describedMember `json:"members"`
	Offsets     []groupOffset     `json:"offsets"`
}

type describedMember struct {
	Member   string             `json:"member"`
	Instance *string            `json:"instance"`
	ClientID string             `json:"client_id"`
	Host     string             `json:"host"`
	Assigned map[string][]int32 `json:"assigned"`
}

// groupOffset is a partition that the group has committed or that a member has. What is not known is -1.
type groupOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"`
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
	Metadata  string `json:"metadata,omitempty"`
	Member    string `json:"member"` // "" = nobody has it
}

func (a *app) groupDescribe() *cobra.Command {
	return &cobra.Command{
		Use:   "describe NAME...",
		Short: "Show members, committed offsets and lag of groups",
		Args:  cobra.MinimumNArgs(1),
		RunE: a.do(func(ctx context.Context, names []string) error {
			return a.admin(ctx, func(adm *kadm.Client) error {
				groups, err := describeGroups(ctx, adm, names)
				if a.json() {
					return errors.Join(a.printJSON(groups), err)
				}
				for _, g := range groups {
					err = errors.Join(err, a.printGroup(g))
				}
				return err
			})
		}),
	}
}

// describeGroups returns what it found out, also next to an error.
func describeGroups(ctx context.Context, adm *kadm.Client, names []string) ([]describedGroup, error) {
	out := []describedGroup{}
	var errs []error
	for _, name := range names {
		g, err := membersOf(ctx, adm, name)
		if err == nil {
			g.Offsets, err = lags(ctx, adm, g)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, g)
	}
	return out, errors.Join(errs...)
}

// membersOf describes a group by whichever of the two protocols it has.
func membersOf(ctx context.Context, adm *kadm.Client, name string) (describedGroup, error) {
	out := describedGroup{Group: name, Type: "classic", Members: []describedMember{}, Offsets: []groupOffset{}}
	classic, err := adm.DescribeGroups(ctx, name)
	if err != nil {
		return out, fmt.Errorf("group %s cannot be described: %w", name, err)
	}
	g := classic[name]
	switch {
	case g.State == "Dead" || errors.Is(g.Err, kerr.GroupIDNotFound):
		return consumersOf(ctx, adm, out)
	case g.Err != nil:
		return out, groupError(name, g.Err)
	}
	out.State, out.Protocol, out.Coordinator = g.State, g.Protocol, g.Coordinator.NodeID
	for _, m := range g.Members {
		x := describedMember{Member: m.MemberID, Instance: m.InstanceID, ClientID: m.ClientID, Host: m.ClientHost, Assigned: map[string][]int32{}}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				x.Assigned[t.Topic] = t.Partitions
			}
		}
		out.Members = append(out.Members, x)
	}
	return out, nil
}

// consumersOf describes a group of the consumer protocol (KIP-848).
func consumersOf(ctx context.Context, adm *kadm.Client, out describedGroup) (describedGroup, error) {
	consumers, err := adm.DescribeConsumerGroups(ctx, out.Group)
	g, ok := consumers[out.Group]
	switch {
	case err != nil && !ok:
		return out, fmt.Errorf("group %s cannot be described: %w", out.Group, err)
	case g.Err != nil:
		return out, groupError(out.Group, g.Err)
	}
	out.Type, out.State, out.Protocol, out.Coordinator = "consumer", g.State, g.AssignorName, g.Coordinator.NodeID
	for _, m := range g.Members {
		x := describedMember{Member: m.MemberID, Instance: m.InstanceID, ClientID: m.ClientID, Host: m.ClientHost, Assigned: map[string][]int32{}}
		for topic, partitions := range m.Assignment {
			x.Assigned[topic] = sortedKeys(partitions)
		}
		out.Members = append(out.Members, x)
	}
	return out, nil
}

// lags lists what the group has committed and what its members have.
func lags(ctx context.Context, adm *kadm.Client, g describedGroup) ([]groupOffset, error) {
	committed, err := adm.FetchOffsets(ctx, g.Group)
	if err != nil {
		return nil, groupError(g.Group, err)
	}
	type key struct {
		topic     string
		partition int32
	}
	rows := map[key]*groupOffset{}
	row := func(topic string, partition int32) *groupOffset {
		k := key{topic, partition}
		if rows[k] == nil {
			rows[k] = &groupOffset{Topic: topic, Partition: partition, Committed: -1, End: -1, Lag: -1}
		}
		return rows[k]
	}
	var errs []error
	for _, o := range committed.Sorted() {
		errs = append(errs, partitionError(o.Topic, o.Partition, o.Err))
		if o.Err == nil && o.At >= 0 {
			r := row(o.Topic, o.Partition)
			r.Committed, r.Metadata = o.At, o.Metadata
		}
	}
	for _, m := range g.Members {
		for topic, partitions := range m.Assigned {
			for _, p := range partitions {
				row(topic, p).Member = m.Member
			}
		}
	}
	topics := map[string]bool{}
	for k := range rows {
		topics[k.topic] = true
	}
	out := []groupOffset{}
	if len(topics) == 0 {
		return out, errors.Join(errs...)
	}
	ends, err := adm.ListEndOffsets(ctx, sortedKeys(topics)...)
	if err != nil {
		return nil, fmt.Errorf("end offsets cannot be read: %w", err)
	}
	for k, r := range rows {
		if o, ok := ends.Lookup(k.topic, k.partition); ok && o.Err == nil {
			r.End = o.Offset
			if r.Committed >= 0 {
				r.Lag = max(0, r.End-r.Committed)
			}
		}
		out = append(out, *r)
	}
	slices.SortFunc(out, func(x, y groupOffset) int {
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition))
	})
	return out, errors.Join(errs...)
}

func (a *app) printGroup(g describedGroup) error {
	if err := a.printf("%s (%s, %s, %s)\n", g.Group, g.Type, g.State, plural(len(g.Members), "member")); err != nil {
		return err
	}
	who := map[string]describedMember{}
	for _, m := range g.Members {
		who[m.Member] = m
	}
	unknown := func(n int64) string {
		if n < 0 {
			return "-"
		}
		return strconv.FormatInt(n, 10)
	}
	rows := [][]string{{"TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "CLIENT", "HOST"}}
	idle := map[string]bool{}
	for _, m := range g.Members {
		idle[m.Member] = len(m.Assigned) == 0
	}
	for _, o := range g.Offsets {
		member := "-"
		if o.Member != "" {
			member = o.Member
		}
		rows = append(rows, []string{o.Topic, strconv.Itoa(int(o.Partition)), unknown(o.Committed), unknown(o.End), unknown(o.Lag),
			member, orDash(who[o.Member].ClientID), orDash(who[o.Member].Host)})
	}
	for _, m := range g.Members {
		if idle[m.Member] {
			rows = append(rows, []string{"-", "-", "-", "-", "-", m.Member, orDash(m.ClientID), orDash(m.Host)})
		}
	}
	if len(rows) == 1 {
		return nil
	}
	return a.printTable(rows)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
