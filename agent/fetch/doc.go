// Package fetch reads records back: State's runs say where the bytes lie, a bounded cache and ranged GETs bring them, and
// offsets are patched in (DESIGN section 5 step 6). A fetch that has to wait holds no goroutine: the view wakes it.
//
// Old runs lie in manifests (package metadata/manifest), of which State has a number alone. What is read of them is kept in
// pieces, too; a fetch that needs one looks at State again when it is there.
//
// A run's offsets never change, so a cached block is checked and patched once, in place, before anybody may see the
// range; from then on nobody writes to it, and readers refer to it for as long as they like. Eviction only forgets.
package fetch
