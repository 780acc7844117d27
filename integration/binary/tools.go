//go:build tools

// The etcd that the tests run is built from the requirement in go.mod (.ci/install.sh). This import keeps what its main
// package needs in go.mod and go.sum; no build has the tag.
package binary

import _ "go.etcd.io/etcd/server/v3"
