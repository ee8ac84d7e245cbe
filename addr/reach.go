package addr

import "net/netip"

// Reach says in a few words from where a server at e can be reached, such as
// "this machine only" for 127.0.0.1. It goes by the class of the address; which
// interfaces there are and what a firewall lets through is for others to tell.
func (e Endpoint) Reach() string {
	switch e.ip.WithZone("") {
	case netip.IPv4Unspecified():
		return "every interface, over IPv4"
	case netip.IPv6Unspecified():
		return "every interface, over IPv6, and over IPv4 where a socket serves both"
	}
	return classText(e.Class()).reach
}

// Dialable returns what a client on the same machine dials to reach a server
// that is bound to e: the loopback address of the family in place of a
// wildcard, and else e. Dialling a wildcard works on some systems only. Port 0
// stays, and cannot be dialled: ask the socket for its port first.
func (e Endpoint) Dialable() Endpoint {
	switch e.ip.WithZone("") {
	case netip.IPv4Unspecified():
		e.ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		e.ip = netip.IPv6Loopback()
	}
	return e
}

// description is a class in words.
type description struct{ name, reach string }

func classText(c Class) description {
	if int(c) < len(descriptions) {
		return descriptions[c]
	}
	return descriptions[0]
}

// Classes that a host never has as its own reach nobody.
var descriptions = [...]description{
	0:                  {"invalid", "nowhere"},
	ClassGlobal:        {"global", "the Internet"},
	ClassUnspecified:   {"unspecified", "every interface"},
	ClassLoopback:      {"loopback", "this machine only"},
	ClassPrivate:       {"private", "the private network it belongs to"},
	ClassShared:        {"shared", "the provider's network"},
	ClassLinkLocal:     {"link-local", "this link only"},
	ClassSiteLocal:     {"site-local", "the site it belongs to"},
	ClassMulticast:     {"multicast", "the members of the group"},
	ClassBroadcast:     {"broadcast", "every host of this link"},
	ClassThisNetwork:   {"this-network", "nowhere: no host has such an address"},
	ClassDocumentation: {"documentation", "nowhere: it is for examples"},
	ClassBenchmarking:  {"benchmarking", "a test network"},
	ClassProtocol:      {"protocol", "the network it belongs to"},
	ClassService:       {"service", "the Internet, as a service that many hosts share"},
	ClassDiscard:       {"discard", "nowhere: it is dropped on purpose"},
	ClassNAT64:         {"nat64", "the IPv4 Internet, through a translator"},
	ClassNAT64Local:    {"nat64-local", "the network of its translator"},
	ClassV4Compatible:  {"v4-compatible", "nowhere: the form is deprecated"},
	Class6to4:          {"6to4", "the Internet, through a 6to4 tunnel"},
	ClassTeredo:        {"teredo", "the Internet, through a Teredo tunnel"},
	ClassDeprecated:    {"deprecated", "nowhere: it was withdrawn"},
	ClassReserved:      {"reserved", "nowhere: it is not in use"},
}
