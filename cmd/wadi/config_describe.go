package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type shownConfig struct {
	Name          string         `json:"name"`
	Value         *string        `json:"value"` // null: none, or sensitive
	Source        string         `json:"source"`
	Type          string         `json:"type"`
	ReadOnly      bool           `json:"read_only"`
	Sensitive     bool           `json:"sensitive"`
	Synonyms      []shownSynonym `json:"synonyms"`
	Documentation string         `json:"documentation,omitempty"`
}

type shownSynonym struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
}

func (a *app) configDescribe() *cobra.Command {
	var of resourceFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "describe [CONFIG...]",
		Short: "Show configs, their values and where these come from",
		Args:  cobra.ArbitraryArgs,
	}
	of.add(cmd.Flags())
	cmd.Flags().BoolVar(&all, "all", false, "those too that have Kafka's default")
	cmd.RunE = a.do(func(ctx context.Context, names []string) error {
		r, err := of.resource()
		if err != nil {
			return err
		}
		client, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer client.Close()
		list, err := describeConfigs(ctx, client, r, names)
		if err != nil {
			return err
		}
		if !all && len(names) == 0 {
			list = slices.DeleteFunc(list, func(c shownConfig) bool { return c.Source == kmsg.ConfigSourceDefaultConfig.String() })
		}
		if a.json() {
			return a.printJSON(list)
		}
		return a.printConfigs(list)
	})
	return cmd
}

// describeConfigs returns configs sorted by name. A broker is asked for its own.
func describeConfigs(ctx context.Context, client *kgo.Client, r resource, names []string) ([]shownConfig, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	in := kmsg.NewDescribeConfigsRequestResource()
	in.ResourceType, in.ResourceName = r.kind, r.name
	if len(names) > 0 { // null asks for all
		in.ConfigNames = names
	}
	req.Resources = append(req.Resources, in)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("the configs of %v cannot be read: %w", r, err)
	}
	if len(resp.Resources) != 1 {
		return nil, fmt.Errorf("%v: %w", r, errNoAnswer)
	}
	got := resp.Resources[0]
	if err := r.refused(got.ErrorCode, got.ErrorMessage); err != nil {
		return nil, err
	}
	list := []shownConfig{}
	for _, c := range got.Configs {
		s := shownConfig{Name: c.Name, Value: c.Value, Source: c.Source.String(), Type: c.ConfigType.String(), ReadOnly: c.ReadOnly,
			Sensitive: c.IsSensitive, Synonyms: []shownSynonym{}}
		if c.Documentation != nil {
			s.Documentation = *c.Documentation
		}
		for _, x := range c.ConfigSynonyms {
			s.Synonyms = append(s.Synonyms, shownSynonym{x.Name, x.Value, x.Source.String()})
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(x, y shownConfig) int { return strings.Compare(x.Name, y.Name) })
	return list, nil
}

func (a *app) printConfigs(list []shownConfig) error {
	rows := [][]string{{"CONFIG", "VALUE", "SOURCE"}}
	for _, c := range list {
		value := "(none)"
		switch {
		case c.Sensitive:
			value = "(sensitive)"
		case c.Value != nil:
			value = *c.Value
		}
		rows = append(rows, []string{c.Name, value, c.Source})
	}
	return a.printTable(rows)
}
