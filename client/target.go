package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
)

// errPortZero: port 0 asks a system to choose one when binding.
var errPortZero = errors.New("port 0 cannot be dialled")

// resolve returns every address of "host:port" in the order to try them: as
// RFC 6724 orders them, the families taking turns (RFC 8305, 4), so that one of
// them not working costs one delay and not one for each of its addresses.
func (d *Dialer) resolve(ctx context.Context, t addr.Transport, address string) ([]addr.Endpoint, error) {
	_, port, err := addr.Split(t, address)
	if err != nil {
		return nil, err
	}
	if port == 0 {
		return nil, errPortZero
	}
	lookup := d.Resolve
	if lookup == nil {
		lookup = addr.Resolve
	}
	found, err := lookup(ctx, t, address)
	if ctx.Err() != nil {
		return nil, operr.OfContext(ctx)
	}
	if err != nil {
		return nil, err
	}
	// Allow takes the zero Endpoint for a unix socket.
	found = slices.DeleteFunc(slices.Clone(found), func(e addr.Endpoint) bool { return !e.IsValid() })
	if len(found) == 0 {
		return nil, errors.New("the name has no address")
	}
	return interleave(dialable(found)), nil
}

// dialable puts loopback addresses in place of wildcards: of both families for
// the one that stands for both, as a server that was bound to an empty host, or to
// 127.0.0.1, is meant to be found by ":12000".
func dialable(all []addr.Endpoint) []addr.Endpoint {
	out := make([]addr.Endpoint, 0, len(all)+1)
	for _, e := range all {
		out = append(out, e.Dialable())
		if e.Addr() == netip.IPv6Unspecified() {
			out = append(out, addr.Of(e.Transport(), netip.IPv4Unspecified(), e.Port()).Dialable())
		}
	}
	return out
}

// interleave lets the families take turns, each in its own order, beginning with
// the first address's.
func interleave(all []addr.Endpoint) []addr.Endpoint {
	var first, second []addr.Endpoint
	for _, e := range all {
		if e.Addr().Is4() == all[0].Addr().Is4() {
			first = append(first, e)
		} else {
			second = append(second, e)
		}
	}
	turns := make([]addr.Endpoint, 0, len(all))
	for len(first) > 0 && len(second) > 0 {
		turns = append(turns, first[0], second[0])
		first, second = first[1:], second[1:]
	}
	return append(append(turns, first...), second...)
}

// connect makes one socket to one address, and returns a bare cause when it
// fails. The address is a literal: what Allow has seen is what is dialled.
func (d *Dialer) connect(ctx context.Context, network, address string, to addr.Endpoint) (net.Conn, error) {
	if c := to.Class(); network == "tcp" && (c == addr.ClassMulticast || c == addr.ClassBroadcast) {
		return nil, fmt.Errorf("a %v address has no connections", c)
	}
	if d.Allow != nil {
		if err := d.Allow(to); err != nil {
			return nil, notAllowed{err}
		}
	}
	dial := d.DialContext
	if dial == nil {
		dial = (&net.Dialer{LocalAddr: d.localAddr(network)}).DialContext
	}
	nc, err := dial(ctx, network, address)
	if err == nil {
		return nc, nil
	}
	if ctx.Err() != nil {
		return nil, operr.OfContext(ctx)
	}
	return nil, operr.Bare(err)
}

// localAddr is Local in the form that net.Dialer wants, and a nil interface where
// there is none.
func (d *Dialer) localAddr(network string) net.Addr {
	switch {
	case !d.Local.IsValid():
		return nil
	case network == "tcp":
		return net.TCPAddrFromAddrPort(d.Local.AddrPort())
	case network == "udp":
		return net.UDPAddrFromAddrPort(d.Local.AddrPort())
	}
	return nil
}

// notAllowed is what Dialer.Allow said: an address that must not be dialled now
// must not be the next time either, so that it is not retried.
type notAllowed struct{ err error }

func (e notAllowed) Error() string { return "not allowed: " + e.err.Error() }
func (e notAllowed) Unwrap() error { return e.err }
