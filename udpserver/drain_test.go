package udpserver_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/simnet"
	"example.com/sockets/udpserver"
)

// What the system had queued when the stop began is handled and answered,
// although a handler is slow, and Serve's context does not reach it.
func TestStopHandlesWhatWasQueued(t *testing.T) {
	const n = 100
	first := make(chan struct{})
	goOn := make(chan struct{})
	var once sync.Once
	s := &udpserver.Server{MaxHandlers: 2, Handler: func(ctx context.Context, d *udpserver.Datagram) error {
		once.Do(func() { close(first) })
		<-goOn
		if ctx.Err() != nil {
			t.Error("the handler's context has ended")
		}
		return d.Reply(d.Data)
	}}
	to, stop := serve(t, s)
	c := dial(t, to)
	for range n {
		send(t, c, "x")
	}
	<-first
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	await(func() bool { return udpserver.Draining(s) })
	close(goOn)
	if err := <-stopped; err != nil {
		t.Errorf("Serve: %v", err)
	}
	for range n {
		receive(t, c)
	}
	if st := ledger(t, s); st.Handled != n || st.Sent != n || st.Drained < n-4 {
		t.Errorf("stats %+v", st)
	}
}

func TestStopOfASilentSocketIsQuick(t *testing.T) {
	s := &udpserver.Server{Handler: echo}
	_, stop := serve(t, s)
	start := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("the stop took %v", d)
	}
}

func TestStopUnderAFlood(t *testing.T) {
	s := &udpserver.Server{Handler: echo}
	to, stop := serve(t, s)
	c := dial(t, to)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				c.Write([]byte("flood"))
			}
		}
	})
	await(func() bool { return s.Stats().Received > 1000 })
	start := time.Now()
	err := stop()
	if d := time.Since(start); err != nil || d > 2*time.Second {
		t.Errorf("the stop took %v: %v", d, err)
	}
	close(done)
	wg.Wait()
	ledger(t, s)
}

func TestStoppedBeforeItServes(t *testing.T) {
	for range 100 {
		s := &udpserver.Server{Handler: echo}
		pc, err := s.ListenPacket(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if err := s.Serve(ctx, pc); err != nil {
			t.Fatalf("Serve: %v", err)
		}
		ledger(t, s)
	}
}

// In virtual time: who does not end by Grace is cut off, and who does not heed
// that either is abandoned a second later, named, and counted until it ends.
func TestGrace(t *testing.T) {
	tests := []struct {
		name              string
		grace, took       time.Duration
		cutOff, abandoned int
		handler           func(ctx context.Context, release <-chan struct{})
	}{
		{"ends in time", 10 * time.Second, 3 * time.Second, 0, 0,
			func(context.Context, <-chan struct{}) { time.Sleep(3 * time.Second) }},
		{"heeds its context", 10 * time.Second, 10 * time.Second, 1, 0,
			func(ctx context.Context, _ <-chan struct{}) { <-ctx.Done() }},
		{"heeds nothing", 0, 6 * time.Second, 0, 1,
			func(_ context.Context, release <-chan struct{}) { <-release }},
		{"no grace", -1, 0, 1, 0,
			func(ctx context.Context, _ <-chan struct{}) { <-ctx.Done() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				s := &udpserver.Server{Timeouts: udpserver.Timeouts{Grace: tt.grace}, Handler: func(ctx context.Context, d *udpserver.Datagram) error {
					tt.handler(ctx, release)
					if cause := context.Cause(ctx); tt.cutOff > 0 && cause != sockets.ErrCutOff {
						t.Errorf("cause %v", cause)
					}
					return nil
				}}
				pc, c := simPair(t)
				ctx, cancel := context.WithCancel(t.Context())
				served := make(chan error, 1)
				go func() { served <- s.Serve(ctx, pc) }()
				send(t, c, "x")
				synctest.Wait()
				start := time.Now()
				cancel()
				err := <-served
				if d := time.Since(start).Truncate(100 * time.Millisecond); d != tt.took {
					t.Errorf("the stop took %v, want %v", d, tt.took)
				}
				var de *sockets.DrainError
				if errors.As(err, &de) != (tt.cutOff+tt.abandoned > 0) {
					t.Fatalf("Serve: %v", err)
				}
				if de != nil && (len(de.CutOff) != tt.cutOff || len(de.Abandoned) != tt.abandoned) {
					t.Errorf("Serve: %v", err)
				}
				if de != nil && !strings.Contains(err.Error(), c.LocalAddr().String()) {
					t.Errorf("the error does not say whom: %v", err)
				}
				if n := s.Stats().Running; int(n) != tt.abandoned {
					t.Errorf("running %d, want %d", n, tt.abandoned)
				}
				close(release)
				synctest.Wait()
				ledger(t, s)
			})
		})
	}
}

