// Package mcast opens sockets that are members of a multicast group, and sets how
// any socket sends to groups.
//
// A socket that net.ListenMulticastUDP makes is bound to the wildcard: it hears
// whatever is sent to its port, unicast and other groups included, it has joined
// on one interface only, and nothing that it sends is heard on its own host. One
// of this package is bound to the group, is a member on the interfaces that were
// asked for and hears the group on no other, and is heard on its own host too,
// unless that is not wanted.
package mcast

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Options are how a socket joins groups and sends to them. The zero value sends as
// every system does by default.
type Options struct {
	Interfaces []string // to join on, by name or number; the first is where what is sent leaves
	TTL        int      // 0 is 1, negative 0
	NoLoopback bool
}

// Listen returns a socket that is a member of group. Several sockets, also of other
// processes, can be members at one port, and each gets every datagram. The caller
// closes it.
func (o Options) Listen(ctx context.Context, group netip.AddrPort) (*net.UDPConn, error) {
	all, err := o.members(group.Addr())
	if err != nil {
		return nil, err
	}
	c, err := open(ctx, group, all[0])
	if err != nil {
		return nil, err
	}
	if err := o.enter(c, group.Addr(), all); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// enter makes c a member, and lets it send as o says.
func (o Options) enter(c *net.UDPConn, group netip.Addr, all []nic) error {
	var out *nic
	if o.chosen(group) || len(all) == 1 {
		out = &all[0]
	}
	return control(c, func(fd uintptr) error {
		if err := joinEach(fd, group, all, o.chosen(group)); err != nil {
			return err
		}
		return o.set(fd, group.Is6(), out)
	})
}

// joinEach joins on every interface that was chosen. Of those that were not, one is
// enough: what the host has beside it, such as the ends of virtual cables, may
// refuse, and Linux lets a socket join 20 times (igmp_max_memberships). But the
// loopback interface alone is none, where there are others.
func joinEach(fd uintptr, group netip.Addr, all []nic, chosen bool) (failed error) {
	joined := false
	for _, n := range all {
		err := join(fd, group, n)
		if err == nil {
			joined = joined || !n.loopback || len(all) == 1
			continue
		}
		err = fmt.Errorf("join on interface %q: %w", n.name, err)
		if chosen {
			return err
		}
		if failed == nil {
			failed = err
		}
	}
	if joined {
		return nil
	}
	return failed
}

// Apply sets how a socket that is no member sends to groups: from the first of
// Interfaces, to both families if the socket has both. Where the system would let
// it hear groups that others on the host have joined, it does not any more.
func (o Options) Apply(c syscall.Conn) error {
	_ = control(c, func(fd uintptr) error { only(fd); return nil })
	if len(o.Interfaces) == 0 && o.TTL == 0 && !o.NoLoopback {
		return nil // as it is by default
	}
	var out *nic
	for i, name := range o.Interfaces {
		n, err := find(name)
		if err != nil {
			return err
		}
		if i == 0 {
			out = &n
		}
	}
	return control(c, func(fd uintptr) error {
		v4, v6 := o.set(fd, false, out), o.set(fd, true, out)
		if v4 != nil && v6 != nil {
			return v4
		}
		return nil
	})
}

// set sets what concerns sending, for one family.
func (o Options) set(fd uintptr, v6 bool, out *nic) error {
	ttl := max(o.TTL, 0)
	switch {
	case o.TTL == 0:
		ttl = 1 // RFC 1112, 6.1
	case o.TTL > 255:
		return fmt.Errorf("a TTL of %d: an IP packet has room for 255", o.TTL)
	}
	if out != nil {
		if err := setOut(fd, v6, *out); err != nil {
			return fmt.Errorf("send from interface %q: %w", out.name, err)
		}
	}
	if err := setTTL(fd, v6, ttl); err != nil {
		return err
	}
	// The loopback interface brings everything back, whatever the option says:
	// so that Loops tells the truth, it says so.
	return setLoop(fd, v6, !o.NoLoopback || out != nil && out.loopback)
}

// Shared reports whether another socket may have the same address and port as c,
// as members of groups do, and get the same datagrams.
func Shared(c syscall.Conn) (shares bool) {
	err := control(c, func(fd uintptr) (err error) {
		shares, err = shared(fd)
		return err
	})
	return err == nil && shares
}

// Loops reports whether c hears what it sends to a group that it is a member of.
func Loops(c syscall.Conn) (v4, v6 bool) {
	_ = control(c, func(fd uintptr) error {
		v4, v6 = loops(fd, false), loops(fd, true)
		return nil
	})
	return v4, v6
}

// control calls f with the descriptor under c.
func control(c syscall.Conn, f func(fd uintptr) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(fd) }); err != nil {
		return err
	}
	return failed
}
