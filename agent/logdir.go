package agent

import (
	"net/url"
	"strings"
)

// logDir is how clients are shown where a cluster's records lie: the store's URL without credentials and options, and
// the cluster's prefix in it.
func logDir(store, cluster string) string {
	u, err := url.Parse(store)
	if err != nil || u.Scheme == "" {
		u = &url.URL{Scheme: "object-store"}
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/") + "/" + cluster}
	return shown.String()
}
