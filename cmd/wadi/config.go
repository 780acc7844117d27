package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show and change the configs of topics, brokers and groups", Args: cobra.ArbitraryArgs, RunE: group}
	cmd.AddCommand(a.configDescribe(), a.configAlter())
	return cmd
}

// resource is what configs belong to, as Kafka calls it and as people do.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
}

func (r resource) String() string {
	switch {
	case r.kind == kmsg.ConfigResourceTypeTopic:
		return "topic " + r.name
	case r.kind == kmsg.ConfigResourceTypeGroupConfig:
		return "group " + r.name
	case r.name == "":
		return "all brokers"
	}
	return "broker " + r.name
}

// resourceFlags are those that name a resource; exactly one of them must be there.
type resourceFlags struct {
	topic, group string
	broker       int32
	all          bool
}

func (f *resourceFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.topic, "topic", "", "the topic of this name")
	flags.Int32Var(&f.broker, "broker", -1, "the broker of this id")
	flags.BoolVar(&f.all, "broker-default", false, "what is set for all brokers")
	flags.StringVar(&f.group, "group", "", "the group of this name")
}

func (f *resourceFlags) resource() (resource, error) {
	var named []resource
	if f.topic != "" {
		named = append(named, resource{kmsg.ConfigResourceTypeTopic, f.topic})
	}
	if f.broker >= 0 {
		named = append(named, resource{kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(f.broker))})
	}
	if f.all {
		named = append(named, resource{kind: kmsg.ConfigResourceTypeBroker})
	}
	if f.group != "" {
		named = append(named, resource{kmsg.ConfigResourceTypeGroupConfig, f.group})
	}
	if len(named) != 1 {
		return resource{}, usagef("name one of --topic, --broker, --broker-default and --group")
	}
	return named[0], nil
}

// refused is one sentence about one resource, nil for code 0.
func (r resource) refused(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil {
		return nil
	}
	if message != nil {
		err = refusal(err, *message)
	}
	return fmt.Errorf("%v: %w", r, err)
}
