// Package fold moves the oldest runs of partitions out of State into manifest objects (DESIGN section 5 step 7), so that
// what State holds of a partition is bounded whatever its retention: it has less than 256 runs, of which a fold leaves 128.
//
// A fold takes the longest stretch from a partition's first run on that State lets go: runs in merged objects in which
// nothing else lies. What a flush or an archive holds, or a merged object that is shared with other partitions, ends it
// until a merge has written it anew. The new manifest lists what the one before did, without the objects that are released,
// and the new runs; the one before becomes garbage, and what it owned goes over.
//
// Of compacted topics only what is compacted is folded: what is dirty is read again soon, and its share tells when. A
// compaction that is due takes all of a partition back out of the manifest first (package unfold); nothing is folded while
// one is due.
//
// due and plan are pure. The task carries plans out one after the other: it reads the manifest there is, writes the new one
// and proposes the fold, which State judges again. A crash leaves an object that nothing names, as an orphan of its
// session; a fold that comes too late leaves one that is garbage at once.
package fold