// simPair returns a socket to serve and a client's on a network in memory.
func simPair(t *testing.T) (net.PacketConn, net.Conn) {
	t.Helper()
	n := simnet.New(simnet.Options{})
	pc, err := n.ListenPacket(t.Context(), "udp", "127.0.0.1:9000")
	if err != nil {
		t.Fatal(err)
	}
	c, err := n.DialContext(t.Context(), "udp", "127.0.0.1:9000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return pc, c
}

// faulty is a socket that fails by a script before it reads.
type faulty struct {
	net.PacketConn
	script   func(call int) error
	calls    atomic.Int64
	deadline error // of SetReadDeadline
	deaf     bool  // heeds no deadline
}

func (f *faulty) ReadFrom(p []byte) (int, net.Addr, error) {
	if f.script != nil {
		if err := f.script(int(f.calls.Add(1))); err != nil {
			return 0, nil, err
		}
	}
	return f.PacketConn.ReadFrom(p)
}

func (f *faulty) SetReadDeadline(at time.Time) error {
	if f.deadline != nil || f.deaf {
		return f.deadline
	}
	return f.PacketConn.SetReadDeadline(at)
}

func TestReadErrorsAreSurvived(t *testing.T) {
	tests := []struct {
		name  string
		err   error
		times int           // how often before data can be read
		least time.Duration // of waiting
	}{
		{"about a peer", syscall.ECONNREFUSED, 5, 0},
		{"about a peer, for long", syscall.EHOSTUNREACH, 20, 30 * time.Millisecond},
		{"a firewall", syscall.EPERM, 5, 0},
		{"out of buffers", syscall.ENOBUFS, 6, 60 * time.Millisecond},
		{"link down", syscall.ENETDOWN, 12, 2 * time.Second},
		{"unknown", errors.New("odd"), 4, 10 * time.Millisecond},
		{"foreign deadline", os.ErrDeadlineExceeded, 2, 2 * time.Millisecond},
		{"bad descriptor, twice", syscall.EBADF, 2, 2 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &udpserver.Server{Handler: echo, Logger: quiet}
				pc, c := simPair(t)
				start := time.Now()
				stop := serveOn(t, s, &faulty{PacketConn: pc, script: func(call int) error {
					if call <= tt.times {
						return tt.err
					}
					return nil
				}})
				send(t, c, "hello")
				if got := receive(t, c); got != "hello" {
					t.Errorf("got %q", got)
				}
				if d := time.Since(start); d < tt.least || d > tt.least+3*time.Second {
					t.Errorf("waited %v, want a little more than %v", d, tt.least)
				}
				if err := stop(); err != nil {
					t.Errorf("Serve: %v", err)
				}
				if st := ledger(t, s); int(st.ReadErrors) != tt.times {
					t.Errorf("%d read errors, want %d", st.ReadErrors, tt.times)
				}
			})
		})
	}
}

func TestReadErrorsThatEndServe(t *testing.T) {
	for _, errno := range []error{syscall.EBADF, syscall.ENOTSOCK, syscall.EINVAL, net.ErrClosed} {
		t.Run(errno.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &udpserver.Server{Handler: echo, Logger: quiet}
				pc, _ := simPair(t)
				err := s.Serve(t.Context(), &faulty{PacketConn: pc, script: func(int) error { return errno }})
				if !errors.Is(err, errno) || !strings.Contains(err.Error(), "127.0.0.1:9000/udp") {
					t.Errorf("Serve: %v, want %v", err, errno)
				}
				ledger(t, s)
			})
		})
	}
}

// A socket that is closed by somebody else ends Serve, and the handlers still
// get their time.
func TestClosedByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		s := &udpserver.Server{Handler: func(context.Context, *udpserver.Datagram) error {
			<-goOn
			return nil
		}}
		pc, c := simPair(t)
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background(), pc) }()
		send(t, c, "x")
		synctest.Wait()
		pc.Close()
		time.Sleep(4 * time.Second) // less than the grace period
		select {
		case err := <-served:
			t.Errorf("Serve did not wait for the handler: %v", err)
		default:
		}
		close(goOn)
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
		ledger(t, s)
	})
}

// A socket without working deadlines is woken by closing it.
func TestSocketsWithoutDeadlines(t *testing.T) {
	for name, f := range map[string]*faulty{
		"says so":         {deadline: errors.ErrUnsupported},
		"does not say so": {deaf: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &udpserver.Server{Handler: echo, Logger: quiet}
				pc, c := simPair(t)
				f.PacketConn = pc
				stop := serveOn(t, s, f)
				send(t, c, "x")
				receive(t, c)
				var de *sockets.DrainError
				if err := stop(); errors.As(err, &de) != f.deaf || err != nil && de == nil {
					t.Errorf("Serve: %v", err)
				}
				ledger(t, s)
			})
		})
	}
}

// Many stops at different moments leave nothing behind and every figure right.
func TestStopsAtAnyMoment(t *testing.T) {
	for i := range 80 {
		s := &udpserver.Server{MaxHandlers: 1 + i%4, Handler: echo}
		to, stop := serve(t, s)
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to.String())))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 50 {
				c.Write([]byte("x"))
			}
		})
		await(func() bool { return s.Stats().Received >= uint64(i*7%51) })
		if err := stop(); err != nil {
			t.Fatalf("Serve: %v", err)
		}
		ledger(t, s)
		wg.Wait()
		c.Close()
	}
}
