package addr_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"example.com/sockets/addr"
)

// accepted are texts that Split takes, and what Parse makes of them: "" where
// it refuses the name.
var accepted = []struct {
	in, host string
	port     uint16
	endpoint string
}{
	{":80", "", 80, "[::]:80/tcp"},
	{":0", "", 0, "[::]:0/tcp"},
	{":http", "", 80, "[::]:80/tcp"},
	{"127.0.0.1:80", "127.0.0.1", 80, "127.0.0.1:80/tcp"},
	{"127.0.0.1:80/tcp", "127.0.0.1", 80, "127.0.0.1:80/tcp"},
	{"127.0.0.1:0", "127.0.0.1", 0, "127.0.0.1:0/tcp"},
	{"127.0.0.1:https", "127.0.0.1", 443, "127.0.0.1:443/tcp"},
	{"0.0.0.0:80", "0.0.0.0", 80, "0.0.0.0:80/tcp"},
	{"255.255.255.255:80", "255.255.255.255", 80, "255.255.255.255:80/tcp"},
	{"224.0.0.1:80", "224.0.0.1", 80, "224.0.0.1:80/tcp"},
	{"[::1]:80", "::1", 80, "[::1]:80/tcp"},
	{"[::]:65535", "::", 65535, "[::]:65535/tcp"},
	{"[2001:DB8::0:1]:80", "2001:DB8::0:1", 80, "[2001:db8::1]:80/tcp"},
	{"[2001:db8:0:0:1:0:0:1]:80", "2001:db8:0:0:1:0:0:1", 80, "[2001:db8::1:0:0:1]:80/tcp"},
	{"[1:2:3:4:5:6::8]:80", "1:2:3:4:5:6::8", 80, "[1:2:3:4:5:6:0:8]:80/tcp"},
	{"[::1.2.3.4]:80", "::1.2.3.4", 80, "[::102:304]:80/tcp"},
	{"[::ffff:1.2.3.4]:25", "::ffff:1.2.3.4", 25, "1.2.3.4:25/tcp"},
	{"[::FFFF:7f00:1]:25", "::FFFF:7f00:1", 25, "127.0.0.1:25/tcp"},
	{"[fe80::1%eth0]:80", "fe80::1%eth0", 80, "[fe80::1%eth0]:80/tcp"},
	{"[fe80::1%12]:80/tcp", "fe80::1%12", 80, "[fe80::1%12]:80/tcp"},
	{"[fe80::1%Local Area (2)]:80", "fe80::1%Local Area (2)", 80, "[fe80::1%Local Area (2)]:80/tcp"},
	{"[fe80::1%25eth0]:80", "fe80::1%25eth0", 80, "[fe80::1%25eth0]:80/tcp"},
	{"[ff02::1%br-é]:80", "ff02::1%br-é", 80, "[ff02::1%br-é]:80/tcp"},
	{"localhost:http", "localhost", 80, ""},
	{"localhost:HTTP", "localhost", 80, ""},
	{"localhost:domain", "localhost", 53, ""},
	{"host:80/tcp", "host", 80, ""},
	{"tcp:80", "tcp", 80, ""},
	{"unix:80", "unix", 80, ""},
	{"xn--bcher-kva.example:80", "xn--bcher-kva.example", 80, ""},
	{"localhost.:80", "localhost.", 80, ""},
	{"example.com.:80", "example.com.", 80, ""},
	{"Example.COM:80", "Example.COM", 80, ""},
	{"3com.example:80", "3com.example", 80, ""},
	{"1.2.3.4.example:80", "1.2.3.4.example", 80, ""},
	{"4u:80", "4u", 80, ""},
	{"0xyz:80", "0xyz", 80, ""},
	{"1e5:80", "1e5", 80, ""},
	{"_sip._tcp.example.com:5060", "_sip._tcp.example.com", 5060, ""},
	{"db_1:80", "db_1", 80, ""},
	{"a--b:80", "a--b", 80, ""},
	{strings.Repeat("a", 63) + ":80", strings.Repeat("a", 63), 80, ""},
	{longName + ":80", longName, 80, ""},
	{longName + ".:80", longName + ".", 80, ""},
}

// longName has the 253 characters that a name may have.
var longName = strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 61)

