package addr

import "net/netip"

// Class is the special purpose of an address, by the IANA IPv4 and IPv6
// Special-Purpose Address Registries and the multicast registries. The zero
// value is the class of an invalid [Endpoint].
//
// Addresses that carry an IPv4 address within them (IPv4-compatible, NAT64,
// 6to4, Teredo) have the class of that one unless it is globally reachable: so
// 64:ff9b::127.0.0.1 is ClassLoopback, and 64:ff9b::8.8.8.8 is ClassNAT64.
// IPv4-mapped addresses do not occur in an Endpoint.
type Class uint8

// The classes. Only ClassGlobal, ClassService and ClassNAT64 are globally
// reachable.
const (
	ClassGlobal        Class = 1 + iota // no special purpose: the Internet
	ClassUnspecified                    // 0.0.0.0 and ::, the wildcard: every address of this machine
	ClassLoopback                       // 127.0.0.0/8 and ::1: this machine (RFC 1122, RFC 4291)
	ClassPrivate                        // a site's own addresses (RFC 1918) and unique local ones (RFC 4193)
	ClassShared                         // 100.64.0.0/10, between a provider's NAT and its customers (RFC 6598)
	ClassLinkLocal                      // 169.254.0.0/16 and fe80::/10: this link (RFC 3927, RFC 4291)
	ClassSiteLocal                      // fec0::/10, which private addresses replaced (RFC 3879)
	ClassMulticast                      // 224.0.0.0/4 and ff00::/8: a group (RFC 5771, RFC 4291)
	ClassBroadcast                      // 255.255.255.255: every host of this link (RFC 8190)
	ClassThisNetwork                    // the rest of 0.0.0.0/8: a host of this network (RFC 791)
	ClassDocumentation                  // for examples (RFC 5737, RFC 3849, RFC 9637)
	ClassBenchmarking                   // for measuring devices (RFC 2544, RFC 5180)
	ClassProtocol                       // within one protocol or network: 192.0.0.0/24, 2001::/23, 5f00::/16 (RFC 6890, RFC 9602)
	ClassService                        // globally reachable services and identifiers of such protocols (RFC 7723, RFC 7535, RFC 7343, ...)
	ClassDiscard                        // 100::/64: dropped on purpose (RFC 6666)
	ClassNAT64                          // 64:ff9b::/96: a global IPv4 address through a translator (RFC 6052)
	ClassNAT64Local                     // 64:ff9b:1::/48: a network's own translators (RFC 8215)
	ClassV4Compatible                   // ::/96 around a global IPv4 address, deprecated (RFC 4291, section 2.5.5.1)
	Class6to4                           // 2002::/16: a tunnel to a global IPv4 address (RFC 3056)
	ClassTeredo                         // 2001::/32: a tunnel to a client at a global IPv4 address (RFC 4380)
	ClassDeprecated                     // withdrawn: 192.88.99.0/24, 2001:10::/28 (RFC 7526, RFC 4843)
	ClassReserved                       // 240.0.0.0/4, and IPv6 outside 2000::/3 that is nothing of the above
)

// String returns the class in lower case, such as "loopback".
func (c Class) String() string { return classText(c).name }

// Class returns the special purpose of e's address. The zone does not matter.
func (e Endpoint) Class() Class {
	if !e.IsValid() {
		return 0
	}
	return classOf(e.ip.WithZone(""))
}

func classOf(ip netip.Addr) Class {
	b := blockOf(ip)
	if b.v4 == 0 {
		return b.class
	}
	switch c := classOf(embedded(ip, b)); c {
	case ClassGlobal, ClassService:
		return b.class
	case ClassUnspecified:
		// Nothing takes an embedded 0.0.0.0 for the wildcard.
		return ClassThisNetwork
	default:
		return c
	}
}

// embedded returns the IPv4 address within ip, an address of b. Teredo inverts
// the client's, to hide it from NATs that rewrite addresses (RFC 4380, section
// 4).
func embedded(ip netip.Addr, b block) netip.Addr {
	bytes := ip.As16()
	v4 := [4]byte(bytes[b.v4:])
	if b.class == ClassTeredo {
		for i := range v4 {
			v4[i] = ^v4[i]
		}
	}
	return netip.AddrFrom4(v4)
}

// IsUnspecified reports whether e is a wildcard address, which stands for every
// address of this machine: ClassUnspecified.
func (e Endpoint) IsUnspecified() bool { return e.Class() == ClassUnspecified }

// IsLoopback reports whether e leads to the machine itself: ClassLoopback.
func (e Endpoint) IsLoopback() bool { return e.Class() == ClassLoopback }

// IsLinkLocal reports whether e is a unicast address of one link:
// ClassLinkLocal.
func (e Endpoint) IsLinkLocal() bool { return e.Class() == ClassLinkLocal }

// IsMulticast reports whether e is a group of hosts: ClassMulticast. Only UDP
// reaches one.
func (e Endpoint) IsMulticast() bool { return e.Class() == ClassMulticast }

// IsPrivate reports whether e belongs to somebody's internal network:
// ClassPrivate, ClassShared or ClassSiteLocal. It is wider than net/netip's,
// and still no test for what a program may be allowed to reach: use IsGlobal,
// for which everything special is out unless it is known to be reachable.
func (e Endpoint) IsPrivate() bool {
	switch e.Class() {
	case ClassPrivate, ClassShared, ClassSiteLocal:
		return true
	}
	return false
}

// IsGlobal reports whether e is globally reachable by the registries:
// ClassGlobal, ClassService or ClassNAT64. It is the test to make on the
// address really dialled before a request by somebody else is followed.
func (e Endpoint) IsGlobal() bool {
	switch e.Class() {
	case ClassGlobal, ClassService, ClassNAT64:
		return true
	}
	return false
}
