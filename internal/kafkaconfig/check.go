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

// maxValue bounds a value: configs live in the journal and in every agent's memory.
const maxValue = 4096

// Check parses a value as Kafka would and returns it in the form in which it is stored and shown.
func (c *Catalogue) Check(name, text string) (string, error) {
	k, ok := c.Lookup(name)
	if !ok {
		return "", fmt.Errorf("%w: there is no %s config %q", ErrUnknown, c.what, name)
	}
	bad := func(why string) (string, error) {
		return "", fmt.Errorf("%w: %s: %q %s", ErrInvalid, name, text, why)
	}
	if len(text) > maxValue {
		return "", fmt.Errorf("%w: %s: %d bytes, at most %d are kept", ErrInvalid, name, len(text), maxValue)
	}
	v, why := k.parse(strings.TrimSpace(text))
	if why == "" && k.rule != nil {
		why = k.rule(v)
	}
	if why != "" {
		return bad(why)
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
			return v, "is neither true nor false"
		}
	case Short, Int, Long:
		bits := map[Kind]int{Short: 16, Int: 32, Long: 64}[k.Kind]
		if v.number, err = strconv.ParseInt(text, 10, bits); err != nil {
			return v, fmt.Sprintf("is no whole number of %d bits", bits)
		}
		v.text = strconv.FormatInt(v.number, 10)
	case Double:
		if v.float, err = strconv.ParseFloat(text, 64); err != nil || math.IsInf(v.float, 0) || math.IsNaN(v.float) {
			return v, "is no number"
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
			return v, "has an empty element"
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
	least, most := number(value("min.compaction.lag.ms")), number(value("max.compaction.lag.ms"))
	if least > most {
		return fmt.Errorf("%w: min.compaction.lag.ms of %d is above max.compaction.lag.ms of %d", ErrInvalid, least, most)
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
			return fmt.Errorf("%w: %s of %s is below %s of %s", ErrInvalid, name, v, b, broker(b))
		}
		if b := bounds[1]; b != "" && number(v) > number(broker(b)) {
			return fmt.Errorf("%w: %s of %s is above %s of %s", ErrInvalid, name, v, b, broker(b))
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
