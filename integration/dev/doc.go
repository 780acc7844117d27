// Package dev tests the built `wadi dev` from outside: how fast it is ready, what it says when it cannot start, what a
// kill or a signal leaves behind. What the nearest system of this kind got wrong at start and stop is tried here.
package dev
