package topicconfig

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrInvalid is wrapped by everything that Check refuses.
var ErrInvalid = errors.New("invalid topic config")

// maxValue bounds a value: configs live in the journal and in every agent's memory.
const maxValue = 4096

// Check parses a value as Kafka would and returns it in the form in which it is stored.
func Check(name, value string) (string, error) {
	k, ok := Lookup(name)
	if !ok {
		return "", fmt.Errorf("%w: unknown topic config name: %s", ErrInvalid, name)
	}
	v := strings.TrimSpace(value)
	bad := func(why string) (string, error) {
		return "", fmt.Errorf("%w: invalid value %q for configuration %s: %s", ErrInvalid, value, name, why)
	}
	if len(v) > maxValue {
		return "", fmt.Errorf("%w: value of %d bytes for configuration %s: at most %d are kept", ErrInvalid, len(v), name, maxValue)
	}
	switch k.Kind {
	case Boolean:
		v = strings.ToLower(v)
		if v != "true" && v != "false" {
			return bad("must be true or false")
		}
	case Int, Long:
		bits := 32
		if k.Kind == Long {
			bits = 64
		}
		n, err := strconv.ParseInt(v, 10, bits)
		if err != nil {
			return bad("not a number of the configuration's type")
		}
		if n < k.Min {
			return bad(fmt.Sprintf("must be at least %d", k.Min))
		}
		if k.Max != 0 && n > k.Max {
			return bad(fmt.Sprintf("must be at most %d", k.Max))
		}
	case Double:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || !(f >= float64(k.Min) && f <= float64(k.Max)) {
			return bad(fmt.Sprintf("must be a number from %d to %d", k.Min, k.Max))
		}
	case String:
		if !slices.Contains(k.Values, v) {
			return bad("must be one of " + strings.Join(k.Values, ", "))
		}
	case List:
		return checkList(k, v, bad)
	}
	return v, nil
}

func checkList(k *Key, v string, bad func(string) (string, error)) (string, error) {
	var out []string
	for _, e := range strings.Split(v, ",") {
		e = strings.TrimSpace(e)
		switch {
		case e == "" && k.Values == nil:
			continue
		case k.Values != nil && !slices.Contains(k.Values, e):
			return bad("elements must be of " + strings.Join(k.Values, ", "))
		case slices.Contains(out, e):
			return bad("an element comes twice")
		}
		out = append(out, e)
	}
	return strings.Join(out, ","), nil
}
