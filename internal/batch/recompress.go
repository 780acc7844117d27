package batch

// Recompress appends b to dst with its records encoded by codec to, every other field as it was. It is what
// compression.type of a topic asks for. The result can be larger than b, by as much as the records compress. Records
// of more than DefaultMaxUncompressed bytes are ErrTooLarge. On error dst comes back as it was.
func Recompress(b Batch, to Codec, dst []byte) ([]byte, error) {
	if b.Codec() == to {
		return append(dst, b...), nil
	}
	at := len(dst)
	out := append(dst, b[:HeaderSize]...)
	err := withRecords(b, DefaultMaxUncompressed, func(records []byte) error {
		var err error
		out, err = compress(to, out, records)
		return err
	})
	if err != nil {
		return dst, err
	}
	out[at+22] = out[at+22]&^attrCodec | byte(to)
	if err := seal(out[at:]); err != nil {
		return dst, err
	}
	return out, nil
}
