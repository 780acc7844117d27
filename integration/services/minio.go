package services

import (
	"context"
	"fmt"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// MinIO is a running MinIO. Its client is independent of Wadi's own: it looks behind Wadi's back.
type MinIO struct {
	*Process
	Address              string // 127.0.0.1:port
	AccessKey, SecretKey string
	Client               *minio.Client
}

// StartMinIO starts an empty MinIO on a port of its own, with its data in a folder that ends with the test.
func StartMinIO(t testing.TB) *MinIO {
	t.Helper()
	path, err := Tool("minio")
	Need(t, err)
	m := &MinIO{Address: fmt.Sprintf("127.0.0.1:%d", FreePort(t)), AccessKey: "wadi-test", SecretKey: "wadi-test-secret"}
	m.Process = Start(t, Spec{
		Name: "minio", Path: path, Ready: "API: ",
		Args: []string{"server", "--address", m.Address, "--console-address", fmt.Sprintf("127.0.0.1:%d", FreePort(t)), t.TempDir()},
		Env: []string{"MINIO_ROOT_USER=" + m.AccessKey, "MINIO_ROOT_PASSWORD=" + m.SecretKey, "MINIO_BROWSER=off",
			"MINIO_UPDATE=off"},
	})
	m.Client, err = minio.New(m.Address, &minio.Options{Creds: credentials.NewStaticV4(m.AccessKey, m.SecretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// CreateBucket makes an empty bucket.
func (m *MinIO) CreateBucket(t testing.TB, bucket string) {
	t.Helper()
	if err := m.Client.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatalf("make bucket %s: %v", bucket, err)
	}
}

// Keys lists a bucket.
func (m *MinIO) Keys(ctx context.Context, bucket string) ([]string, error) {
	var keys []string
	for object := range m.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return nil, fmt.Errorf("list %s: %w", bucket, object.Err)
		}
		keys = append(keys, object.Key)
	}
	return keys, nil
}

// StoreURL is what an agent's `store` setting says for a bucket of this MinIO.
func (m *MinIO) StoreURL(bucketAndPrefix string) string {
	return fmt.Sprintf("s3://%s?endpoint=http://%s&region=us-east-1", bucketAndPrefix, m.Address)
}

// Env holds the credentials as the AWS SDK looks for them.
func (m *MinIO) Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + m.AccessKey, "AWS_SECRET_ACCESS_KEY=" + m.SecretKey, "AWS_REGION=us-east-1"}
}
