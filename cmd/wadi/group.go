package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func (a *app) groupCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "group", Short: "List and describe consumer groups, reset their offsets, delete them", Args: cobra.ArbitraryArgs, RunE: group}
	cmd.AddCommand(a.groupList(), a.groupDescribe(), a.groupResetOffsets(), a.groupDelete())
	return cmd
}

type listedGroup struct {
	Group        string `json:"group"`
	State        string `json:"state"`
	Type         string `json:"type"` // "classic" or "consumer"
	ProtocolType string `json:"protocol_type"`
	Coordinator  int32  `json:"coordinator"` // node id
}

func (a *app) groupList() *cobra.Command {
	var states []string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all consumer groups",
		Args:  cobra.NoArgs,
		RunE: a.do(func(ctx context.Context, _ []string) error {
			if err := knownStates(states, groupStates); err != nil {
				return err
			}
			return a.admin(ctx, func(adm *kadm.Client) error {
				groups, err := listGroups(ctx, adm, states)
				if err != nil {
					return err
				}
				if a.json() {
					return a.printJSON(groups)
				}
				rows := [][]string{{"GROUP", "STATE", "TYPE"}}
				for _, g := range groups {
					rows = append(rows, []string{g.Group, g.State, g.Type})
				}
				return a.printTable(rows)
			})
		}),
	}
	cmd.Flags().StringSliceVar(&states, "state", nil, "only groups in these states: "+strings.Join(groupStates, ", "))
	return cmd
}

var groupStates = []string{"Empty", "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling", "Stable"}

// knownStates spells the given states as servers do. One that nothing is ever in is refused: servers pass over it, and
// list nothing.
func knownStates(given, known []string) error {
	for i, s := range given {
		at := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, s) })
		if at < 0 {
			return usagef("--state %q: there are %s", s, strings.Join(known, ", "))
		}
		given[i] = known[at]
	}
	return nil
}

// listGroups asks all brokers, each of which knows the groups that it coordinates.
func listGroups(ctx context.Context, adm *kadm.Client, states []string) ([]listedGroup, error) {
	listed, err := adm.ListGroups(ctx, states...)
	if err != nil {
		return nil, fmt.Errorf("groups cannot be listed: %w", err)
	}
	consumers, err := adm.ListGroupsByType(ctx, []string{"consumer"}, states...)
	if err != nil {
		return nil, fmt.Errorf("groups cannot be listed: %w", err)
	}
	out := []listedGroup{}
	for _, g := range listed.Sorted() {
		x := listedGroup{Group: g.Group, State: g.State, Type: "classic", ProtocolType: g.ProtocolType, Coordinator: g.Coordinator}
		if _, ok := consumers[g.Group]; ok {
			x.Type = "consumer"
		}
		out = append(out, x)
	}
	return out, nil
}

func (a *app) groupDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME...",
		Short: "Delete groups without members, and their committed offsets",
		Args:  cobra.MinimumNArgs(1),
		RunE: a.do(func(ctx context.Context, names []string) error {
			return a.admin(ctx, func(adm *kadm.Client) error {
				answers, err := adm.DeleteGroups(ctx, names...)
				if err != nil {
					return fmt.Errorf("groups were not deleted: %w", err)
				}
				deleted := []string{}
				var errs []error
				for _, g := range answers.Sorted() {
					if g.Err != nil {
						errs = append(errs, groupError(g.Group, g.Err))
						continue
					}
					deleted = append(deleted, g.Group)
				}
				if a.json() {
					return errors.Join(append(errs, a.printJSON(deleted))...)
				}
				for _, name := range deleted {
					errs = append(errs, a.printf("deleted %s\n", name))
				}
				return errors.Join(errs...)
			})
		}),
	}
}

func groupError(name string, err error) error { return fmt.Errorf("group %s: %w", name, err) }
