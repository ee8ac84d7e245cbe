// Package listen opens the sockets of servers: TCP and UDP sockets, groups of them
// that share one port, and unix sockets whose files are removed by those who made
// them and by nobody else.
//
// A group is several sockets on one address (SO_REUSEPORT), among which Linux
// shares out what arrives: TCP connections by the hash of their two ends, and
// datagrams likewise, so that those of one sender keep to one socket. Each has a
// queue of its own, and its own loop can serve it on its own core.
//
// The option has a trap: any later process of the same user that sets it too joins
// the group, and takes a share of what arrives, without an error anywhere. So the
// first socket of a group is bound without it. The system refuses that if anybody
// holds the port, in the same step in which it takes it; only then is the option
// set, and the others join. Whoever starts the same program a second time begins
// with the same exclusive bind, and gets EADDRINUSE as long as one member lives.
// No name has to be held beside the port for that, which another could hold too.
package listen

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// control is what net.ListenConfig calls with a socket before it is bound.
type control = func(network, address string, c syscall.RawConn) error

// TCP listens on address, as net.Listen takes it, with n sockets. It returns a
// *net.TCPListener if n is at most 1 or the system has no groups, and else a
// *Group. ctx bounds the look-up of a name.
//
// Accepted connections have the net package's keep-alive: probes after 15 s, every
// 15 s, and an end after 9 without an answer. They inherit it from the listening
// socket where they can, which saves four system calls for each.
func TCP(ctx context.Context, address string, n int) (net.Listener, error) {
	all, err := open(address, n, func(at string, c control) (*net.TCPListener, error) {
		return listenTCP(ctx, at, c)
	})
	if err != nil {
		return nil, err
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return newGroup(all), nil
}

// UDP binds n sockets to address, as net.ListenPacket takes it. It returns a
// *net.UDPConn if n is at most 1 or the system has no groups, and else a *Packets.
func UDP(ctx context.Context, address string, n int) (net.PacketConn, error) {
	all, err := open(address, n, func(at string, c control) (packetSocket, error) {
		pc, err := (&net.ListenConfig{Control: telling(c)}).ListenPacket(ctx, "udp", at)
		if err != nil {
			return packetSocket{}, err
		}
		return packetSocket{pc.(*net.UDPConn)}, nil
	})
	if err != nil {
		return nil, err
	}
	if len(all) == 1 {
		return all[0].UDPConn, nil
	}
	return newPackets(all), nil
}

// telling is c for a socket that, if it is bound to every address, tells which one a
// datagram has asked. The system notes that when it queues a datagram, and only if it
// was told before: so a reader that asks is too late for those that have come already.
func telling(c control) control {
	return func(network, address string, raw syscall.RawConn) error {
		if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().IsUnspecified() {
			tellAsked(raw)
		}
		if c == nil {
			return nil
		}
		return c(network, address, raw)
	}
}

// packetSocket gives a packet socket the method of a listener.
type packetSocket struct{ *net.UDPConn }

func (p packetSocket) Addr() net.Addr { return p.LocalAddr() }

type socket interface {
	syscall.Conn
	Addr() net.Addr
	Close() error
}

// open opens n sockets on one address, the first of them alone: see the package's
// comment. If port 0 was asked for the others follow the first.
func open[S socket](address string, n int, one func(string, control) (S, error)) ([]S, error) {
	first, err := one(address, nil)
	if err != nil {
		return nil, err
	}
	all := []S{first}
	if n <= 1 || !share(first) {
		return all, nil
	}
	for len(all) < n {
		next, err := one(first.Addr().String(), join)
		if err != nil {
			return nil, errors.Join(err, closeAll(all))
		}
		all = append(all, next)
	}
	return all, nil
}

// closeAll closes what is not closed yet.
func closeAll[S socket](all []S) error {
	var failed []error
	for _, s := range all {
		if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// listenTCP opens one listening socket.
func listenTCP(ctx context.Context, address string, c control) (*net.TCPListener, error) {
	var refused error
	config := net.ListenConfig{KeepAlive: -1} // nothing per connection
	config.Control = func(network, address string, raw syscall.RawConn) error {
		if refused = keepAlive(raw); refused != nil || c == nil {
			return refused
		}
		return c(network, address, raw)
	}
	ln, err := config.Listen(ctx, "tcp", address)
	if refused != nil { // Multipath TCP before Linux 6.10, and other systems
		ln, err = (&net.ListenConfig{Control: c}).Listen(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	return ln.(*net.TCPListener), nil
}

// option calls set with the descriptor under raw.
func option(raw syscall.RawConn, set func(fd uintptr) error) error {
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = set(fd) }); err != nil {
		return err
	}
	return failed
}