func TestSplitAccepts(t *testing.T) {
	noQueries(t)
	for _, c := range accepted {
		host, port, err := addr.Split(addr.TCP, c.in)
		if host != c.host || port != c.port || err != nil {
			t.Errorf("Split(%q) = %q, %d, %v; want %q, %d", c.in, host, port, err, c.host, c.port)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	noQueries(t)
	for _, c := range accepted {
		e, err := addr.Parse(addr.TCP, c.in)
		if c.endpoint == "" {
			if !errors.Is(err, addr.ReasonNotLiteral) || e.IsValid() {
				t.Errorf("Parse(%q) = %v, %v; want it to refuse the name", c.in, e, err)
			}
			continue
		}
		if err != nil || e.String() != c.endpoint {
			t.Errorf("Parse(%q) = %v, %v; want %s", c.in, e, err, c.endpoint)
		}
	}
}

// refused are texts that neither takes, the reason, the offset, and a part of
// the message.
var refused = []struct {
	in     string
	reason addr.Reason
	offset int
	says   string
}{
	{"", addr.ReasonEmpty, 0, `write host and port`},
	{"host", addr.ReasonNoPort, 4, `write "host:12000", or port 0`},
	{"127.0.0.1", addr.ReasonNoPort, 9, `write "127.0.0.1:12000"`},
	{"8080", addr.ReasonNoPort, 4, `did you mean ":8080"?`},
	{"99999", addr.ReasonNoPort, 5, "write a colon and a port"},
	{"http", addr.ReasonNoPort, 4, `write "http:12000"`},
	{"host/path", addr.ReasonNoPort, 9, "write a colon"},
	{"127.0.0.1/tcp", addr.ReasonNoPort, 13, "write a colon"},
	{"[::1]", addr.ReasonNoPort, 5, `write "[::1]:12000"`},
	{"host：80", addr.ReasonNoPort, 9, `did you mean "host:80"?`},
	{":", addr.ReasonBadPort, 1, "the port is empty"},
	{"127.0.0.1:", addr.ReasonBadPort, 10, "the port is empty"},
	{"[::1]:", addr.ReasonBadPort, 6, "the port is empty"},
	{"127.0.0.1:/tcp", addr.ReasonBadPort, 10, "the port is empty"},
	{"localhost:nope", addr.ReasonBadPort, 10, `"nope" is neither a port number nor a known service name`},
	{"localhost:tftp", addr.ReasonBadPort, 10, `"tftp" is not a service over tcp`},
	{"host:-1", addr.ReasonBadPort, 5, `"-1" is neither`},
	{"host:+80", addr.ReasonBadPort, 5, `did you mean "host:80"?`},
	{"host:0x50", addr.ReasonBadPort, 6, "neither"},
	{"host:8_0", addr.ReasonBadPort, 6, "neither"},
	{"host:80.0", addr.ReasonBadPort, 7, "neither"},
	{"host: 80", addr.ReasonBadPort, 5, `did you mean "host:80"?`},
	{"host:80 ", addr.ReasonBadPort, 7, `did you mean "host:80"?`},
	{"host:080", addr.ReasonBadPort, 5, `did you mean "host:80"?`},
	{"[::1]:080/tcp", addr.ReasonBadPort, 6, `did you mean "[::1]:80/tcp"?`},
	{"host:00", addr.ReasonBadPort, 5, "leading zero"},
	{"host:０", addr.ReasonBadPort, 5, `did you mean "host:0"?`},
	{"host:４４３", addr.ReasonBadPort, 5, `did you mean "host:443"?`},
	{"host:٣", addr.ReasonBadPort, 5, "neither"},
	{"host:80?q", addr.ReasonBadPort, 7, "neither"},
	{"host:\xff", addr.ReasonBadPort, 5, `"\xff" is neither`},
	{"host:65536", addr.ReasonPortRange, 5, "port 65536 is outside 0 to 65535"},
	{"host:99999", addr.ReasonPortRange, 5, "port 99999 is outside 0 to 65535"},
	{"host:18446744073709551696", addr.ReasonPortRange, 5, "outside"},
	{"[::1]:4294967376", addr.ReasonPortRange, 6, "outside"},
	{"[::1]80", addr.ReasonBrackets, 5, `did you mean "[::1]:80"?`},
	{"[[::1]]:80", addr.ReasonBrackets, 1, `did you mean "[::1]:80"?`},
	{"[::1:80", addr.ReasonBrackets, 0, `did you mean "[::1]:80"?`},
	{"::1]:80", addr.ReasonBrackets, 3, `did you mean "[::1]:80"?`},
	{"[::1]]:80", addr.ReasonBrackets, 5, `did you mean "[::1]:80"?`},
	{"[localhost]:80", addr.ReasonBrackets, 0, `did you mean "localhost:80"?`},
	{"[127.0.0.1]:80", addr.ReasonBrackets, 0, `did you mean "127.0.0.1:80"?`},
	{"[]:80", addr.ReasonBrackets, 0, `did you mean ":80"?`},
	{"host[::1]:80", addr.ReasonBrackets, 4, ""},
	{"[::1]x:80", addr.ReasonBrackets, 5, ""},
	{"[::1]/64:80", addr.ReasonBrackets, 5, ""},
	{"[host%eth0]:80", addr.ReasonBrackets, 0, ""},
	{"[v1.fe80]:80", addr.ReasonBrackets, 0, ""},
	{"::1:80", addr.ReasonColons, 1, `did you mean "[::1]:80"?`},
	{"::1", addr.ReasonColons, 1, `write "[::1]:12000"`},
	{"2001:db8::1", addr.ReasonColons, 8, `write "[2001:db8::1]:12000"`},
	{"fe80::1%eth0:80", addr.ReasonColons, 5, `did you mean "[fe80::1%eth0]:80"?`},
	{"[::1]:80:90", addr.ReasonColons, 8, "one colon stands before the port"},
	{"host:80:90", addr.ReasonColons, 7, ""},
	{"::ffff:127.0.0.1:80", addr.ReasonColons, 1, `did you mean "[::ffff:127.0.0.1]:80"?`},
	{"010.0.0.1:80", addr.ReasonBadIP, 0, "without leading zeros"},
	{"256.0.0.1:80", addr.ReasonBadIP, 0, "four numbers from 0 to 255"},
	{"1.2.300.4:80", addr.ReasonBadIP, 4, ""},
	{"1.2.3.00:80", addr.ReasonBadIP, 6, ""},
	{"1.2.3.4294967297:80", addr.ReasonBadIP, 6, ""},
	{"[::ffff:010.0.0.1]:25", addr.ReasonBadIP, 1, ""},
	{"[::ffff:1.2.3]:25", addr.ReasonBadIP, 1, ""},
	{"[1::2::3]:80", addr.ReasonBadIP, 1, ""},
	{"[12345::]:80", addr.ReasonBadIP, 1, ""},
	{"[1:2:3:4:5:6:7:8:9]:80", addr.ReasonBadIP, 1, ""},
	{"[1:2:3]:80", addr.ReasonBadIP, 1, ""},
	{"[ ::1]:80", addr.ReasonBadIP, 1, ""},
	{"[::1/128]:80", addr.ReasonBadIP, 1, ""},
	{"[::g]:80", addr.ReasonBadIP, 1, ""},
	{"[:]:80", addr.ReasonBadIP, 1, ""},
	{"[fe80::1%]:80", addr.ReasonZone, 9, "the zone is empty"},
	{"[fe80::1%a/b]:80", addr.ReasonZone, 10, "cannot contain"},
	{"[fe80::1%a%b]:80", addr.ReasonZone, 10, "cannot contain"},
	{"[fe80::1%a\u202eb]:80", addr.ReasonZone, 10, "cannot contain"},
	{"[fe80::1%a\xff]:80", addr.ReasonZone, 10, "cannot contain"},
	{"[fe80::1%" + strings.Repeat("z", 256) + "]:80", addr.ReasonZone, 9, "longer than"},
	{"[::ffff:1.2.3.4%eth0]:80", addr.ReasonZone, 15, `did you mean "[::ffff:1.2.3.4]:80"?`},
	{"1.2.3.4%eth0:80", addr.ReasonZone, 7, `did you mean "1.2.3.4:80"?`},
	{"localhost%eth0:80", addr.ReasonZone, 9, ""},
	{"127.1:80", addr.ReasonNumericHost, 0, "four decimal numbers"},
	{"1.2.3:80", addr.ReasonNumericHost, 0, ""},
	{"2130706433:80", addr.ReasonNumericHost, 0, ""},
	{"017700000001:80", addr.ReasonNumericHost, 0, ""},
	{"0x7f.1:80", addr.ReasonNumericHost, 0, ""},
	{"0X7F000001:80", addr.ReasonNumericHost, 0, ""},
	{"0x7f.0.0.1:80", addr.ReasonNumericHost, 0, ""},
	{"127.0.0.0x1:80", addr.ReasonNumericHost, 0, ""},
	{"0x:80", addr.ReasonNumericHost, 0, ""},
	{"0:80", addr.ReasonNumericHost, 0, ""},
	{"127.0.0.1.:80", addr.ReasonNumericHost, 0, ""},
	{"2130706433.:80", addr.ReasonNumericHost, 0, ""},
	{"1.2.3.4.5:80", addr.ReasonNumericHost, 0, ""},
	{"example.1:80", addr.ReasonNumericHost, 0, ""},
	{"tcp://127.0.0.1:80", addr.ReasonScheme, 0, `did you mean "127.0.0.1:80"?`},
	{"https://example.com/index", addr.ReasonScheme, 0, `did you mean "example.com:443"?`},
	{"tcp:127.0.0.1:80", addr.ReasonScheme, 0, `did you mean "127.0.0.1:80"?`},
	{"unix:/path", addr.ReasonScheme, 0, "a unix socket has neither"},
	{"unix:@name", addr.ReasonScheme, 0, ""},
	{"http://user@host:80/", addr.ReasonScheme, 0, ""},
	{"user@host:1", addr.ReasonUserinfo, 0, `did you mean "host:1"?`},
	{"user:secret@host:1", addr.ReasonUserinfo, 0, `did you mean "host:1"?`},
	{"user@[::1]:1", addr.ReasonUserinfo, 0, `did you mean "[::1]:1"?`},
	{"host:80/path", addr.ReasonPath, 7, `did you mean "host:80"?`},
	{"host:80/", addr.ReasonPath, 7, `did you mean "host:80"?`},
	{"host:80/tcp/", addr.ReasonPath, 7, ""},
	{"[::1]:80/64", addr.ReasonPath, 8, ""},
	{"host:80/sctp", addr.ReasonPath, 7, ""},
	{"host:80/udp", addr.ReasonTransport, 7, "the address is for udp, tcp is wanted"},
	{"host:80/TCP", addr.ReasonTransport, 7, `did you mean "host:80/tcp"?`},
	{"host:80/tcp4", addr.ReasonTransport, 7, ""},
	{" host:80", addr.ReasonBadHost, 0, `did you mean "host:80"?`},
	{"my host:80", addr.ReasonBadHost, 2, ""},
	{" :80", addr.ReasonBadHost, 0, ""},
	{"1.2.3.4/24:80", addr.ReasonBadHost, 7, `did you mean "1.2.3.4:80"?`},
	{"bücher.example:80", addr.ReasonBadHost, 1, "punycode"},
	{"ex\u00adample.com:80", addr.ReasonBadHost, 2, ""},
	{"１２７.0.0.1:80", addr.ReasonBadHost, 0, `did you mean "127.0.0.1:80"?`},
	{"127。0。0。1:80", addr.ReasonBadHost, 3, `did you mean "127.0.0.1:80"?`},
	{"\xff.example:80", addr.ReasonBadHost, 0, ""},
	{"example..com:80", addr.ReasonBadHost, 8, "empty"},
	{".example.com:80", addr.ReasonBadHost, 0, "empty"},
	{"example.com..:80", addr.ReasonBadHost, 12, "empty"},
	{".:80", addr.ReasonBadHost, 0, "empty"},
	{"-bad.example:80", addr.ReasonBadHost, 0, "begins with a hyphen"},
	{"bad-.example:80", addr.ReasonBadHost, 3, "ends with a hyphen"},
	{"*:80", addr.ReasonBadHost, 0, `did you mean ":80"?`},
	{"*.example.com:80", addr.ReasonBadHost, 0, ""},
	{"a,b:80", addr.ReasonBadHost, 1, ""},
	{`a\b:80`, addr.ReasonBadHost, 1, ""},
	{strings.Repeat("a", 64) + ":80", addr.ReasonBadHost, 0, "longer than 63"},
	{"a" + longName + ":80", addr.ReasonBadHost, 253, "at most 253"},
	{"localhost:80\r\n", addr.ReasonControl, 12, `did you mean "localhost:80"?`},
	{"localhost\n:80", addr.ReasonControl, 9, `"localhost\n:80"`},
	{"\x00", addr.ReasonControl, 0, ""},
	{"host:80\u0085", addr.ReasonControl, 7, ""},
	{"[fe80::1%\x1b[31m]:80", addr.ReasonControl, 9, `\x1b`},
	{strings.Repeat("a", 1<<20), addr.ReasonTooLong, 512, "... (1048576 bytes)"},
	{strings.Repeat("é", 1<<20), addr.ReasonTooLong, 512, "... (2097152 bytes)"},
}

func TestRefused(t *testing.T) {
	noQueries(t)
	for _, c := range refused {
		_, _, err := addr.Split(addr.TCP, c.in)
		checkRefusal(t, c.in, err)
		var e *addr.ParseError
		if !errors.As(err, &e) {
			continue
		}
		if !errors.Is(err, c.reason) || e.Reason != c.reason || e.Offset != c.offset {
			t.Errorf("%.80q: reason %q at %d, want %q at %d", c.in, e.Reason, e.Offset, c.reason, c.offset)
		}
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.80q: message %q does not say %q", c.in, err, c.says)
		}
		if _, perr := addr.Parse(addr.TCP, c.in); perr == nil || perr.Error() != err.Error() {
			t.Errorf("%.80q: Parse says %v, Split %v", c.in, perr, err)
		}
	}
}

func TestTransportOfText(t *testing.T) {
	for _, c := range []struct {
		t      addr.Transport
		in     string
		want   string
		reason addr.Reason
	}{
		{addr.UDP, "127.0.0.1:53", "127.0.0.1:53/udp", 0},
		{addr.UDP, "127.0.0.1:tftp/udp", "127.0.0.1:69/udp", 0},
		{addr.UDP, "127.0.0.1:http", "", addr.ReasonBadPort},
		{addr.UDP, "127.0.0.1:53/tcp", "", addr.ReasonTransport},
		{0, "127.0.0.1:tftp/udp", "127.0.0.1:69/udp", 0},
		{0, "127.0.0.1:53", "", addr.ReasonTransport},
		{0, "localhost:53/udp", "", addr.ReasonNotLiteral},
		{7, "127.0.0.1:53", "", addr.ReasonTransport},
		{7, "127.0.0.1:53/tcp", "", addr.ReasonTransport},
		{255, "127.0.0.1:http", "", addr.ReasonTransport},
	} {
		e, err := addr.Parse(c.t, c.in)
		if c.reason != 0 && !errors.Is(err, c.reason) || c.reason == 0 && (err != nil || e.String() != c.want) {
			t.Errorf("Parse(%v, %q) = %v, %v; want %q, %v", c.t, c.in, e, err, c.want, c.reason)
		}
	}
}

func TestMustParse(t *testing.T) {
	if e := addr.MustParse(addr.TCP, "127.0.0.1:80"); e != addr.Of(addr.TCP, netip.MustParseAddr("127.0.0.1"), 80) {
		t.Errorf("MustParse = %v", e)
	}
	defer func() {
		if _, ok := recover().(*addr.ParseError); !ok {
			t.Error("MustParse of nonsense did not panic with a *ParseError")
		}
	}()
	addr.MustParse(addr.TCP, "nonsense")
}

// TestParseErrorByHand: the exported fields alone make a message too.
func TestParseErrorByHand(t *testing.T) {
	e := &addr.ParseError{Input: "x", Reason: addr.ReasonNoPort}
	if got := e.Error(); got != `address "x": no port` {
		t.Errorf("message %q", got)
	}
	if got := addr.Reason(0).Error() + addr.Reason(200).Error(); got != "bad addressbad address" {
		t.Errorf("unknown reasons say %q", got)
	}
}

func TestParseAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	held := addr.MustParse(addr.TCP, "[fe80::1%eth0]:80") // keeps the zone known
	for _, in := range []string{
		"127.0.0.1:80", "127.0.0.1:65535/tcp", ":http", "[2001:db8::1]:80",
		"[::ffff:1.2.3.4]:80", "[fe80::1%eth0]:80",
	} {
		n := testing.AllocsPerRun(100, func() {
			if _, err := addr.Parse(addr.TCP, in); err != nil {
				t.Error(err)
			}
		})
		if n != 0 {
			t.Errorf("Parse(%q) allocates %v times", in, n)
		}
	}
	if !held.IsValid() {
		t.Error("the endpoint that holds the zone is invalid")
	}
}
