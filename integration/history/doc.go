// Package history records what clients of a cluster attempted, what was acknowledged to them and what they read, and
// judges it afterwards by the invariants of docs/invariants.md: I1 to I4, I8, I10 and I11. It knows no client library
// and no broker; tests of every kind feed it.
//
// Attempts, acknowledgements and reads are three facts. An attempt that failed, or was never answered, may appear in
// the log or not; what was refused for good must not. Every value must be unique over the whole history: values are how
// reads find their attempts.
package history
