// Package merge writes runs of partitions together into larger objects (DESIGN section 5, step 7). Flushes hold a little
// of many partitions; a merged object holds the same bytes sorted by partition and offset, so that an old read is one or
// two ranged reads and State keeps few runs.
//
// # What is merged
//
// Make looks at a snapshot of State and returns what to merge next; it is pure. Of a partition it leaves alone what is
// final: runs in an object in which nothing else lies and of which there are at least 16 MiB, as they fold into a
// manifest and leave State. What follows the last final run is its tail, up to the last stable offset and to the first
// run whose bytes no archive holds yet nor this process. In a tail
//
//   - runs in flushes and archives are merged when 512 of those objects or 512 MiB have come together, or 96 runs of one
//     partition: all that there are, the oldest first, all partitions at once, each record once. When four flushes have
//     been left lying for three turns they go as well: each is a read for whoever reads from the start;
//   - runs that were merged are merged again when there are too many of them: 48 side by side that are shorter than 64
//     KiB, 96 shorter than 4 MiB, 144 of any length, so that a record climbs each tier once; or when a dozen or more of them
//     come to 32 MiB, which becomes final;
//   - runs in an object most of which nobody needs any more are written anew, so that it can go; also those that a
//     compaction by key wrote, which else are left to it.
//
// A stretch of at least 32 MiB of one partition becomes an object of its own, together with whatever lies in front of
// it in the tail, and what lies behind something that cannot fold is not final: so nothing of the kind stays in front for
// good. Smaller stretches share objects.
//
// So, once there is nothing to do, a partition has fewer than 3 x 48 + 96 = 240 runs behind the final ones, whatever the
// load was; and as a dozen of a partition to which much is written are final soon, mostly far fewer. Those written since,
// those of open transactions and those in the journal (30 s) come on top; final ones fold.
//
// # How
//
// Each output is read through package runs, each byte once, checked, and streamed into the store with its offsets and its
// markers written out. Then one ReplaceRuns puts it in the place of its inputs; State judges each partition again, so an
// output that is late, or was made twice, costs work and nothing else. What cannot be read stays where it is: the range
// is left out, told of, and not tried again by this process.
package merge
