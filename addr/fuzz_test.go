package addr_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"example.com/sockets/addr"
)

// checkRefusal checks what every refusal for transport tr promises: its type, a
// bounded message without control characters, and a suggestion that is itself
// accepted.
func checkRefusal(t *testing.T, tr addr.Transport, in string, err error) {
	t.Helper()
	var e *addr.ParseError
	if !errors.As(err, &e) {
		t.Errorf("%.80q: error %T %v", in, err, err)
		return
	}
	text := err.Error()
	if len(text) > 1024 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("%.80q: unfit message %q", in, text)
	}
	if len(e.Input) > 64 || !strings.HasPrefix(in, e.Input) || e.Offset < 0 || e.Offset > len(in) {
		t.Errorf("%.80q: input %q, offset %d", in, e.Input, e.Offset)
	}
	if quoted, ok := strings.CutPrefix(e.Hint, "did you mean "); ok {
		s, qerr := strconv.Unquote(strings.TrimSuffix(quoted, "?"))
		if _, _, serr := addr.Split(tr, s); qerr != nil || serr != nil {
			t.Errorf("%.80q: the suggestion %s is refused: %v", in, quoted, errors.Join(qerr, serr))
		}
	}
}

// checkRoundTrip checks that every text of e reads back to e.
func checkRoundTrip(t *testing.T, e addr.Endpoint) {
	t.Helper()
	for _, s := range []string{e.String(), e.HostPort(), string(e.AppendTo(nil))} {
		if got, err := addr.Parse(e.Transport(), s); got != e || err != nil {
			t.Errorf("Parse(%q) = %v, %v; want %v", s, got, err, e)
		}
	}
	text, err := e.MarshalText()
	var back addr.Endpoint
	if uerr := back.UnmarshalText(text); back != e || err != nil || uerr != nil {
		t.Errorf("UnmarshalText(%q) = %v, %v, %v; want %v", text, back, err, uerr, e)
	}
	doc, err := json.Marshal(map[addr.Endpoint]addr.Endpoint{e: e})
	var m map[addr.Endpoint]addr.Endpoint
	if uerr := json.Unmarshal(doc, &m); m[e] != e || len(m) != 1 || err != nil || uerr != nil {
		t.Errorf("JSON %s = %v, %v, %v; want %v", doc, m, err, uerr, e)
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range accepted {
		f.Add(c.in)
	}
	for _, c := range refused {
		if len(c.in) < 1000 {
			f.Add(c.in)
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		noQueries(t)
		host, port, serr := addr.Split(addr.TCP, in)
		e, err := addr.Parse(addr.TCP, in)
		if serr != nil {
			checkRefusal(t, addr.TCP, in, serr)
			if err == nil {
				t.Errorf("Parse accepts %q, Split says %v", in, serr)
			}
			return
		}
		if err == nil {
			checkLiteral(t, e, host, port)
			return
		}
		checkRefusal(t, addr.TCP, in, err)
		checkHostName(t, host)
		if !errors.Is(err, addr.ReasonNotLiteral) {
			t.Errorf("Split accepts %q, Parse says %v", in, err)
		}
	})
}

// checkLiteral compares with net/netip, an independent reader of addresses.
func checkLiteral(t *testing.T, e addr.Endpoint, host string, port uint16) {
	t.Helper()
	want := netip.IPv6Unspecified()
	if host != "" {
		want = netip.MustParseAddr(host).Unmap()
	}
	if !e.IsValid() || e.Addr() != want || e.Port() != port || e.Addr().Is4In6() {
		t.Errorf("%v, want address %v and port %d", e, want, port)
	}
	checkRoundTrip(t, e)
}

// checkHostName checks that no name could be taken for an address by others,
// nor end up elsewhere than in one question to a name server.
func checkHostName(t *testing.T, host string) {
	t.Helper()
	if _, err := netip.ParseAddr(host); err == nil {
		t.Errorf("%q is an address", host)
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := labels[len(labels)-1]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil && !strings.Contains(last, "_") {
		t.Errorf("%q ends in a number", host)
	}
	for _, l := range labels {
		if len(l) == 0 || len(l) > 63 || strings.Trim(strings.ToLower(l), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%q has the label %q", host, l)
		}
	}
}

func FuzzUnmarshalText(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("127.0.0.1:80/tcp"))
	f.Add([]byte("[fe80::1%eth0]:domain/udp"))
	f.Add([]byte("[::ffff:127.0.0.1]:80/TCP"))
	f.Add([]byte("127.0.0.1%0:domain/udp"))
	f.Fuzz(func(t *testing.T, text []byte) {
		noQueries(t)
		before := addr.MustParse(addr.UDP, "192.0.2.1:1")
		e := before
		switch err := e.UnmarshalText(text); {
		case err != nil:
			checkRefusal(t, 0, string(text), err)
			if e != before {
				t.Errorf("%q changed the endpoint to %v and failed: %v", text, e, err)
			}
		case len(text) == 0:
			if e.IsValid() {
				t.Errorf("the empty text is %v", e)
			}
		default:
			checkRoundTrip(t, e)
		}
	})
}

// FuzzOf makes endpoints from parts: whatever is valid can be written and read
// back, and every class has words.
func FuzzOf(f *testing.F) {
	f.Add(uint8(1), []byte{127, 0, 0, 1}, "", uint16(80))
	f.Add(uint8(2), []byte("\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), "eth0", uint16(53))
	f.Add(uint8(1), []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01"), "x", uint16(0))
	f.Add(uint8(1), []byte("\x20\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\xff\xff\xfe"), "a]b", uint16(1))
	f.Fuzz(func(t *testing.T, transport uint8, ip []byte, zone string, port uint16) {
		a, ok := netip.AddrFromSlice(ip)
		e := addr.Of(addr.Transport(transport), a.WithZone(zone), port)
		if !e.IsValid() {
			if e != (addr.Endpoint{}) || ok && zone == "" && (transport == 1 || transport == 2) {
				t.Errorf("Of(%d, %v, %d) is %v", transport, a, port, e)
			}
			return
		}
		checkRoundTrip(t, e)
		if e.Class() == 0 || e.Class().String() == "invalid" || e.Reach() == "" || !e.Dialable().IsValid() {
			t.Errorf("%v: class %v, reach %q, dialable %v", e, e.Class(), e.Reach(), e.Dialable())
		}
	})
}
