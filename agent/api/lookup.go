package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"wadi/metadata/state"
)

// topicRef is how a request names a topic: by name, or from some version on by id.
type topicRef struct {
	name string
	id   state.TopicID
	byID bool
}

// find returns the topic, or the error that a client gets once a barrier has made sure that it does not exist.
func (r topicRef) find(s *state.State) (*state.Topic, error) {
	if r.byID {
		if t := s.TopicByID(r.id); t != nil {
			return t, nil
		}
		return nil, errUnknownID
	}
	if t := s.Topic(r.name); t != nil {
		return t, nil
	}
	return nil, ErrUnknownTopic
}

// twice reads the view with look, and once more behind a barrier when look found something missing: a topic that
// another agent has just created must not be called unknown. look gets the error of that barrier, nil before it.
func (a *API) twice(ctx context.Context, look func(s *state.State, barrier error) (missing bool)) {
	missing := false
	a.d.View.Read(func(s *state.State) { missing = look(s, nil) })
	if !missing {
		return
	}
	err := a.barrier(ctx)
	a.d.View.Read(func(s *state.State) { look(s, err) })
}

// validName says why a name cannot be a topic's (Semantics line 11).
func validName(name string) error {
	switch {
	case name == "":
		return refuse(kerr.InvalidTopicException, "Topic name is invalid: the empty string is not allowed")
	case name == "." || name == "..":
		return refuse(kerr.InvalidTopicException, "Topic name is invalid: '%s' is not allowed", name)
	case len(name) > 249:
		return refuse(kerr.InvalidTopicException, "Topic name is invalid: the length of %d is above 249", len(name))
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return refuse(kerr.InvalidTopicException,
				"Topic name is invalid: '%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
		}
	}
	return nil
}

// partitionRef is a partition by its topic's number.
type partitionRef struct {
	topic     uint64
	partition int32
}

// namedPartition is a partition as requests name it, there or not.
type namedPartition struct {
	topic     string
	partition int32
}

// seen finds what comes twice in one request. It needs no memory for the usual few.
type seen[K comparable] struct {
	few  [8]K
	n    int
	many map[K]struct{}
}

// again reports whether k was there before, and adds it.
func (s *seen[K]) again(k K) bool {
	for i := range min(s.n, len(s.few)) {
		if s.few[i] == k {
			return true
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = k
		s.n++
		return false
	}
	if _, ok := s.many[k]; ok {
		return true
	}
	if s.many == nil {
		s.many = make(map[K]struct{})
	}
	s.many[k] = struct{}{}
	return false
}

// either is the barrier's error when there is one: without a barrier nobody may be told that something is unknown.
func either(barrier, unknown error) error {
	if barrier != nil {
		return fmt.Errorf("cannot tell whether it exists: %w", barrier)
	}
	return unknown
}
