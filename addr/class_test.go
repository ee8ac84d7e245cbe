package addr_test

import (
	"net/netip"
	"testing"

	"example.com/sockets/addr"
)

// blocks are the special-purpose blocks written as their first and last
// address, apart from the prefixes of the implementation.
var blocks = []struct {
	first, last string
	class       addr.Class
}{
	{"0.0.0.0", "0.0.0.0", addr.ClassUnspecified},
	{"0.0.0.1", "0.255.255.255", addr.ClassThisNetwork},
	{"1.0.0.0", "9.255.255.255", addr.ClassGlobal},
	{"10.0.0.0", "10.255.255.255", addr.ClassPrivate},
	{"11.0.0.0", "100.63.255.255", addr.ClassGlobal},
	{"100.64.0.0", "100.127.255.255", addr.ClassShared},
	{"100.128.0.0", "126.255.255.255", addr.ClassGlobal},
	{"127.0.0.0", "127.255.255.255", addr.ClassLoopback},
	{"128.0.0.0", "169.253.255.255", addr.ClassGlobal},
	{"169.254.0.0", "169.254.255.255", addr.ClassLinkLocal},
	{"169.255.0.0", "172.15.255.255", addr.ClassGlobal},
	{"172.16.0.0", "172.31.255.255", addr.ClassPrivate},
	{"172.32.0.0", "191.255.255.255", addr.ClassGlobal},
	{"192.0.0.0", "192.0.0.8", addr.ClassProtocol},
	{"192.0.0.9", "192.0.0.10", addr.ClassService},
	{"192.0.0.11", "192.0.0.255", addr.ClassProtocol},
	{"192.0.1.0", "192.0.1.255", addr.ClassGlobal},
	{"192.0.2.0", "192.0.2.255", addr.ClassDocumentation},
	{"192.0.3.0", "192.31.195.255", addr.ClassGlobal},
	{"192.31.196.0", "192.31.196.255", addr.ClassService},
	{"192.31.197.0", "192.52.192.255", addr.ClassGlobal},
	{"192.52.193.0", "192.52.193.255", addr.ClassService},
	{"192.52.194.0", "192.88.98.255", addr.ClassGlobal},
	{"192.88.99.0", "192.88.99.255", addr.ClassDeprecated},
	{"192.88.100.0", "192.167.255.255", addr.ClassGlobal},
	{"192.168.0.0", "192.168.255.255", addr.ClassPrivate},
	{"192.169.0.0", "192.175.47.255", addr.ClassGlobal},
	{"192.175.48.0", "192.175.48.255", addr.ClassService},
	{"192.175.49.0", "198.17.255.255", addr.ClassGlobal},
	{"198.18.0.0", "198.19.255.255", addr.ClassBenchmarking},
	{"198.20.0.0", "198.51.99.255", addr.ClassGlobal},
	{"198.51.100.0", "198.51.100.255", addr.ClassDocumentation},
	{"198.51.101.0", "203.0.112.255", addr.ClassGlobal},
	{"203.0.113.0", "203.0.113.255", addr.ClassDocumentation},
	{"203.0.114.0", "223.255.255.255", addr.ClassGlobal},
	{"224.0.0.0", "239.255.255.255", addr.ClassMulticast},
	{"240.0.0.0", "255.255.255.254", addr.ClassReserved},
	{"255.255.255.255", "255.255.255.255", addr.ClassBroadcast},

	{"::", "::", addr.ClassUnspecified},
	{"::1", "::1", addr.ClassLoopback},
	{"::2", "::ff:ffff", addr.ClassThisNetwork}, // the deprecated form of 0.0.0.0/8
	{"::1:0:0", "::fffe:ffff:ffff", addr.ClassReserved},
	{"::1:0:0:0", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassReserved},
	{"64:ff9b:0:0:0:1::", "64:ff9b:0:ffff:ffff:ffff:ffff:ffff", addr.ClassReserved},
	{"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", addr.ClassNAT64Local},
	{"64:ff9b:2::", "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassReserved},
	{"100::", "100::ffff:ffff:ffff:ffff", addr.ClassDiscard},
	{"100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", addr.ClassProtocol},
	{"100:0:0:2::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassReserved},
	{"2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassGlobal},
	{"2001:1::", "2001:1::", addr.ClassProtocol},
	{"2001:1::1", "2001:1::2", addr.ClassService},
	{"2001:1::3", "2001:1::3", addr.ClassService},
	{"2001:1::4", "2001:1:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassProtocol},
	{"2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", addr.ClassBenchmarking},
	{"2001:2:1::", "2001:2:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassProtocol},
	{"2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassService},
	{"2001:4::", "2001:4:111:ffff:ffff:ffff:ffff:ffff", addr.ClassProtocol},
	{"2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff", addr.ClassService},
	{"2001:4:113::", "2001:f:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassProtocol},
	{"2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassDeprecated},
	{"2001:20::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassService},
	{"2001:40::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassProtocol},
	{"2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassGlobal},
	{"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassDocumentation},
	{"2001:db9::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassGlobal},
	{"2003::", "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff", addr.ClassGlobal},
	{"2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", addr.ClassService},
	{"2620:4f:8001::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassGlobal},
	{"3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassDocumentation},
	{"3fff:1000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassGlobal},
	{"4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassReserved},
	{"5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassProtocol},
	{"5f01::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassReserved},
	{"fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassPrivate},
	{"fe00::", "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassReserved},
	{"fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassLinkLocal},
	{"fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassSiteLocal},
	{"ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", addr.ClassMulticast},
}

func TestClassOfBlocks(t *testing.T) {
	for _, b := range blocks {
		for _, s := range []string{b.first, b.last} {
			if got := at(netip.MustParseAddr(s)).Class(); got != b.class {
				t.Errorf("class of %s is %v, want %v", s, got, b.class)
			}
		}
	}
}

func at(ip netip.Addr) addr.Endpoint { return addr.Of(addr.TCP, ip, 80) }

// wrap puts an IPv4 address into each of the forms that carry one.
func wrap(ip netip.Addr) map[addr.Class]netip.Addr {
	b := ip.As4()
	form := func(prefix string, at int, mask byte) netip.Addr {
		f := netip.MustParseAddr(prefix).As16()
		for i := range b {
			f[at+i] = b[i] ^ mask
		}
		return netip.AddrFrom16(f)
	}
	return map[addr.Class]netip.Addr{
		addr.ClassV4Compatible: form("::", 12, 0),
		addr.ClassNAT64:        form("64:ff9b::", 12, 0),
		addr.Class6to4:         form("2002::1:2:3", 2, 0),
		addr.ClassTeredo:       form("2001:0:808:808:0:5678::", 12, 0xff), // by a server at 8.8.8.8
		0:                      form("::ffff:0:0", 12, 0),
	}
}

func TestClassOfEmbedded(t *testing.T) {
	for _, b := range blocks {
		for _, s := range []string{b.first, b.last} {
			ip := netip.MustParseAddr(s)
			if !ip.Is4() {
				continue
			}
			for outer, w := range wrap(ip) {
				checkEmbedded(t, b.class, outer, w)
			}
		}
	}
}

func checkEmbedded(t *testing.T, inner, outer addr.Class, w netip.Addr) {
	t.Helper()
	want := inner
	switch {
	case outer == 0: // mapped: the same address
	case w == netip.IPv6Unspecified(): // and not ::0.0.0.0
	case w == netip.IPv6Loopback(): // and not ::0.0.0.1
		want = addr.ClassLoopback
	case inner == addr.ClassGlobal || inner == addr.ClassService:
		want = outer
	case inner == addr.ClassUnspecified:
		want = addr.ClassThisNetwork
	}
	if got := at(w).Class(); got != want {
		t.Errorf("class of %v, around %v, is %v, want %v", w, inner, got, want)
	}
}

func TestPredicates(t *testing.T) {
	type set struct{ unspecified, loopback, private, linkLocal, multicast, global bool }
	for s, want := range map[string]set{
		"0.0.0.0:1":              {unspecified: true},
		"[::]:1":                 {unspecified: true},
		"[::%eth0]:1":            {unspecified: true},
		"127.1.2.3:1":            {loopback: true},
		"[::1]:1":                {loopback: true},
		"[::127.0.0.1]:1":        {loopback: true},
		"[::ffff:127.0.0.1]:1":   {loopback: true},
		"[64:ff9b::7f00:1]:1":    {loopback: true},
		"[2002:7f00:1::]:1":      {loopback: true},
		"[2001::80ff:fffe]:1":    {loopback: true},
		"10.1.2.3:1":             {private: true},
		"100.64.0.1:1":           {private: true},
		"[fd00::1]:1":            {private: true},
		"[fec0::1]:1":            {private: true},
		"[64:ff9b::a00:1]:1":     {private: true},
		"169.254.169.254:1":      {linkLocal: true},
		"[fe80::1%eth0]:1":       {linkLocal: true},
		"[64:ff9b::a9fe:a9fe]:1": {linkLocal: true},
		"224.0.0.251:1":          {multicast: true},
		"[ff02::fb%eth0]:1":      {multicast: true},
		"8.8.8.8:1":              {global: true},
		"[2606:4700::1]:1":       {global: true},
		"[64:ff9b::8.8.8.8]:1":   {global: true},
		"192.0.0.9:1":            {global: true},
		"[2002:808:808::]:1":     {},
		"[2001::f7f7:f7f7]:1":    {},
		"[::8.8.8.8]:1":          {},
		"192.0.2.1:1":            {},
		"0.1.2.3:1":              {},
		"240.0.0.1:1":            {},
		"255.255.255.255:1":      {},
		"[64:ff9b:1::8.8.8.8]:1": {},
		"[64:ff9b::0.0.0.0]:1":   {},
		"[2001:db8::1]:1":        {},
		"[3fff::1]:1":            {},
		"[4000::1]:1":            {},
	} {
		e := addr.MustParse(addr.TCP, s)
		got := set{e.IsUnspecified(), e.IsLoopback(), e.IsPrivate(), e.IsLinkLocal(), e.IsMulticast(), e.IsGlobal()}
		if got != want {
			t.Errorf("%s (%v): %+v, want %+v", s, e.Class(), got, want)
		}
	}
}

func TestReachAndDialable(t *testing.T) {
	for _, c := range []struct{ in, reach, dialable string }{
		{"127.0.0.1:80", "this machine only", "127.0.0.1:80/tcp"},
		{"[::1]:80", "this machine only", "[::1]:80/tcp"},
		{"0.0.0.0:80", "every interface, over IPv4", "127.0.0.1:80/tcp"},
		{":80", "every interface, over IPv6, and over IPv4 where a socket serves both", "[::1]:80/tcp"},
		{"[::%eth0]:0", "every interface, over IPv6, and over IPv4 where a socket serves both", "[::1]:0/tcp"},
		{"192.168.1.2:80", "the private network it belongs to", "192.168.1.2:80/tcp"},
		{"[fe80::1%eth0]:80", "this link only", "[fe80::1%eth0]:80/tcp"},
		{"8.8.8.8:80", "the Internet", "8.8.8.8:80/tcp"},
		{"[64:ff9b::]:80", "nowhere: no host has such an address", "[64:ff9b::]:80/tcp"},
	} {
		e := addr.MustParse(addr.TCP, c.in)
		if e.Reach() != c.reach || e.Dialable().String() != c.dialable {
			t.Errorf("%s: reach %q, dialable %v; want %q, %s", c.in, e.Reach(), e.Dialable(), c.reach, c.dialable)
		}
	}
}

func TestClassString(t *testing.T) {
	seen := map[string]bool{}
	for c := range addr.ClassReserved + 1 {
		if seen[c.String()] || c.String() == "" {
			t.Errorf("class %d prints %q", c, c)
		}
		seen[c.String()] = true
	}
	if addr.Class(200).String() != "invalid" {
		t.Errorf("no class prints %v", addr.Class(200))
	}
}

func BenchmarkClass(b *testing.B) {
	e := addr.MustParse(addr.TCP, "[64:ff9b::8.8.8.8]:80")
	for b.Loop() {
		e.Class()
	}
}
