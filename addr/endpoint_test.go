package addr_test

import (
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"example.com/sockets/addr"
)

func TestZeroEndpoint(t *testing.T) {
	var e addr.Endpoint
	if e.IsValid() || e.Transport() != 0 || e.Addr().IsValid() || e.Port() != 0 || e.AddrPort().IsValid() {
		t.Errorf("the zero Endpoint has parts: %#v", e)
	}
	if e.String() != "invalid endpoint" || string(e.AppendTo(nil)) != e.String() || e.HostPort() != "" {
		t.Errorf("the zero Endpoint prints %q, %q", e, e.HostPort())
	}
	if e.Class() != 0 || e.Reach() != "nowhere" || e.Dialable() != e || e.IsGlobal() || addr.ServiceName(e) != "" {
		t.Errorf("the zero Endpoint has class %v, reach %q", e.Class(), e.Reach())
	}
	if size := unsafe.Sizeof(e); size > 32 {
		t.Errorf("an Endpoint takes %d bytes", size)
	}
}

func TestOf(t *testing.T) {
	v4, mapped := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:127.0.0.1")
	zoned := netip.MustParseAddr("fe80::1")
	for _, c := range []struct {
		t    addr.Transport
		ip   netip.Addr
		want string
	}{
		{addr.TCP, v4, "127.0.0.1:80/tcp"},
		{addr.UDP, mapped, "127.0.0.1:80/udp"},
		{addr.UDP, mapped.WithZone("x"), "127.0.0.1:80/udp"},
		{addr.TCP, zoned.WithZone("eth0"), "[fe80::1%eth0]:80/tcp"},
		{addr.TCP, zoned.WithZone("a]"), "invalid endpoint"},
		{addr.TCP, zoned.WithZone("a\n"), "invalid endpoint"},
		{addr.TCP, zoned.WithZone(strings.Repeat("z", 256)), "invalid endpoint"},
		{addr.TCP, netip.Addr{}, "invalid endpoint"},
		{0, v4, "invalid endpoint"},
		{3, v4, "invalid endpoint"},
	} {
		e := addr.Of(c.t, c.ip, 80)
		if e.String() != c.want || e != addr.FromAddrPort(c.t, netip.AddrPortFrom(c.ip, 80)) {
			t.Errorf("Of(%v, %v) = %v, want %s", c.t, c.ip, e, c.want)
		}
		if e.IsValid() && e.AddrPort() != netip.AddrPortFrom(c.ip.Unmap(), 80) {
			t.Errorf("AddrPort() = %v", e.AddrPort())
		}
	}
}

// named is a net.Addr of somebody else's making.
type named struct{ network, text string }

func (n *named) Network() string { return n.network }
func (n *named) String() string  { return n.text }

func TestFrom(t *testing.T) {
	loop := net.IPv4(127, 0, 0, 1) // 16 bytes, mapped
	for _, c := range []struct {
		in   net.Addr
		want string
	}{
		{&net.TCPAddr{IP: loop, Port: 80}, "127.0.0.1:80/tcp"},
		{&net.TCPAddr{IP: loop.To4(), Port: 80, Zone: "x"}, "127.0.0.1:80/tcp"},
		{&net.UDPAddr{IP: loop, Port: 65535}, "127.0.0.1:65535/udp"},
		{&net.UDPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "eth0"}, "[fe80::1%eth0]:1/udp"},
		{&net.TCPAddr{Port: 80}, "[::]:80/tcp"},
		{&net.UDPAddr{}, "[::]:0/udp"},
		{&named{"tcp", "127.0.0.1:80"}, "127.0.0.1:80/tcp"},
		{&named{"udp6", "[::1]:80"}, "[::1]:80/udp"},
		{&named{"tcp4", ":80"}, "[::]:80/tcp"},
		{&named{"tcp", "localhost:80"}, ""},
		{&named{"unix", "127.0.0.1:80"}, ""},
		{&named{"pipe", "pipe"}, ""},
		{&named{}, ""},
		{&net.TCPAddr{IP: loop, Port: 65536}, ""},
		{&net.TCPAddr{IP: loop, Port: -1}, ""},
		{&net.TCPAddr{IP: net.IP{1, 2, 3}, Port: 1}, ""},
		{&net.TCPAddr{IP: net.IPv6loopback, Port: 1, Zone: "a]b"}, ""},
		{&net.IPAddr{IP: loop}, ""},
		{&net.UnixAddr{Name: "/x", Net: "unix"}, ""},
		{(*net.TCPAddr)(nil), ""},
		{(*net.UDPAddr)(nil), ""},
		{(*named)(nil), ""},
		{nil, ""},
	} {
		e, ok := addr.From(c.in)
		if ok != e.IsValid() || ok != (c.want != "") || ok && e.String() != c.want {
			t.Errorf("From(%#v) = %v, %v; want %q", c.in, e, ok, c.want)
		}
	}
}

func TestFromAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, a := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80},
		&net.UDPAddr{IP: net.IPv6loopback, Port: 80},
	} {
		if n := testing.AllocsPerRun(100, func() { addr.From(a) }); n != 0 {
			t.Errorf("From(%v) allocates %v times", a, n)
		}
	}
}

func TestAppendToAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	e := addr.MustParse(addr.UDP, "[2001:db8::1]:53")
	b := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { b = e.AppendTo(b[:0]) }); n != 0 {
		t.Errorf("AppendTo allocates %v times", n)
	}
}

func TestCompare(t *testing.T) {
	want := []addr.Endpoint{
		{},
		addr.MustParse(addr.TCP, "1.2.3.4:80"),
		addr.MustParse(addr.UDP, "1.2.3.4:80"),
		addr.MustParse(addr.TCP, "1.2.3.4:443"),
		addr.MustParse(addr.TCP, "10.0.0.1:1"),
		addr.MustParse(addr.TCP, "[::1]:1"),
		addr.MustParse(addr.TCP, "[fe80::1]:1"),
		addr.MustParse(addr.TCP, "[fe80::1%eth0]:1"),
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, addr.Endpoint.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	for _, e := range want {
		if e.Compare(e) != 0 {
			t.Errorf("%v differs from itself", e)
		}
	}
}

func TestTransport(t *testing.T) {
	for want, transport := range map[string]addr.Transport{"tcp": addr.TCP, "udp": addr.UDP, "invalid": 0} {
		if transport.String() != want {
			t.Errorf("%d prints %v, want %s", transport, transport, want)
		}
	}
}

// TestJSON shows the forms in a document, the empty one included.
func TestJSON(t *testing.T) {
	type record struct {
		From, To addr.Endpoint
		Seen     map[addr.Endpoint]int
		Flow     addr.Flow
	}
	e := addr.MustParse(addr.UDP, "[fe80::1%<eth0>]:53")
	in := record{From: e, Seen: map[addr.Endpoint]int{e: 1}, Flow: addr.Flow{Local: e}}
	doc, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out record
	if err := json.Unmarshal(doc, &out); err != nil {
		t.Fatal(err)
	}
	if out.From != e || out.To.IsValid() || out.Seen[e] != 1 || out.Flow != in.Flow {
		t.Errorf("%s read back as %+v", doc, out)
	}
}

func TestFlow(t *testing.T) {
	a, b := addr.MustParse(addr.TCP, "127.0.0.1:50000"), addr.MustParse(addr.TCP, "[::1]:80")
	seen := map[addr.Flow]bool{{Local: a, Remote: b}: true}
	if !seen[addr.Flow{Local: a, Remote: b}] || seen[addr.Flow{Local: b, Remote: a}] {
		t.Error("a flow is not its four numbers in order")
	}
	if got := (addr.Flow{Local: a, Remote: b}).String(); got != "127.0.0.1:50000/tcp -> [::1]:80/tcp" {
		t.Errorf("prints %q", got)
	}
	if got := (addr.Flow{Local: a}).String(); got != "127.0.0.1:50000/tcp -> invalid endpoint" {
		t.Errorf("half a flow prints %q", got)
	}
}
