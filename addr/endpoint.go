package addr

import (
	"cmp"
	"net"
	"net/netip"
	"reflect"
)

// Transport says by which protocol a process is reached. The zero value is
// none, and makes an [Endpoint] invalid.
type Transport uint8

// The transports of the socket API's two kinds of Internet socket.
const (
	TCP Transport = 1 + iota // connections: a stream of bytes
	UDP                      // datagrams
)

// String returns "tcp" or "udp", as the net package names them, and "invalid"
// for any other value.
func (t Transport) String() string {
	switch t {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return "invalid"
}

// transportOf reads the network of a net.Addr, whose family digit says nothing
// that the address does not say itself.
func transportOf(network string) Transport {
	switch network {
	case "tcp", "tcp4", "tcp6":
		return TCP
	case "udp", "udp4", "udp6":
		return UDP
	}
	return 0
}

// Endpoint is the address of a process: transport, IP address and port. It is
// a small value, immutable, comparable with == and usable as a map key.
//
// An IPv4 address is never held in its IPv6-mapped form, so that one peer is
// one key whichever kind of socket saw it. The zone of an IPv6 address is kept
// and is part of the comparison. The zero Endpoint is invalid. An Endpoint is
// not a [net.Addr], whose identity would be its text.
type Endpoint struct {
	ip        netip.Addr
	port      uint16
	transport Transport
}

// Of returns the endpoint of t at ip and port; an IPv4-mapped ip is unmapped.
// The result is invalid if t or ip is, or if the zone of ip could not be
// written down and read back: see [Parse] for what a zone may contain.
func Of(t Transport, ip netip.Addr, port uint16) Endpoint {
	if t != TCP && t != UDP || !ip.IsValid() || !validZone(ip) {
		return Endpoint{}
	}
	return Endpoint{ip: ip.Unmap(), port: port, transport: t}
}

// FromAddrPort is [Of] for an address and port that come together.
func FromAddrPort(t Transport, ap netip.AddrPort) Endpoint {
	return Of(t, ap.Addr(), ap.Port())
}

// From converts a [net.Addr]: a *net.TCPAddr or *net.UDPAddr without
// allocating, and any other address whose Network is tcp or udp and whose
// String is a literal that [Parse] accepts, as wrappers have. A nil IP is the
// wildcard, [::]. It reports false for everything else: nil in any form, other
// networks, names, and ports outside 0 to 65535.
func From(a net.Addr) (Endpoint, bool) {
	switch a := a.(type) {
	case nil:
		return Endpoint{}, false
	case *net.TCPAddr:
		if a == nil {
			return Endpoint{}, false
		}
		return fromIP(TCP, a.IP, a.Zone, a.Port)
	case *net.UDPAddr:
		if a == nil {
			return Endpoint{}, false
		}
		return fromIP(UDP, a.IP, a.Zone, a.Port)
	}
	return fromText(a)
}

func fromIP(t Transport, ip net.IP, zone string, port int) (Endpoint, bool) {
	a, ok := netip.AddrFromSlice(ip)
	if len(ip) == 0 {
		a, ok = netip.IPv6Unspecified(), true
	}
	if !ok || port < 0 || port > 65535 {
		return Endpoint{}, false
	}
	e := Of(t, a.Unmap().WithZone(zone), uint16(port))
	return e, e.IsValid()
}

func fromText(a net.Addr) (Endpoint, bool) {
	// A nil pointer in the interface would most likely panic in its methods.
	if v := reflect.ValueOf(a); v.Kind() == reflect.Pointer && v.IsNil() {
		return Endpoint{}, false
	}
	t := transportOf(a.Network())
	if t == 0 {
		return Endpoint{}, false
	}
	e, err := Parse(t, a.String())
	return e, err == nil
}

// IsValid reports whether e is the address of a process, and not the zero
// value.
func (e Endpoint) IsValid() bool { return e.transport != 0 }

// Transport returns the protocol, and 0 if e is invalid.
func (e Endpoint) Transport() Transport { return e.transport }

// Addr returns the IP address, never an IPv4-mapped one, and the zero Addr if
// e is invalid.
func (e Endpoint) Addr() netip.Addr { return e.ip }

// Port returns the port number. 0 asks the system to choose one when binding,
// and is nothing that can be dialled.
func (e Endpoint) Port() uint16 { return e.port }

// AddrPort returns address and port for the typed functions of package net.
func (e Endpoint) AddrPort() netip.AddrPort { return netip.AddrPortFrom(e.ip, e.port) }

// Compare orders endpoints by address, port and transport, and returns -1, 0
// or 1, for [slices.SortFunc]. An invalid endpoint comes first.
func (e Endpoint) Compare(f Endpoint) int {
	return cmp.Or(e.ip.Compare(f.ip), cmp.Compare(e.port, f.port), cmp.Compare(e.transport, f.transport))
}
