// Package bench measures Wadi from outside, as a client sees it, and counts what it costs by reading the agent's own
// metrics. Everything here is a Go benchmark (`go tool task bench`): no test depends on a duration. docs/benchmarks.md
// records the figures with the machine they come from.
package bench
