package objstore

import "hash/crc32"

// crcPowers[k] is x^(2^k) modulo the Castagnoli polynomial, in the bit-reversed form of CRC-32C. Enough of them to
// shift by any 63-bit number of bytes.
var crcPowers = func() (t [67]uint32) {
	t[0] = 1 << 30
	for k := 1; k < len(t); k++ {
		t[k] = crcMultiply(t[k-1], t[k-1])
	}
	return t
}()

// crcMultiply multiplies two polynomials modulo the Castagnoli polynomial.
func crcMultiply(a, b uint32) uint32 {
	var p uint32
	for m := uint32(1) << 31; m != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
		}
		b = b>>1 ^ crc32.Castagnoli&-(b&1)
	}
	return p
}

// CombineCRC is the CRC-32C of A followed by B, from those of A and B and the length of B in bytes, at least 0. It lets
// one pass over the bytes serve the checksum of a part and the object's.
func CombineCRC(a, b uint32, lengthB int64) uint32 {
	for k := 3; lengthB > 0; k++ {
		if lengthB&1 != 0 {
			a = crcMultiply(crcPowers[k], a)
		}
		lengthB >>= 1
	}
	return a ^ b
}
