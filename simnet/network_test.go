package simnet_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/simnet"
)

func TestHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		far := n.Host("far", netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7"))
		ln, err := far.Listen(t.Context(), "tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		near := n.Host("near")
		for _, c := range []struct {
			from          *simnet.Host
			network, to   string
			local, remote string
			want          error
		}{
			{near, "tcp", "192.0.2.7:80", "10.0.0.2", "192.0.2.7:80", nil},
			{near, "tcp", "[2001:db8::7]:80", "fd00::2", "[2001:db8::7]:80", nil},
			{near, "tcp", "FAR:80", "10.0.0.2", "192.0.2.7:80", nil},
			{near, "tcp6", "far:80", "fd00::2", "[2001:db8::7]:80", nil},
			{far, "tcp", "127.0.0.1:80", "127.0.0.1", "127.0.0.1:80", nil},
			{far, "tcp", ":80", "127.0.0.1", "127.0.0.1:80", nil},
			{far, "tcp", "[::]:80", "127.0.0.1", "127.0.0.1:80", nil},
			{n.Host("localhost"), "tcp", "far:80", "10.0.255.254", "192.0.2.7:80", nil},
			{near, "tcp", "127.0.0.1:80", "", "", syscall.ECONNREFUSED},
			{near, "tcp", "far:81", "", "", syscall.ECONNREFUSED},
			{near, "tcp", "198.51.100.1:80", "", "", syscall.EHOSTUNREACH},
		} {
			conn, err := c.from.DialContext(t.Context(), c.network, c.to)
			if !errors.Is(err, c.want) {
				t.Errorf("%s %s: %v, want %v", c.network, c.to, err, c.want)
			}
			if err != nil {
				continue
			}
			accepted, _ := ln.Accept()
			if host, _, _ := net.SplitHostPort(conn.LocalAddr().String()); host != c.local || conn.RemoteAddr().String() != c.remote {
				t.Errorf("%s: from %v to %v", c.to, conn.LocalAddr(), conn.RemoteAddr())
			}
			if accepted.RemoteAddr().String() != conn.LocalAddr().String() {
				t.Errorf("%s: accepted from %v", c.to, accepted.RemoteAddr())
			}
			conn.Close()
			accepted.Close()
		}
		for _, unknown := range []string{"nowhere:80", "far:http"} {
			var dns *net.DNSError
			if _, err := near.DialContext(t.Context(), "tcp", unknown); !errors.As(err, &dns) || !dns.IsNotFound {
				t.Errorf("%s: %v", unknown, err)
			}
		}
	})
}

// TestBacklog: a SYN that finds the accept queue full is not answered, and comes
// again a second later.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Backlog: 2})
		ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		dial := func() net.Conn {
			c, err := n.DialContext(t.Context(), "tcp", ln.Addr().String())
			if err != nil {
				t.Error(err)
			}
			return c
		}
		first, second := dial(), dial()
		time.AfterFunc(500*time.Millisecond, func() {
			c, _ := ln.Accept()
			c.Close()
		})
		third := dial()
		if time.Since(start) != time.Second {
			t.Error("the third connection came after", time.Since(start))
		}
		ln.Close()
		for _, c := range []net.Conn{second, third} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Error("a connection of the closed queue:", err)
			}
		}
		if _, err := first.Read(make([]byte, 1)); err != io.EOF {
			t.Error("the accepted one:", err)
		}
	})
}

func TestDialEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Link: simnet.Link{Latency: time.Second}})
		ln, _ := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := n.DialContext(ctx, "tcp", ln.Addr().String())
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		defer ln.Close()
		ln.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(time.Minute))
		if c, err := ln.Accept(); err == nil {
			t.Error("accepted a handshake that its client gave up:", c.RemoteAddr())
		}
	})
}

// TestQueueFull: datagrams that nobody reads are lost in silence, the newest first,
// and the trace counts them.
func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Datagrams: 3})
		client, server := udpPair(t, n)
		for i := range 5 {
			if _, err := fmt.Fprint(client, i); err != nil {
				t.Error(err)
			}
		}
		server.SetReadDeadline(time.Now().Add(time.Second))
		got := ""
		for b := make([]byte, 1); ; {
			if _, _, err := server.ReadFrom(b); err != nil {
				break
			}
			got += string(b)
		}
		lost := 0
		for _, e := range n.Trace().Events {
			if e.Fate == simnet.Lost && e.Cause == "receive queue full" {
				lost++
			}
		}
		if got != "012" || lost != 2 {
			t.Errorf("got %q and %d lost", got, lost)
		}
	})
}

