package open

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"wadi/objstore"
)

// ErrURL: the text is not the URL of a store. The error says what is wrong with it.
var ErrURL = errors.New("invalid store URL")

// Location is a parsed store URL.
type Location struct {
	Scheme   string // "s3", "file" or "mem"
	Bucket   string // of s3
	Prefix   string // of s3: "" or elements of a key
	Endpoint string // of s3: "" is AWS
	Region   string // of s3: "" is the default
	Path     string // of file: absolute
}

// Parse reads a store URL without opening anything:
//
//	s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1
//	file:///path
//	mem://
func Parse(text string) (Location, error) {
	if text == "" {
		return Location{}, fmt.Errorf("%w: it is empty; want s3://bucket/prefix, file:///path or mem://", ErrURL)
	}
	u, err := url.Parse(text)
	if err != nil {
		// The error of url.Parse quotes the text, which may hold a password.
		return Location{}, fmt.Errorf("%w: not a URL; want s3://bucket/prefix, file:///path or mem://", ErrURL)
	}
	bad := func(format string, args ...any) (Location, error) {
		return Location{}, fmt.Errorf("%w %q: %s", ErrURL, u.Redacted(), fmt.Sprintf(format, args...))
	}
	if u.User != nil {
		return bad("credentials do not belong in it; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	if u.Fragment != "" {
		return bad("unexpected #%s", u.Fragment)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("malformed parameters")
	}
	known := map[string][]string{"s3": {"endpoint", "region"}}[u.Scheme]
	for name, values := range query {
		if !slices.Contains(known, name) {
			return bad("unknown parameter %q%s", name, hint(known))
		}
		if len(values) > 1 || values[0] == "" {
			return bad("parameter %q must have exactly one value", name)
		}
	}
	switch u.Scheme {
	case "s3":
		return parseS3(u, query, bad)
	case "file":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return bad("the path must be absolute: file:///path")
		}
		return Location{Scheme: "file", Path: filepath.Clean(u.Path)}, nil
	case "mem":
		if u.Host != "" || u.Path != "" || u.Opaque != "" {
			return bad("memory has no name: want mem://")
		}
		return Location{Scheme: "mem"}, nil
	case "":
		return bad("no scheme; a directory is file:///path")
	}
	return bad("unknown scheme %q; want s3, file or mem", u.Scheme)
}

func parseS3(u *url.URL, query url.Values, bad func(string, ...any) (Location, error)) (Location, error) {
	loc := Location{
		Scheme: "s3", Bucket: u.Host, Endpoint: query.Get("endpoint"), Region: query.Get("region"),
		Prefix: strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), "/"),
	}
	if u.Opaque != "" || loc.Bucket == "" {
		return bad("no bucket; want s3://bucket/prefix")
	}
	if !validBucket(loc.Bucket) {
		return bad("%q is not a bucket's name (3 to 63 of a-z, 0-9, '-' and '.')", loc.Bucket)
	}
	if loc.Prefix != "" {
		if _, err := objstore.WithPrefix(nil, loc.Prefix); err != nil {
			return bad("%v", err)
		}
	}
	if loc.Endpoint != "" {
		e, err := url.Parse(loc.Endpoint)
		if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil || e.RawQuery != "" {
			return bad("the endpoint must be of the form http://host:port or https://host")
		}
	}
	return loc, nil
}

func validBucket(s string) bool {
	if len(s) < 3 || len(s) > 63 {
		return false
	}
	for _, c := range s {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

func hint(known []string) string {
	if len(known) == 0 {
		return "; it takes none"
	}
	return "; it takes " + strings.Join(known, " and ")
}
