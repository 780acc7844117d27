// Package merge decides which runs of partitions are written together into larger objects, and how (DESIGN section 5,
// step 7). Flushes hold a little of many partitions; a merged object holds the same bytes sorted by partition and
// offset, so that an old read is one or two ranged reads and State keeps few runs.
//
// Plan is pure: it looks at a snapshot of State and returns what to merge. Whoever carries a plan out reads every input
// once, from front to back, writes the outputs, and proposes a ReplaceRuns for each; State judges each partition again,
// so a plan that is late, or made twice, costs work and nothing else.
package merge
