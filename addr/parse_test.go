package addr_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"example.com/sockets/addr"
)

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
			if !errors.Is(err, addr.ReasonNotLiteral) || e.IsValid() || !strings.HasSuffix(err.Error(), "; resolve the name first") {
				t.Errorf("Parse(%q) = %v, %v; want it to refuse the name", c.in, e, err)
			}
			continue
		}
		if err != nil || e.String() != c.endpoint {
			t.Errorf("Parse(%q) = %v, %v; want %s", c.in, e, err, c.endpoint)
		}
	}
}

func TestRefused(t *testing.T) {
	noQueries(t)
	for _, c := range refused {
		_, _, err := addr.Split(addr.TCP, c.in)
		checkRefusal(t, addr.TCP, c.in, err)
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

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := addr.Parse(addr.TCP, "[2001:db8::1]:443/tcp"); err != nil {
			b.Fatal(err)
		}
	}
}
