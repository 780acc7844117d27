package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"wadi/internal/layout"
	"wadi/objstore/open"
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
		return fmt.Errorf("%q is not a URL such as http://127.0.0.1:2379", Redact(s))
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
	_, err := open.Parse(s)
	return err
}

// Redact hides what may be a password in a URL, or in a list of URLs, that is going to be shown.
func Redact(text string) string {
	items := strings.Split(text, ",")
	for i, item := range items {
		if !strings.Contains(item, "://") || !strings.Contains(item, "@") {
			continue
		}
		u, err := url.Parse(item)
		if err != nil {
			items[i] = "xxxxx"
			continue
		}
		items[i] = u.Redacted()
	}
	return strings.Join(items, ",")
}

func checkZone(s string) error {
	if len(s) > 64 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
		return errors.New("must be up to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'")
	}
	return nil
}
