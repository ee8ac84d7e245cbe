package tcpserver

import (
	"net"
	"net/netip"
	"sync"

	"example.com/sockets/addr"
)

// sources counts the connections of each source.
type sources struct {
	mu    sync.Mutex
	count map[netip.Addr]int // sources without any are not in it
}

// sourceOf is what a limit per source goes by: the IPv4 address, or the /64 network
// of an IPv6 address. ok is false where there is no address.
func sourceOf(a net.Addr) (key netip.Addr, ok bool) {
	e, ok := addr.From(a)
	if !ok {
		return netip.Addr{}, false
	}
	ip := e.Addr().WithZone("")
	if ip.Is4() {
		return ip, true
	}
	network, err := ip.Prefix(64)
	return network.Addr(), err == nil
}

// add counts one more connection from key, unless it has limit of them.
func (s *sources) add(key netip.Addr, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count[key] >= limit {
		return false
	}
	if s.count == nil {
		s.count = map[netip.Addr]int{}
	}
	s.count[key]++
	return true
}

func (s *sources) remove(key netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count[key]--; s.count[key] == 0 {
		delete(s.count, key)
	}
}

// charge counts c for its source, and reports false if that has enough. The address
// is asked in the connection's goroutine, as a wrapper's may wait for the peer; only
// of a plain socket, where it is a field, in the accept loop.
func (c *connection) charge() bool {
	limit := c.run.server.Limits.PerSource
	if limit <= 0 {
		return true
	}
	key, ok := sourceOf(c.conn.RemoteAddr())
	if !ok {
		return true
	}
	if !c.run.server.sources.add(key, limit) {
		return false
	}
	c.source = key
	return true
}
