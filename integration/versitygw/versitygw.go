// Package versitygw starts the Versity S3 gateway, over a directory, as a child process of a test.
package versitygw

import (
	"os"
	"path/filepath"
	"testing"

	"wadi/integration/s3server"
)

// Start runs an empty gateway until t ends. See s3server.Start.
func Start(t testing.TB) *s3server.Server {
	t.Helper()
	return s3server.Start(t, s3server.Spec{
		Binary: "versitygw",
		Command: func(address, dir, access, secret string) (args, env []string) {
			data := filepath.Join(dir, "data") // on a file system with extended attributes
			if err := os.Mkdir(data, 0o755); err != nil {
				t.Fatal(err)
			}
			return []string{
				"--quiet", "--port", address, "--access", access, "--secret", secret, "posix", data,
			}, nil
		},
	})
}
