package config

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"wadi/internal/layout"
)

func checkCluster(s string) error {
	if err := layout.ValidClusterName(s); err != nil {
		return errors.New("must be 1 to 64 characters of a-z, 0-9 and inner '-'")
	}
	return nil
}

func checkHTTP(s string) error {
	if s == "" {
		return nil
	}
	_, err := ParseHostPort(s)
	return err
}

func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("%q is not a URL such as http://127.0.0.1:2379", s)
	case u.User != nil:
		return errors.New("must not hold credentials")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("%q has more than scheme, host and port", s)
	}
	return nil
}

// checkStore looks at the URL's form only; whether the store answers is found out when it is opened.
func checkStore(s string) error {
	if s == "" {
		return nil // whether one is needed is known when all sources are merged
	}
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("is not a URL")
	}
	if u.User != nil {
		return errors.New("must not hold credentials; they come from the environment")
	}
	switch u.Scheme {
	case "s3":
		if u.Host == "" {
			return errors.New("names no bucket; write s3://bucket/prefix")
		}
	case "file":
		if u.Host != "" || !path.IsAbs(u.Path) {
			return errors.New("needs an absolute path; write file:///path")
		}
	case "mem":
	default:
		return errors.New("is not a store URL; there are s3://bucket/prefix, file:///path and mem://")
	}
	return nil
}

func checkZone(s string) error {
	if len(s) > 64 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
		return errors.New("must be up to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'")
	}
	return nil
}
