package main

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// refused is what a server says of a request that failed: the name of Kafka's error, and the server's own words in place
// of what the name means in general.
type refused struct {
	kafka *kerr.Error
	words string
}

func (r *refused) Error() string { return r.kafka.Message + ": " + r.words }
func (r *refused) Unwrap() error { return r.kafka }

// refusal puts a server's words, if it has any, to an error.
func refusal(err error, words string) error {
	var known *kerr.Error
	switch {
	case words == "":
		return err
	case errors.As(err, &known):
		return &refused{known, words}
	}
	return fmt.Errorf("%w: %s", err, words)
}
