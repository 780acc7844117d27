// Package minio starts MinIO as a child process of a test.
package minio

import (
	"testing"

	"wadi/integration/s3server"
)

// Start runs an empty MinIO until t ends. See s3server.Start.
func Start(t testing.TB) *s3server.Server {
	t.Helper()
	return s3server.Start(t, s3server.Spec{
		Binary: "minio",
		Command: func(address, dir, access, secret string) (args, env []string) {
			return []string{"server", "--quiet", "--address", address, dir},
				[]string{
					"MINIO_ROOT_USER=" + access, "MINIO_ROOT_PASSWORD=" + secret, "MINIO_BROWSER=off", "MINIO_UPDATE=off",
					"MINIO_CI_CD=on", // data may lie on the root disk
				}
		},
	})
}
