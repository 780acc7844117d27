package kafkaconfig

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Errors of Check and of the checks of whole resources.
var (
	// ErrUnknown: there is no config of that name.
	ErrUnknown = errors.New("unknown config name")
	// ErrInvalid: the value is not one of the config's, or does not go with the others.
	ErrInvalid = errors.New("invalid config value")
)

// refused is an error in the words that administrators know from Kafka's tools.
type refused struct {
	kind  error
	words string
}

func (r *refused) Error() string { return r.words }
func (r *refused) Unwrap() error { return r.kind }

func invalid(format string, args ...any) error {
	return &refused{ErrInvalid, fmt.Sprintf(format, args...)}
}

// maxValue bounds a value: configs live in the journal and in every agent's memory.
const maxValue = 4096

// Check parses a value as Kafka would and returns it in the form in which it is stored and shown.
func (c *Catalogue) Check(name, text string) (string, error) {
	k, ok := c.Lookup(name)
	if !ok {
		return "", &refused{ErrUnknown, fmt.Sprintf("Unknown %s: %s", c.what, name)}
	}
	if len(text) > maxValue {
		return "", invalid("Value of %d bytes for configuration %s: at most %d are kept", len(text), name, maxValue)
	}
	v, why := k.parse(strings.TrimSpace(text))
	if why == "" && k.rule != nil {
		why = k.rule(v)
	}
	if why != "" {
		return "", invalid("Invalid value %s for configuration %s: %s", text, name, why)
	}
	return v.text, nil
}

// parse brings a value into its stored form, or says why it is none of the kind.
func (k *Key) parse(text string) (v value, why string) {
	v.text = text
	var err error
	switch k.Kind {
	case Boolean:
		if v.text = strings.ToLower(text); v.text != "true" && v.text != "false" {
			return v, "Expected value to be either true or false"
		}
	case Short, Int, Long:
		bits := map[Kind]int{Short: 16, Int: 32, Long: 64}[k.Kind]
		if v.number, err = strconv.ParseInt(text, 10, bits); err != nil {
			return v, "Not a number of type " + k.Kind.String()
		}
		v.text = strconv.FormatInt(v.number, 10)
	case Double:
		if v.float, err = strconv.ParseFloat(text, 64); err != nil || math.IsInf(v.float, 0) || math.IsNaN(v.float) {
			return v, "Not a number of type DOUBLE"
		}
		v.text = javaDouble(v.float)
	case List:
		return k.parseList(text)
	}
	return v, ""
}

// parseList drops what comes twice, and empty elements except in a cleanup policy, where they are errors.
func (k *Key) parseList(text string) (v value, why string) {
	v.list = []string{}
	if text == "" {
		return v, ""
	}
	for _, e := range strings.Split(text, ",") {
		e = strings.TrimSpace(e)
		switch {
		case e == "" && strings.HasSuffix(k.Name, CleanupPolicy):
			return v, "values must not be empty"
		case e == "":
		case slices.Contains(v.list, e):
		default:
			v.list = append(v.list, e)
		}
	}
	v.text = strings.Join(v.list, ",")
	return v, ""
}

// javaDouble writes a number as Kafka shows it: with a decimal, and an exponent outside of 0.001 to ten million.
func javaDouble(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-3 || a >= 1e7) {
		s := strconv.FormatFloat(f, 'E', -1, 64)
		mantissa, exponent, _ := strings.Cut(s, "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		n, err := strconv.Atoi(exponent)
		if err != nil {
			return s
		}
		return mantissa + "E" + strconv.Itoa(n)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// Elements are those of a list's value.
func Elements(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ","), func(e string) bool { return e == "" })
}

// CheckTopic checks that a topic's configs go with each other; value gives what is in force, each checked alone.
func CheckTopic(value func(name string) string) error {
	least, most := number(value(MinCompactionLagMs)), number(value(MaxCompactionLagMs))
	if least > most {
		return invalid("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", least, most)
	}
	return nil
}

// CheckGroup checks that a group's configs lie within the bounds of the brokers; own is what the group sets, broker what
// is in force of a broker config.
func CheckGroup(own Lookup, broker func(name string) string) error {
	for i := range Groups.Keys {
		name := Groups.Keys[i].Name
		v, set := own(name)
		if !set {
			continue
		}
		bounds := groupBounds[name]
		if b := bounds[0]; b != "" && number(v) < number(broker(b)) {
			return invalid("%s must be greater than or equal to %s", name, b)
		}
		if b := bounds[1]; b != "" && number(v) > number(broker(b)) {
			return invalid("%s must be less than or equal to %s", name, b)
		}
	}
	return nil
}

// number reads a value that was checked.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// ratioOf reads a number with a fraction that was checked.
func ratioOf(text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return f
}
