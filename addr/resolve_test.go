package addr_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/addr"
)

// lookup is a resolver that knows one answer.
func lookup(err error, ips ...string) func(context.Context, string) ([]netip.Addr, error) {
	return func(context.Context, string) ([]netip.Addr, error) {
		var all []netip.Addr
		for _, ip := range ips {
			all = append(all, netip.MustParseAddr(ip))
		}
		return all, err
	}
}

func noLookup(context.Context, string) ([]netip.Addr, error) { panic("a lookup") }

func TestResolveLiteral(t *testing.T) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range accepted {
		if c.endpoint == "" {
			continue
		}
		got, err := addr.ResolveWith(done, addr.TCP, c.in, noLookup)
		if err != nil || len(got) != 1 || got[0].String() != c.endpoint {
			t.Errorf("Resolve(%q) = %v, %v; want %s", c.in, got, err, c.endpoint)
		}
	}
}

func TestResolveRefused(t *testing.T) {
	for _, c := range refused {
		got, err := addr.ResolveWith(t.Context(), addr.TCP, c.in, noLookup)
		if got != nil || !errors.Is(err, c.reason) {
			t.Errorf("Resolve(%.80q) = %v, %v; want %v", c.in, got, err, c.reason)
		}
	}
}

func TestResolveName(t *testing.T) {
	found := lookup(nil, "2001:db8::1", "192.0.2.1", "::ffff:192.0.2.1", "fe80::1%eth0", "192.0.2.2", "2001:db8::1")
	got, err := addr.ResolveWith(t.Context(), addr.UDP, "host.example:domain", found)
	want := "[[2001:db8::1]:53/udp 192.0.2.1:53/udp [fe80::1%eth0]:53/udp 192.0.2.2:53/udp]"
	if err != nil || fmt.Sprint(got) != want {
		t.Errorf("Resolve = %v, %v; want %s", got, err, want)
	}
}

func TestResolveAsksForHost(t *testing.T) {
	for in, want := range map[string]string{
		"Host.example:80": "Host.example", "host.example.:80": "host.example.",
		"localhost:80": "localhost", "LocalHost.:80": "localhost",
	} {
		_, err := addr.ResolveWith(t.Context(), addr.TCP, in, func(_ context.Context, host string) ([]netip.Addr, error) {
			if host != want {
				t.Errorf("Resolve(%q) looks up %q, want %q", in, host, want)
			}
			return []netip.Addr{netip.IPv6Loopback()}, nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestResolveFails(t *testing.T) {
	other := errors.New("the directory is closed")
	for _, c := range []struct {
		err     error
		says    string
		timeout bool
	}{
		{&net.DNSError{Err: "no such host", IsNotFound: true}, `resolve "nowhere.example": no such host`, false},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true, Server: "192.0.2.53:53"},
			`resolve "nowhere.example": the name server did not answer (192.0.2.53:53)`, true},
		{&net.DNSError{Err: "server misbehaving"}, `resolve "nowhere.example": the name server failed: server misbehaving`, false},
		{other, `resolve "nowhere.example": the directory is closed`, false},
		{nil, `resolve "nowhere.example": the name has no address`, false},
	} {
		_, err := addr.ResolveWith(t.Context(), addr.TCP, "nowhere.example:80", lookup(c.err))
		var e *addr.ResolveError
		if !errors.As(err, &e) || e.Host != "nowhere.example" || err.Error() != c.says {
			t.Errorf("%v: error %v, want %s", c.err, err, c.says)
			continue
		}
		if e.Timeout() != c.timeout || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%v: timeout %v, unwraps to %v", c.err, e.Timeout(), e.Unwrap())
		}
	}
}

// TestResolveEnds: what ends the context is in the error, before and during a
// lookup.
func TestResolveEnds(t *testing.T) {
	cause := errors.New("the window was closed")
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := addr.ResolveWith(cancelled, addr.TCP, "host.example:80", noLookup)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) || os.IsTimeout(err) {
		t.Errorf("error %v", err)
	}
	if want := `resolve "host.example": cancelled: the window was closed`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := addr.ResolveWith(ctx, addr.TCP, "host.example:80", func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, errors.New("the resolver's own words")
		})
		var timeout interface{ Timeout() bool }
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, os.ErrDeadlineExceeded) ||
			!errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("error %v", err)
		}
	})
}

