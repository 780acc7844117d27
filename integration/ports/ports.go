// Package ports hands out TCP ports of 127.0.0.1 to the processes of tests. A port is handed out once per test binary, and
// lies below the range from which the kernel takes the ports of outgoing connections: whoever gets one may stop and
// start on it again, and nobody else's service answers there meanwhile.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
)

const lowest, highest = 10_000, 32_000

// below is the first port behind those that are handed out: highest, or less where the kernel takes ports of outgoing
// connections from further down. Where it takes nearly all, some luck is needed.
var below = sync.OnceValue(func() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return highest
	}
	var first, last int
	if _, err := fmt.Sscan(string(text), &first, &last); err != nil || first < lowest+1000 {
		return highest
	}
	return min(first, highest)
})

var given struct {
	sync.Mutex
	ports map[int]bool
}

// Free returns the first of n ports in a row that nobody listens on and that were never handed out.
func Free(n int) (int, error) {
	given.Lock()
	defer given.Unlock()
	if given.ports == nil {
		given.ports = map[int]bool{}
	}
	for range 1000 {
		first := lowest + rand.IntN(below()-lowest-n)
		if !free(first, n) {
			continue
		}
		for i := range n {
			given.ports[first+i] = true
		}
		return first, nil
	}
	return 0, errors.New("no free ports")
}

func free(first, n int) bool {
	for port := first; port < first+n; port++ {
		if given.ports[port] {
			return false
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
