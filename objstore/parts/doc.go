// Package parts writes objects that are too large for one buffer: a Writer takes bytes as they come, cuts them into parts
// of one size and uploads a few at a time, so that it holds a known amount of memory whatever the object's size. Content
// that fits into one part is one plain Put.
//
// A Writer that fails or is aborted abandons its upload. What it cannot reach then, and what writers leave that die, is
// found by Sweep.
package parts