// nameServer answers every question over the pipe p in the stream form of DNS,
// and ends with its peer.
type nameServer struct {
	a, aaaa string // addresses to answer with
	rcode   byte
	onQuery func() // instead of an answer
}

func (n nameServer) serve(p net.Conn) {
	defer p.Close()
	buf := make([]byte, 2+512)
	for {
		size, err := p.Read(buf[:2])
		if err != nil || size < 2 {
			return
		}
		size, err = p.Read(buf[2 : 2+int(buf[0])<<8+int(buf[1])])
		if err != nil {
			return
		}
		if n.onQuery != nil {
			n.onQuery()
			continue
		}
		if _, err := p.Write(n.answer(buf[2 : 2+size])); err != nil {
			return
		}
	}
}

// answer repeats the question and appends one record (RFC 1035, section 4.1).
func (n nameServer) answer(query []byte) []byte {
	end := 12 + slices.Index(query[12:], 0) + 5
	ip := netip.Addr{}
	switch kind := query[end-3]; {
	case kind == 1 && n.a != "":
		ip = netip.MustParseAddr(n.a)
	case kind == 28 && n.aaaa != "":
		ip = netip.MustParseAddr(n.aaaa)
	}
	m := append([]byte{0, 0}, query[:end]...)
	m[4], m[5] = 0x81, 0x80|n.rcode
	m[8], m[9], m[10], m[11], m[12], m[13] = 0, 0, 0, 0, 0, 0
	if data := ip.AsSlice(); len(data) > 0 {
		m[9] = 1
		m = append(m, 0xc0, 12, 0, query[end-3], 0, 1, 0, 0, 0, 0, 0, byte(len(data)))
		m = append(m, data...)
	}
	m[0], m[1] = byte((len(m)-2)>>8), byte(len(m)-2)
	return m
}

// install makes n the system's name server during the test.
func (n nameServer) install(t *testing.T) {
	before := net.DefaultResolver
	ctx, cancel := context.WithCancel(context.Background())
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		if ctx.Err() != nil {
			return nil, errOffline
		}
		client, server := net.Pipe()
		context.AfterFunc(ctx, func() { server.Close() })
		go n.serve(server)
		return client, nil
	}}
	t.Cleanup(func() {
		cancel()
		net.DefaultResolver = before
	})
}

// TestResolveSystem goes through the resolver of package net.
func TestResolveSystem(t *testing.T) {
	nameServer{a: "127.0.0.1", aaaa: "::1"}.install(t)
	got, err := addr.Resolve(t.Context(), addr.TCP, "both.example.:80")
	if err != nil {
		t.Fatal(err)
	}
	want := []addr.Endpoint{addr.MustParse(addr.TCP, "[::1]:80"), addr.MustParse(addr.TCP, "127.0.0.1:80")}
	// RFC 6724, section 6: ::1 has precedence (rule 6) if this machine has it,
	// and is of no use otherwise (rule 1).
	pc, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		slices.Reverse(want)
	} else {
		pc.Close()
	}
	if !slices.Equal(got, want) {
		t.Errorf("Resolve = %v, want %v", got, want)
	}
}

func TestResolveSystemFails(t *testing.T) {
	for rcode, says := range map[byte]string{2: "the name server failed", 3: "no such host"} {
		t.Run(says, func(t *testing.T) {
			nameServer{rcode: rcode}.install(t)
			_, err := addr.Resolve(t.Context(), addr.TCP, "nowhere.example.:80")
			var dns *net.DNSError
			if !errors.As(err, &dns) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "nowhere.example") {
				t.Errorf("error %v, want %s", err, says)
			}
		})
	}
}

// TestResolveSystemEnds: the net package's resolver does not hear of the end
// before its own timeout; Resolve returns nevertheless.
func TestResolveSystemEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	nameServer{onQuery: cancel}.install(t)
	start := time.Now()
	_, err := addr.Resolve(ctx, addr.TCP, "slow.example.:80")
	if !errors.Is(err, context.Canceled) || time.Since(start) > 2*time.Second {
		t.Errorf("error %v after %v", err, time.Since(start))
	}
}
