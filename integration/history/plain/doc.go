// Package plain records loads without transactions: what producers attempted, what was acknowledged to them, and what
// consumers by assignment read. The facts are those of package history, the judge is package judge; what it adds is that
// offsets leave no gaps where no transaction has ended.
//
// Attempts, acknowledgements and reads are three facts. An attempt that failed, or was never answered, may appear in
// the log or not; what was refused for good must not. Every value must be unique over the whole history.
package plain
