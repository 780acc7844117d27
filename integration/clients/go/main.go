// Command clients runs the Kafka clients sarama and segmentio/kafka-go for the client tests, which build it, feed it
// records on stdin and read JSON lines from it. It is a module of its own: Wadi itself requires neither library.
//
//	clients sarama|kafka-go write SERVERS TOPIC CODEC < RECORDS
//	clients sarama|kafka-go read SERVERS TOPIC...
//	clients sarama|kafka-go admin SERVERS TOPIC OTHER MILLISECONDS
//	clients sarama|kafka-go|franz member SERVERS GROUP TOPIC
//
// With the variable SARAMA_VERSION (a Kafka version such as 3.6.0) sarama speaks what a broker of that version knows, and
// with ISOLATION=read_committed it reads nothing else.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"wadi/integration/clients/go/franz"
	"wadi/integration/clients/go/kafkago"
	"wadi/integration/clients/go/record"
	"wadi/integration/clients/go/saramaclient"
)

type command func(ctx context.Context, out *record.Printer, servers string, args []string) error

var commands = map[string]map[string]command{
	"franz":    {"member": franz.Member},
	"sarama":   {"write": saramaclient.Write, "read": saramaclient.Read, "admin": saramaclient.Admin, "member": saramaclient.Member},
	"kafka-go": {"write": kafkago.Write, "read": kafkago.Read, "admin": kafkago.Admin, "member": kafkago.Member},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 4 || commands[args[0]][args[1]] == nil {
		return fmt.Errorf("usage: clients sarama|kafka-go COMMAND SERVERS TOPIC [ARGUMENTS]")
	}
	return commands[args[0]][args[1]](ctx, record.NewPrinter(os.Stdout), args[2], args[3:])
}
