package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// value is a key's raw value from one source: text, or a list of texts where the source knows lists.
type value struct {
	text string
	list []string
	many bool   // list is meant, text is its comma-separated form
	kind string // "" for text, else what the source took it for: "number", "boolean"
}

func (v value) items() []string {
	if v.many {
		return v.list
	}
	if strings.TrimSpace(v.text) == "" {
		return nil
	}
	parts := strings.Split(v.text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

var errOneValue = errors.New("takes one value, not a list")

func scalar(set func(c *Config, s string) error) func(*Config, value) error {
	return func(c *Config, v value) error {
		if v.many {
			return errOneValue
		}
		return set(c, v.text)
	}
}

func stringKey(name, def, allowed, doc string, at func(*Config) *string, check func(string) error) Key {
	return Key{Name: name, Default: def, Allowed: allowed, Doc: doc, text: true,
		set: func(c *Config, v value) error {
			switch {
			case v.many:
				return errOneValue
			case v.kind != "":
				return fmt.Errorf("is read as a %s, which may change its spelling; put it in quotes", v.kind)
			}
			if err := check(v.text); err != nil {
				return err
			}
			*at(c) = v.text
			return nil
		},
		show: func(c *Config) string { return *at(c) },
	}
}

func sizeKey(name string, def, low, high Size, doc string, at func(*Config) *Size) Key {
	return Key{Name: name, Default: def.String(), Allowed: fmt.Sprintf("%v to %v", low, high), Doc: doc,
		set: scalar(func(c *Config, s string) error {
			n, err := ParseSize(s)
			if err != nil {
				return err
			}
			if n < low || n > high {
				return fmt.Errorf("must lie between %v and %v", low, high)
			}
			*at(c) = n
			return nil
		}),
		show: func(c *Config) string { return at(c).String() },
	}
}

func durationKey(name string, def, low, high, unit time.Duration, doc string, at func(*Config) *time.Duration) Key {
	return Key{Name: name, Default: showDuration(def), Allowed: showDuration(low) + " to " + showDuration(high), Doc: doc,
		set: scalar(func(c *Config, s string) error {
			d, err := time.ParseDuration(s)
			if err != nil {
				return fmt.Errorf("%q is not a duration such as 250ms or 5s", s)
			}
			if d < low || d > high {
				return fmt.Errorf("must lie between %s and %s", showDuration(low), showDuration(high))
			}
			if d%unit != 0 {
				return fmt.Errorf("must be a multiple of %v", unit)
			}
			*at(c) = d
			return nil
		}),
		show: func(c *Config) string { return showDuration(*at(c)) },
	}
}

// showDuration prints 1m where time.Duration prints 1m0s, and 24h for 24h0m0s.
func showDuration(d time.Duration) string {
	s := d.String()
	if d%time.Minute == 0 && d > 0 {
		s = strings.TrimSuffix(s, "0s")
	}
	if d%time.Hour == 0 && d > 0 {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func intKey(name string, def, low, high int, doc string, at func(*Config) *int) Key {
	return Key{Name: name, Default: strconv.Itoa(def), Allowed: fmt.Sprintf("%d to %d", low, high), Doc: doc,
		set: scalar(func(c *Config, s string) error {
			n, err := strconv.Atoi(s)
			if err != nil {
				return fmt.Errorf("%q is not a whole number", s)
			}
			if n < low || n > high {
				return fmt.Errorf("must lie between %d and %d", low, high)
			}
			*at(c) = n
			return nil
		}),
		show: func(c *Config) string { return strconv.Itoa(*at(c)) },
	}
}

func boolKey(name string, def bool, doc string, at func(*Config) *bool) Key {
	return Key{Name: name, Default: strconv.FormatBool(def), Allowed: "true or false", Doc: doc,
		set: scalar(func(c *Config, s string) error {
			switch s {
			case "true":
				*at(c) = true
			case "false":
				*at(c) = false
			default:
				return fmt.Errorf("%q is neither true nor false", s)
			}
			return nil
		}),
		show: func(c *Config) string { return strconv.FormatBool(*at(c)) },
	}
}

func stringsKey(name, def, allowed, doc string, at func(*Config) *[]string, check func(string) error) Key {
	return Key{Name: name, Default: def, Allowed: allowed, Doc: doc, list: true,
		set: func(c *Config, v value) error {
			items := v.items()
			if err := checkItems(items, check); err != nil {
				return err
			}
			*at(c) = items
			return nil
		},
		show: func(c *Config) string { return strings.Join(*at(c), ",") },
	}
}

func listenersKey(name, def, allowed, doc string, at func(*Config) *[]Listener) Key {
	return Key{Name: name, Default: def, Allowed: allowed, Doc: doc, list: true,
		set: func(c *Config, v value) error {
			items := v.items()
			out := make([]Listener, 0, len(items))
			err := checkItems(items, func(s string) error {
				l, err := ParseListener(s)
				out = append(out, l)
				return err
			})
			if err != nil {
				return err
			}
			*at(c) = out
			return nil
		},
		show: func(c *Config) string { return joinListeners(*at(c)) },
	}
}

func rolesKey() Key {
	return Key{Name: "roles", Default: "broker,compactor", Allowed: "list of broker, compactor", list: true,
		Doc: "The jobs that this agent takes.",
		set: func(c *Config, v value) error {
			items := v.items()
			roles := make([]Role, 0, len(items))
			err := checkItems(items, func(s string) error {
				roles = append(roles, Role(s))
				if r := Role(s); r != Broker && r != Compactor {
					return fmt.Errorf("%q is not a role; there are broker and compactor", s)
				}
				return nil
			})
			if err != nil {
				return err
			}
			if len(roles) == 0 {
				return errors.New("needs at least one role")
			}
			c.Roles = roles
			return nil
		},
		show: func(c *Config) string {
			names := make([]string, len(c.Roles))
			for i, r := range c.Roles {
				names[i] = string(r)
			}
			return strings.Join(names, ",")
		},
	}
}

// checkItems checks each item of a list and that none is given twice.
func checkItems(items []string, check func(string) error) error {
	seen := make(map[string]bool, len(items))
	for _, item := range items {
		if err := check(item); err != nil {
			return err
		}
		if seen[item] {
			return fmt.Errorf("%q is given twice", item)
		}
		seen[item] = true
	}
	return nil
}

func joinListeners(ls []Listener) string {
	names := make([]string, len(ls))
	for i, l := range ls {
		names[i] = l.String()
	}
	return strings.Join(names, ",")
}
