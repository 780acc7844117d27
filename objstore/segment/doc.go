// Package segment is the format of the objects that hold records: whole Kafka batches grouped by partition, and a
// footer that says where each partition's bytes lie. Agents write flush segments, of many partitions and without
// offsets (offsets are assigned when the journal is applied, after the upload); the compactor writes merged ones, with
// them. A segment describes itself: topics by id, the cluster it belongs to, a checksum over every byte.
//
// Version 1, all integers big endian, CRC is CRC-32C:
//
//	header, 16 bytes
//	   0  8  magic "WADISEG\n"
//	   8  2  version, 1
//	  10  1  kind, 1 flush, 2 merged
//	  11  1  zero
//	  12  4  CRC of bytes 0-11
//	sections, one behind the other without gaps: the concatenated batches of one partition each
//	footer, 16 + c + 64 n bytes
//	   0  8  creation, ms since 1970
//	   8  1  kind
//	   9  1  zero
//	  10  2  c, length of the cluster id
//	  12  4  n, number of sections
//	  16  c  cluster id
//	     64  per section, in the order of their bytes:
//	         0 16  topic id
//	        16  4  partition
//	        20  4  CRC of the section's bytes
//	        24  8  base offset, -1 in flush segments
//	        32  8  position of the section in the object
//	        40  8  length of the section in bytes
//	        48  4  number of batches
//	        52  4  number of records
//	        56  8  largest max timestamp of the batches, ms
//	trailer, 24 bytes
//	   0  4  length of the footer
//	   4  2  version, 1
//	   6  2  zero
//	   8  8  size of the whole object
//	  16  4  CRC of the footer and of the trailer up to here
//	  20  4  magic "WSEG"
//
// A reader that knows the size gets the footer with one ranged read of the tail most times. The bytes of the batches
// are as ingest took them: base offsets in flush segments mean nothing, the reader patches them.
//
// A version changes whenever the meaning of a byte does. Readers refuse versions they do not know.
package segment