// TestLoopbackStaysHome: what is bound to loopback can't send elsewhere, and what is
// not can, from localhost too.
func TestLoopbackStaysHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		_, far := udpPair(t, n)
		to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.Host("b").Addr(), 9000))
		for address, want := range map[string]error{"127.0.0.1:0": syscall.EINVAL, ":0": nil} {
			pc, err := n.ListenPacket(t.Context(), "udp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer pc.Close()
			if _, err := pc.WriteTo([]byte("x"), to); !errors.Is(err, want) {
				t.Errorf("from %s: %v, want %v", address, err, want)
			}
		}
		_, from, err := far.ReadFrom(make([]byte, 1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := far.WriteTo([]byte("x"), from); err != nil {
			t.Error(err)
		}
		if e := n.Trace().Events; e[len(e)-1].Fate != simnet.Delivered {
			t.Error(n.Trace())
		}
	})
}

func TestNoSuchHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		c, err := n.DialContext(t.Context(), "udp", "198.51.100.1:53")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if e := n.Trace().Events[0]; e.Fate != simnet.Lost || e.To != "198.51.100.1" {
			t.Error(e)
		}
	})
}

// TestSameTrace runs three clients that race for the processor and compares the
// traces of many runs.
func TestSameTrace(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	seen := map[[32]byte]int{}
	for run := range 6 {
		runtime.GOMAXPROCS([]int{1, 4}[run%2])
		synctest.Test(t, func(t *testing.T) { seen[sha256.Sum256([]byte(race(t)))]++ })
	}
	if len(seen) != 1 {
		t.Errorf("%d different traces", len(seen))
	}
}

// race lets each of three hosts talk over UDP, with retries, and over TCP, all at
// the same instants, on a bad network.
func race(t *testing.T) string {
	n := simnet.New(simnet.Options{
		Link:   simnet.Link{Latency: latency, Jitter: 3 * time.Millisecond, MTU: 576},
		Script: simnet.Script{simnet.Random(7, simnet.Odds{Drop: 0.2, Duplicate: 0.1, Corrupt: 0.1, Delay: 0.1, MaxDelay: latency})},
	})
	pc, _ := n.Host("server").ListenPacket(t.Context(), "udp", ":1")
	ln, _ := n.Host("server").Listen(t.Context(), "tcp", ":1")
	go receive(pc)
	go echo(ln)
	var clients sync.WaitGroup
	for i := range 3 {
		h := n.Host(fmt.Sprint("client", i))
		clients.Go(func() {
			c, _ := h.DialContext(t.Context(), "udp", "server:1")
			defer c.Close()
			for k := range 20 {
				send(c, k%2, 50*time.Millisecond)
			}
		})
		clients.Go(func() {
			c, err := h.DialContext(t.Context(), "tcp", "server:1")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for range 20 {
				c.Write(make([]byte, 3000))
				io.ReadFull(c, make([]byte, 3000))
			}
		})
	}
	clients.Wait()
	pc.Close()
	ln.Close()
	time.Sleep(time.Minute)
	return n.Trace().String()
}

// echo gives each connection back what it sends, in pieces that do not depend on
// how the pieces came.
func echo(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for b := make([]byte, 1000); ; {
				if _, err := io.ReadFull(c, b); err != nil {
					return
				}
				c.Write(b)
			}
		}()
	}
}

// TestTenMinutes: virtual time costs no real time.
func TestTenMinutes(t *testing.T) {
	start := time.Now()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		n := simnet.New(simnet.Options{Link: simnet.Link{Latency: 50 * time.Millisecond}, Script: simnet.Script{simnet.DropEvery(3)}})
		pc, _ := n.Host("receiver").ListenPacket(t.Context(), "udp", ":1")
		go receive(pc)
		c, _ := n.Host("sender").DialContext(t.Context(), "udp", "receiver:1")
		for k := 0; time.Since(start) < 10*time.Minute; k++ {
			send(c, k%2, time.Second)
		}
		c.Close()
		pc.Close()
	})
	if d := time.Since(start); d > time.Second {
		t.Errorf("ten virtual minutes took %v", d)
	}
}

// TestHTTP: code that takes a net.Listener and a dial function runs unchanged.
func TestHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Link: simnet.Link{Latency: latency}})
		ln, err := n.Host("www").Listen(t.Context(), "tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "hello %s", r.Host)
		})}
		go srv.Serve(ln)
		tr := &http.Transport{DialContext: n.Host("browser").DialContext}
		start := time.Now()
		res, err := (&http.Client{Transport: tr}).Get("http://www/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(body) != "hello www" || time.Since(start) != 4*latency {
			t.Errorf("%q after %v", body, time.Since(start))
		}
		tr.CloseIdleConnections()
		srv.Close()
	})
}
