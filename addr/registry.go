package addr

import "net/netip"

// block is a row of a registry.
type block struct {
	prefix netip.Prefix
	class  Class
	v4     int // where an IPv4 address is embedded, as an index into the 16 bytes; 0 if none is
}

func row(prefix string, c Class) block {
	return block{prefix: netip.MustParsePrefix(prefix), class: c}
}

func embedding(prefix string, c Class, at int) block {
	return block{prefix: netip.MustParsePrefix(prefix), class: c, v4: at}
}

// registry4 is the IANA IPv4 Special-Purpose Address Registry as of 2026, with
// multicast, and the whole for what is in none of its blocks.
var registry4 = [...]block{
	row("0.0.0.0/0", ClassGlobal),
	row("0.0.0.0/8", ClassThisNetwork),
	row("0.0.0.0/32", ClassUnspecified),
	row("10.0.0.0/8", ClassPrivate),
	row("100.64.0.0/10", ClassShared),
	row("127.0.0.0/8", ClassLoopback),
	row("169.254.0.0/16", ClassLinkLocal),
	row("172.16.0.0/12", ClassPrivate),
	row("192.0.0.0/24", ClassProtocol), // with DS-Lite, the dummy address and NAT64 discovery
	row("192.0.0.9/32", ClassService),  // PCP anycast, RFC 7723
	row("192.0.0.10/32", ClassService), // TURN anycast, RFC 8155
	row("192.0.2.0/24", ClassDocumentation),
	row("192.31.196.0/24", ClassService), // AS112, RFC 7535
	row("192.52.193.0/24", ClassService), // AMT, RFC 7450
	row("192.88.99.0/24", ClassDeprecated),
	row("192.168.0.0/16", ClassPrivate),
	row("192.175.48.0/24", ClassService), // AS112, RFC 7534
	row("198.18.0.0/15", ClassBenchmarking),
	row("198.51.100.0/24", ClassDocumentation),
	row("203.0.113.0/24", ClassDocumentation),
	row("224.0.0.0/4", ClassMulticast),
	row("240.0.0.0/4", ClassReserved),
	row("255.255.255.255/32", ClassBroadcast),
}

// registry6 is the IANA IPv6 Special-Purpose Address Registry as of 2026, with
// multicast, the deprecated forms of RFC 4291, and the division of the whole by
// the IPv6 Address Space registry: what is not in 2000::/3 is not in use.
var registry6 = [...]block{
	row("::/0", ClassReserved),
	row("2000::/3", ClassGlobal),
	row("::/128", ClassUnspecified),
	row("::1/128", ClassLoopback),
	embedding("::/96", ClassV4Compatible, 12),
	embedding("64:ff9b::/96", ClassNAT64, 12),
	row("64:ff9b:1::/48", ClassNAT64Local),
	row("100::/64", ClassDiscard),
	row("100:0:0:1::/64", ClassProtocol), // dummy prefix, RFC 9780
	row("2001::/23", ClassProtocol),
	embedding("2001::/32", ClassTeredo, 12),
	row("2001:1::1/128", ClassService), // PCP anycast, RFC 7723
	row("2001:1::2/128", ClassService), // TURN anycast, RFC 8155
	row("2001:1::3/128", ClassService), // DNS-SD registration anycast, RFC 9665
	row("2001:2::/48", ClassBenchmarking),
	row("2001:3::/32", ClassService),     // AMT, RFC 7450
	row("2001:4:112::/48", ClassService), // AS112, RFC 7535
	row("2001:10::/28", ClassDeprecated), // ORCHID
	row("2001:20::/28", ClassService),    // ORCHIDv2, RFC 7343
	row("2001:30::/28", ClassService),    // drone remote identification, RFC 9374
	row("2001:db8::/32", ClassDocumentation),
	embedding("2002::/16", Class6to4, 2),
	row("2620:4f:8000::/48", ClassService), // AS112, RFC 7534
	row("3fff::/20", ClassDocumentation),
	row("5f00::/16", ClassProtocol), // segment identifiers, RFC 9602
	row("fc00::/7", ClassPrivate),
	row("fe80::/10", ClassLinkLocal),
	row("fec0::/10", ClassSiteLocal),
	row("ff00::/8", ClassMulticast),
}

// blockOf returns the longest block around ip, which has no zone. The order of
// the rows therefore does not matter.
func blockOf(ip netip.Addr) block {
	rows := registry6[:]
	if ip.Is4() {
		rows = registry4[:]
	}
	best := 0
	for i := range rows {
		if rows[i].prefix.Contains(ip) && rows[i].prefix.Bits() >= rows[best].prefix.Bits() {
			best = i
		}
	}
	return rows[best]
}
