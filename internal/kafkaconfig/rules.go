package kafkaconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// value is a parsed value: the field of its kind is set, and text always.
type value struct {
	text   string
	number int64   // Int, Short, Long
	float  float64 // Double
	list   []string
}

// rule says what is wrong with a value, "" when nothing is.
type rule func(value) string

func atLeast(least int64) rule {
	return func(v value) string {
		if v.number < least {
			return fmt.Sprintf("Value must be at least %d", least)
		}
		return ""
	}
}

func between(least, most int64) rule {
	return func(v value) string {
		switch {
		case v.number < least:
			return fmt.Sprintf("Value must be at least %d", least)
		case v.number > most:
			return fmt.Sprintf("Value must be no more than %d", most)
		}
		return ""
	}
}

// notZero is a time of at least 1, or any negative number for none.
func notZero(v value) string {
	if v.number == 0 {
		return "Value must be at least 1, or -1 for no bound"
	}
	return ""
}

// mustBeFalse is for what cannot be turned on.
func mustBeFalse(v value) string {
	if v.text != "false" {
		return "It cannot be turned on: all records are in the object store"
	}
	return ""
}

// ratio is a number from 0 to 1.
func ratio(v value) string {
	switch {
	case v.float < 0:
		return "Value must be at least 0"
	case v.float > 1:
		return "Value must be no more than 1"
	}
	return ""
}

// gzipLevel is a level, or -1 for the codec's own default.
func gzipLevel(v value) string {
	if v.number != -1 && (v.number < 1 || v.number > 9) {
		return "Value must be between 1 and 9 or equal to -1"
	}
	return ""
}

// oneOf allows certain values, of a list certain elements.
func oneOf(allowed ...string) rule {
	return func(v value) string {
		for _, e := range v.list {
			if !slices.Contains(allowed, e) {
				return "String must be one of: " + strings.Join(allowed, ", ")
			}
		}
		if v.list == nil && !slices.Contains(allowed, v.text) {
			return "String must be one of: " + strings.Join(allowed, ", ")
		}
		return ""
	}
}

// anyCase is oneOf without regard to case.
func anyCase(allowed ...string) rule {
	exact := oneOf(allowed...)
	return func(v value) string {
		v.text = strings.ToUpper(v.text)
		return exact(v)
	}
}

// throttled is "*" or a list of partition:broker.
func throttled(v value) string {
	if v.text == "*" {
		return ""
	}
	for _, e := range v.list {
		if !pair.MatchString(e) {
			return "It must be * or a list of [partitionId]:[brokerId]"
		}
	}
	return ""
}

var pair = regexp.MustCompile(`^[0-9]+:[0-9]+$`)

// offsetReset is where a share group starts: latest, earliest, or a time before now as in ISO 8601.
func offsetReset(v value) string {
	if v.text == "latest" || v.text == "earliest" {
		return ""
	}
	if d, ok := strings.CutPrefix(v.text, "by_duration:"); ok && duration.MatchString(d) && d[len(d)-1] != 'T' && d != "P" {
		return ""
	}
	return "It must be latest, earliest or by_duration: with a duration such as PT1H"
}

var duration = regexp.MustCompile(`(?i)^P(\d+D)?(T(\d+H)?(\d+M)?(\d+(\.\d{1,9})?S)?)?$`)

// clientMatch is a list of selector=pattern for client metrics.
func clientMatch(v value) string {
	for _, e := range v.list {
		name, pattern, ok := strings.Cut(e, "=")
		if !ok || pattern == "" || !slices.Contains(clientSelectors, name) {
			return fmt.Sprintf("%q is no selector=pattern of %s", e, strings.Join(clientSelectors, ", "))
		}
		if _, err := regexp.Compile(pattern); err != nil {
			return fmt.Sprintf("%q is no pattern", pattern)
		}
	}
	return ""
}

var clientSelectors = []string{"client_instance_id", "client_id", "client_software_name", "client_software_version",
	"client_source_address", "client_source_port"}
