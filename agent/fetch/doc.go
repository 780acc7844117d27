// Package fetch reads records back: State's runs say where the bytes lie, a bounded cache and ranged GETs bring them, and
// offsets are patched in (DESIGN section 5 step 6). A fetch that has to wait holds no goroutine: the view wakes it.
//
// A run's offsets never change, so a cached block is checked and patched once, in place, before anybody may see the
// range; from then on nobody writes to it, and readers refer to it for as long as they like. Eviction only forgets.
package fetch
