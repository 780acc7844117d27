package config

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Print writes the settings as a YAML file that Load reads back to the same values, each with its source as comment.
func (l *Loaded) Print(w io.Writer) error {
	lines := make([]string, len(l.Settings))
	width := 0
	for i, s := range l.Settings {
		lines[i] = s.Key + ": " + yamlValue(s)
		// A long value must not push all comments out of sight.
		if n := len(lines[i]); n > width && n <= 60 {
			width = n
		}
	}
	for i, s := range l.Settings {
		if _, err := fmt.Fprintf(w, "%-*s  # %s\n", width, lines[i], s.Source); err != nil {
			return err
		}
	}
	return nil
}

func yamlValue(s Setting) string {
	for _, k := range Keys() {
		switch {
		case k.Name != s.Key:
		case k.list:
			items := value{text: s.Value}.items()
			for i := range items {
				items[i] = quote(items[i])
			}
			return "[" + strings.Join(items, ", ") + "]"
		case k.text:
			return quote(s.Value)
		}
	}
	return s.Value // numbers, sizes, durations, booleans
}

// plainText starts with a letter, or is an address, and holds nothing that YAML gives a meaning to.
var plainText = regexp.MustCompile(`^([A-Za-z]|[0-9]+\.[0-9.]+:[0-9])[A-Za-z0-9/._?=&%:-]*[A-Za-z0-9/]$|^[A-Za-z]$`)

// quote puts a text into double quotes, whose escapes YAML shares with Go, unless YAML reads it plain as the same text.
func quote(s string) string {
	switch strings.ToLower(s) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(s)
	}
	if plainText.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}
