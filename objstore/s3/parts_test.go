package s3_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"io"
	"testing"

	minioclient "github.com/minio/minio-go/v7"

	"wadi/objstore"
	"wadi/objstore/parts"
)

// What is written in parts is, for another client, one object of the bytes meant, with the checksum over all of them;
// nothing is left of an upload that was aborted; and what the other client has stored in parts is compared.
func TestPartsBehindTheBack(t *testing.T) {
	for _, service := range services {
		t.Run(service.name, func(t *testing.T) {
			server := service.start(t)
			bucket, client := server.NewBucket(t), server.Client(t)
			store, err := objstore.WithPrefix(open(t, server, bucket), "team/wadi")
			if err != nil {
				t.Fatal(err)
			}
			data := bytes.Repeat([]byte("0123456789abcdef"), 800_000) // 12.8 MB
			write := func(key string) *parts.Writer {
				w, err := parts.New(t.Context(), store, key, parts.Config{PartSize: objstore.MinPart})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.Write(data); err != nil {
					t.Fatal(err)
				}
				return w
			}
			if err := write("demo/a.seg").Close(); err != nil {
				t.Fatal(err)
			}
			o, err := client.GetObject(t.Context(), bucket, "team/wadi/demo/a.seg", minioclient.GetObjectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			crc := binary.BigEndian.AppendUint32(nil, objstore.NewBody(data).CRC32C)
			st, err := client.StatObject(t.Context(), bucket, "team/wadi/demo/a.seg", minioclient.StatObjectOptions{Checksum: true})
			if err != nil || st.ChecksumCRC32C != base64.StdEncoding.EncodeToString(crc) {
				t.Fatalf("checksum %q, want that of % x: %v", st.ChecksumCRC32C, crc, err)
			}

			if err := write("demo/b.seg").Abort(); err != nil {
				t.Fatal(err)
			}
			for u := range client.ListIncompleteUploads(t.Context(), bucket, "", true) {
				t.Errorf("left: %+v", u)
			}

			if _, err := client.PutObject(t.Context(), bucket, "team/wadi/demo/c.seg", bytes.NewReader(data), int64(len(data)),
				minioclient.PutObjectOptions{PartSize: 6 << 20, DisableContentSha256: true}); err != nil {
				t.Fatal(err)
			}
			if err := write("demo/c.seg").Close(); err != nil {
				t.Fatalf("same bytes: %v", err)
			}
			data = bytes.Clone(data)
			data[len(data)/2] ^= 1
			if err := write("demo/c.seg").Close(); objstore.Outcome(err) != "exists" {
				t.Fatalf("other bytes: %v", err)
			}
			if left, err := store.Uploads(t.Context(), "", "", 10); err != nil || len(left) != 0 {
				t.Fatalf("left: %+v, %v", left, err)
			}
		})
	}
}
