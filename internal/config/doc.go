// Package config is an agent's configuration: typed, with defaults, bounded, and read from flags, the environment, a
// YAML file and defaults, in that order of precedence. Load reports every problem of every source at once, each as one
// sentence that names key, value and source, and remembers which source gave each value.
//
// The table in keys.go is the one place that knows a key's name, default, bounds and meaning; docs/configuration.md is
// compared with it by a test.
package config
