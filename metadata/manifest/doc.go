// Package manifest is the format of the objects that list a partition's old runs. State keeps a partition's newest runs;
// beyond some hundred of them the oldest fold into a manifest, which from then on owns the merged objects that they lie
// in (DESIGN section 5 step 7). So what State holds of a partition is bounded, whatever its retention, and a run costs
// some 12 to 20 bytes in a place that is read on demand.
//
// A manifest is immutable: the next fold writes another one. It holds runs, whose offsets follow each other without a gap,
// the objects that they lie in, in the order of their last offsets (the order in which retention frees them), and the
// aborted transactions whose markers lie in the runs. All three are cut into blocks of at most 4,096 entries. The footer
// says where each block lies and what it covers, so that a reader gets at an offset, or at a time, with the footer and one
// or two blocks.
//
// Version 1. Fixed numbers are big endian; in blocks they are varints (u: unsigned, s: zigzag, as in encoding/binary), a
// column after the other for all of a block's entries. CRC is CRC-32C.
//
//	header, 16 bytes
//	   0  8  magic "WADIMAN\n"
//	   8  2  version, 1
//	  10  2  zero
//	  12  4  CRC of bytes 0-11
//	blocks of runs, then of objects, then of aborted transactions, without gaps; each ends with the CRC (4) of its columns
//	  runs     u  offsets covered, less one; the first run begins at the block's first offset, the next behind it ...
//	           s  index of its object, less that of the run before (0 at first)
//	           s  position in the object, less the end of the run before if that lies in the same object
//	           u  length in bytes
//	           s  max timestamp in ms, less that of the run before (0 at first)
//	  objects  u  session, as an index into the footer's list
//	           s  n, less that of the object before (0 at first); session and n make its name
//	           s  number that it had in State, less that of the object before
//	           u  size in bytes
//	           s  position that introduced it, less that of the object before
//	           s  first offset in it, less the last offset of the object before, less one
//	           u  last offset in it, less the first
//	           u  size, less the bytes of the manifest's runs in it
//	  aborted  s  producer id, less the one before
//	           u  offset of the marker, less the one before (of the first: the block's first offset)
//	           u  offset of the marker, less that of the transaction's first record
//	           s  last stable offset behind the marker, less the offset of the marker
//	footer, 88 + 8 s + 40 b bytes
//	   0 16  topic id
//	  16  4  partition
//	  20  4  s, number of sessions that own objects
//	  24  8  first offset
//	  32  8  last offset
//	  40  8  runs
//	  48  8  bytes of the runs
//	  56  8  largest max timestamp of the runs, ms
//	  64  4  objects
//	  68  4  aborted transactions
//	  72  4  blocks of runs
//	  76  4  blocks of objects
//	  80  4  blocks of aborted transactions
//	  84  4  zero
//	  88  8  per session, rising as unsigned numbers: its id
//	     40  per block, b in all, in the order of their bytes:
//	          0  8  first offset: of runs the first one's base, of objects the first one's last offset, of aborted
//	                transactions the first one's marker
//	          8  8  last offset: likewise of the last entry; of runs its last offset
//	         16  8  of runs the largest max timestamp, else 0
//	         24  8  position in the manifest
//	         32  4  length in bytes, with the CRC
//	         36  4  entries
//	trailer, 24 bytes
//	   0  4  length of the footer
//	   4  2  version, 1
//	   6  2  zero
//	   8  8  size of the whole manifest
//	  16  4  CRC of the footer and of the trailer up to here
//	  20  4  magic "WMAN"
//
// All runs are placed: their batches carry their own offsets. A version changes whenever the meaning of a byte does.
// Readers refuse versions that they do not know.
package manifest
