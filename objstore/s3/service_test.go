package s3_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	minioclient "github.com/minio/minio-go/v7"

	"wadi/integration/minio"
	"wadi/integration/s3server"
	"wadi/integration/versitygw"
	"wadi/objstore"
	"wadi/objstore/conformance"
	"wadi/objstore/s3"
	"wadi/objstore/steady"
)

var services = []struct {
	name   string
	start  func(testing.TB) *s3server.Server
	beyond []string // tests of the contract that it does not pass
}{
	{"minio", minio.Start, nil},
	// It looks for an object and then moves the upload's there: two that meet may both be told that they won.
	{"versitygw", versitygw.Start, []string{"UploadRaceOther"}},
}

func open(t testing.TB, server *s3server.Server, bucket string) *steady.Store {
	t.Helper()
	s, err := s3.New(t.Context(), s3.Config{
		Bucket:      bucket,
		Endpoint:    server.Endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return steady.New(s, steady.ForS3())
}

func TestConformance(t *testing.T) {
	for _, service := range services {
		t.Run(service.name, func(t *testing.T) {
			server := service.start(t)
			conformance.Run(t, func(t testing.TB) objstore.Store { return open(t, server, server.NewBucket(t)) },
				service.beyond...)
		})
	}
}

func TestConformancePrefixed(t *testing.T) {
	for _, service := range services {
		t.Run(service.name, func(t *testing.T) {
			server := service.start(t)
			conformance.Run(t, func(t testing.TB) objstore.Store {
				s, err := objstore.WithPrefix(open(t, server, server.NewBucket(t)), "some/prefix")
				if err != nil {
					t.Fatal(err)
				}
				return s
			}, service.beyond...)
		})
	}
}

// Another client sees the keys, the bytes and the checksum that were meant, and what it stores is seen and compared.
func TestBehindTheBack(t *testing.T) {
	for _, service := range services {
		t.Run(service.name, func(t *testing.T) {
			server := service.start(t)
			bucket, client := server.NewBucket(t), server.Client(t)
			store, err := objstore.WithPrefix(open(t, server, bucket), "team/wadi")
			if err != nil {
				t.Fatal(err)
			}
			data := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
			body := objstore.NewBody(data[:7], data[7:1_000_000], data[1_000_000:])
			if err := store.Put(t.Context(), "demo/a.seg", body); err != nil {
				t.Fatal(err)
			}
			o, err := client.GetObject(t.Context(), bucket, "team/wadi/demo/a.seg", minioclient.GetObjectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			st, err := client.StatObject(t.Context(), bucket, "team/wadi/demo/a.seg", minioclient.StatObjectOptions{Checksum: true})
			if err != nil || st.ChecksumCRC32C == "" {
				t.Fatalf("checksum %q, %v", st.ChecksumCRC32C, err)
			}

			// Stored by the other client, without our checksum: compared byte by byte.
			if _, err := client.PutObject(t.Context(), bucket, "team/wadi/demo/b.seg", bytes.NewReader(data), int64(len(data)),
				minioclient.PutObjectOptions{DisableContentSha256: true}); err != nil {
				t.Fatal(err)
			}
			if err := store.Put(t.Context(), "demo/b.seg", body); err != nil {
				t.Fatalf("same bytes: %v", err)
			}
			other := bytes.Clone(data)
			other[len(other)/2] ^= 1
			if err := store.Put(t.Context(), "demo/b.seg", objstore.NewBody(other)); objstore.Outcome(err) != "exists" {
				t.Fatalf("other bytes: %v", err)
			}

			// Keys that are not Wadi's are not listed, and do not end the list.
			for _, k := range []string{"team/wadi/demo/a+b", "team/wadi/demo/ü", "team/wadi2/x"} {
				if _, err := client.PutObject(t.Context(), bucket, k, bytes.NewReader(nil), 0, minioclient.PutObjectOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			infos, err := store.List(t.Context(), "demo/", "", 2)
			if err != nil || len(infos) != 2 || infos[0].Key != "demo/a.seg" || infos[1].Key != "demo/b.seg" {
				t.Fatalf("%v, %v", infos, err)
			}
			if err := store.Delete(t.Context(), []string{"demo/a.seg"}); err != nil {
				t.Fatal(err)
			}
			if _, err := client.StatObject(t.Context(), bucket, "team/wadi/demo/a.seg", minioclient.StatObjectOptions{}); err == nil {
				t.Fatal("deleted object is still there")
			}
		})
	}
}

func BenchmarkStore(b *testing.B) {
	for _, service := range services {
		b.Run(service.name, func(b *testing.B) {
			server := service.start(b)
			conformance.Benchmark(b, func(t testing.TB) objstore.Store { return open(t, server, server.NewBucket(t)) })
		})
	}
}
