package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listFlags are those of wadi config alter that say what to change.
type listFlags struct{ set, unset, add, subtract []string }

func (f *listFlags) register(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.set, "set", nil, "give a config a value: KEY=VALUE, repeatable")
	flags.StringArrayVar(&f.unset, "unset", nil, "take a config back to its default: KEY, repeatable")
	flags.StringArrayVar(&f.add, "append", nil, "add to a list: KEY=ELEMENT, repeatable")
	flags.StringArrayVar(&f.subtract, "subtract", nil, "take out of a list: KEY=ELEMENT, repeatable")
}

// changes checks the form; what the configs mean is the broker's to judge.
func (f *listFlags) changes() ([]kadm.AlterConfig, error) {
	changes, err := configChanges(f.set, f.unset)
	if err != nil {
		return nil, err
	}
	for _, x := range []struct {
		flag string
		args []string
		op   kadm.IncrementalOp
	}{{"--append", f.add, kadm.AppendConfig}, {"--subtract", f.subtract, kadm.SubtractConfig}} {
		kvs, err := pairs(x.flag, x.args)
		if err != nil {
			return nil, err
		}
		for _, kv := range kvs {
			if slices.ContainsFunc(changes, func(other kadm.AlterConfig) bool { return other.Name == kv.key }) {
				return nil, usagef("the configuration %s is named twice", kv.key)
			}
			changes = append(changes, kadm.AlterConfig{Op: x.op, Name: kv.key, Value: &kv.value})
		}
	}
	return changes, nil
}

type alteredConfigs struct {
	Resource  string   `json:"resource"`
	Configs   []string `json:"configs"`
	Validated bool     `json:"validated_only"`
}

// namesOf are the sorted names of what is to change.
func namesOf(changes []kadm.AlterConfig) []string {
	names := make([]string, len(changes))
	for i, x := range changes {
		names[i] = x.Name
	}
	slices.Sort(names)
	return names
}

func (a *app) configAlter() *cobra.Command {
	var of resourceFlags
	var what listFlags
	var dry bool
	cmd := &cobra.Command{
		Use:   "alter",
		Short: "Change configs while brokers run",
		Args:  cobra.NoArgs,
	}
	of.add(cmd.Flags())
	what.register(cmd.Flags())
	cmd.Flags().BoolVar(&dry, "validate-only", false, "only ask whether it could be done")
	cmd.RunE = a.do(func(ctx context.Context, _ []string) error {
		r, err := of.resource()
		if err != nil {
			return err
		}
		changes, err := what.changes()
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return usagef("there is nothing to change: name --set, --unset, --append or --subtract")
		}
		client, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer client.Close()
		if err := alterResource(ctx, client, r, changes, dry); err != nil {
			return err
		}
		if a.json() {
			return a.printJSON(alteredConfigs{r.String(), namesOf(changes), dry})
		}
		if dry {
			return a.printf("%v could be altered: %s\n", r, plural(len(changes), "config"))
		}
		return a.printf("altered %v: %s\n", r, plural(len(changes), "config"))
	})
	return cmd
}

// alterResource changes all of the configs or none.
func alterResource(ctx context.Context, client *kgo.Client, r resource, changes []kadm.AlterConfig, dry bool) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = dry
	in := kmsg.NewIncrementalAlterConfigsRequestResource()
	in.ResourceType, in.ResourceName = r.kind, r.name
	for _, x := range changes {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Op, c.Name, c.Value = kmsg.IncrementalAlterConfigOp(x.Op), x.Name, x.Value
		in.Configs = append(in.Configs, c)
	}
	req.Resources = append(req.Resources, in)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("%v was not altered: %w", r, err)
	}
	if len(resp.Resources) != 1 {
		return fmt.Errorf("%v: %w", r, errNoAnswer)
	}
	return r.refused(resp.Resources[0].ErrorCode, resp.Resources[0].ErrorMessage)
}
