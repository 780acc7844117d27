// Package docs holds the tests that keep the documentation true: paths that it names exist, links lead somewhere.
package docs
