package guard_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/internal/guard"
	"example.com/sockets/simnet"
)

// watch makes a guard over one end of a pair in memory: call it in a bubble.
func watch(t *testing.T, o simnet.Options, l guard.Limits) (*guard.Guard, net.Conn) {
	t.Helper()
	n := simnet.New(o)
	here, there := pair(t, n.Listen, n.DialContext, "tcp")
	return over(here, l), there
}

func over(c net.Conn, l guard.Limits) *guard.Guard {
	g := new(guard.Guard)
	g.Init(context.Background(), c, &l)
	return g
}

func pair(t *testing.T, listen func(context.Context, string, string) (net.Listener, error),
	dial func(context.Context, string, string) (net.Conn, error), network string) (here, there net.Conn) {
	t.Helper()
	ln, err := listen(t.Context(), network, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if there, err = dial(t.Context(), network, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if here, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

func tcpPair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	return pair(t, new(net.ListenConfig).Listen, new(net.Dialer).DialContext, "tcp")
}

// With a limit each read has another deadline, and a socket is not told of each.
func TestSocketsAreArmedLazily(t *testing.T) {
	for name, w := range map[string]guard.Wait{"Next": guard.Next, "Own": guard.Own, "InMessage": guard.InMessage} {
		here, there := tcpPair(t)
		g := over(here, guard.Limits{Idle: time.Hour, Message: time.Hour, Write: time.Hour})
		p := make([]byte, 1)
		var read, write time.Duration
		for i := range 100 {
			if _, err := there.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if n, err := g.Read(p, w); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if n, _, err := g.Write(p); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if i == 0 {
				read, write = g.ArmedRead(), g.ArmedWrite()
			}
		}
		if r, w := g.ArmedRead(), g.ArmedWrite(); r != read || w != write {
			t.Errorf("%s: in 100 reads and writes the deadlines moved by %v and %v", name, r-read, w-write)
		}
	}
}

// Early deadlines cost one more look, and end nothing early.
func TestLazyDeadlinesAreExact(t *testing.T) {
	const idle = 60 * time.Millisecond
	here, there := tcpPair(t)
	g := over(here, guard.Limits{Idle: idle})
	p := make([]byte, 1)
	var last time.Time
	for range 4 {
		last = time.Now()
		if _, err := there.Write(p); err != nil {
			t.Fatal(err)
		}
		if _, err := g.Read(p, guard.Next); err != nil {
			t.Fatal(err)
		}
		time.Sleep(idle / 3) // real sockets, real time
	}
	begun := time.Now()
	_, err := g.Read(p, guard.Next)
	if err != guard.ErrIdle {
		t.Errorf("error %v", err)
	}
	if d := time.Since(begun); d < idle {
		t.Errorf("idle after %v, the limit is %v (last byte %v ago)", d, idle, time.Since(last))
	}
}

// watched writes down which deadlines are set.
type watched struct {
	net.Conn
	read, write []time.Time
}

func (w *watched) SetReadDeadline(t time.Time) error {
	w.read = append(w.read, t)
	return w.Conn.SetReadDeadline(t)
}

func (w *watched) SetWriteDeadline(t time.Time) error {
	w.write = append(w.write, t)
	return w.Conn.SetWriteDeadline(t)
}

func TestForeignConnsAreArmedExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		here, there := pair(t, n.Listen, n.DialContext, "tcp")
		w := &watched{Conn: here}
		g := over(w, guard.Limits{Idle: time.Hour})
		for i := range 5 {
			time.Sleep(time.Minute)
			_, _ = there.Write([]byte("x"))
			if _, err := g.Read(make([]byte, 1), guard.Next); err != nil {
				t.Fatal(err)
			}
			if len(w.read) != i+1 || !w.read[i].Equal(time.Now().Add(time.Hour)) {
				t.Fatalf("read %d at %v: deadlines %v", i, time.Now(), w.read)
			}
		}
	})
}

func TestTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, there := watch(t, simnet.Options{}, guard.Limits{})
		time.Sleep(time.Second)
		_, _ = there.Write([]byte("abc"))
		if _, err := g.Read(make([]byte, 10), guard.Next); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, _, err := g.Write([]byte("defgh")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		_ = g.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := g.Read(make([]byte, 10), guard.Own); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		_ = g.SetReadDeadline(time.Time{})
		_ = there.(*simnet.Conn).CloseWrite()
		if _, err := g.Read(make([]byte, 10), guard.Own); err != io.EOF {
			t.Error(err)
		}
		// Neither a timeout nor an EOF is a byte that moves.
		if read, written, quiet := g.Traffic(); read != 3 || written != 5 || quiet != 2*time.Second {
			t.Errorf("read %d, written %d, quiet %v", read, written, quiet)
		}
		if age := g.Age(); age != 4*time.Second {
			t.Errorf("age %v", age)
		}
	})
}

// A foreign connection that times out by itself does not hold up a stop.
func TestOwnTimeoutsAreNoMovement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := watch(t, simnet.Options{}, guard.Limits{})
		inner := g.Conn()
		g = over(impatient{inner}, guard.Limits{})
		time.AfterFunc(time.Second, func() { g.Drain(0) })
		start := time.Now()
		var err error
		for turns := 0; err == nil || errors.Is(err, os.ErrDeadlineExceeded); turns++ {
			if turns > 1000 {
				t.Fatal("no end")
			}
			_, err = g.Read(make([]byte, 1), guard.Own)
		}
		if err != guard.ErrDraining {
			t.Error(err)
		}
		// Its reads are 50 ms long: the one under way and the last try.
		if d := time.Since(start); d > 1100*time.Millisecond {
			t.Errorf("ended after %v", d)
		}
	})
}

type impatient struct{ net.Conn }

func (i impatient) Read(p []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	return 0, os.ErrDeadlineExceeded
}

func TestBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, there := watch(t, simnet.Options{}, guard.Limits{})
		odd := errors.New("odd")
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := g.Read(make([]byte, 1), guard.Next); err != odd {
				t.Errorf("the reader gets %v", err)
			}
		})
		wg.Go(func() {
			if _, _, err := g.Write(make([]byte, 1<<20)); err != odd {
				t.Errorf("the writer gets %v", err)
			}
		})
		synctest.Wait()
		g.Break(odd)
		g.Break(errors.New("another"))
		wg.Wait()
		if g.Broken() != odd || g.Over() != odd || g.Ended() != nil {
			t.Errorf("broken %v, over %v, ended %v", g.Broken(), g.Over(), g.Ended())
		}
		_, _ = there.Write([]byte("x"))
		if n, err := g.Read(make([]byte, 1), guard.Own); n != 1 || err != nil {
			t.Errorf("raw reading: %d, %v", n, err)
		}
		g.End(net.ErrClosed)
		if g.Over() != net.ErrClosed {
			t.Errorf("over %v", g.Over())
		}
	})
}

// A raw read that waits is not disturbed by a broken conversation.
func TestBreakLeavesRawRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, there := watch(t, simnet.Options{}, guard.Limits{})
		time.AfterFunc(time.Second, func() { g.Break(errors.New("odd")) })
		time.AfterFunc(time.Minute, func() { _, _ = there.Write([]byte("x")) })
		if n, err := g.Read(make([]byte, 1), guard.Own); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestTrying(t *testing.T) {
	here, there := tcpPair(t)
	g := over(here, guard.Limits{})
	p := make([]byte, 8)
	if n, err := g.Read(p, guard.Trying); n != 0 || err != guard.ErrNothing {
		t.Errorf("nothing there: %d, %v", n, err)
	}
	_, _ = there.Write([]byte("x"))
	time.Sleep(time.Millisecond) // real sockets, real time
	if n, err := g.Read(p, guard.Trying); n != 1 || err != nil {
		t.Errorf("a byte there: %d, %v", n, err)
	}
	there.Close()
	if n, err := g.Read(p, guard.Own); n != 0 || err != io.EOF {
		t.Errorf("the end: %d, %v", n, err)
	}
}

// A call of the transport's own is repeated as long as it makes progress.
func TestTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, there := watch(t, simnet.Options{ReadBuffer: 1000, WriteBuffer: 1000}, guard.Limits{Write: time.Minute})
		go func() {
			for range 10 {
				time.Sleep(50 * time.Second)
				_, _ = io.ReadFull(there, make([]byte, 1000))
			}
		}()
		left := 10_000
		n, err := g.Transfer(func(c net.Conn) (int64, error) {
			n, err := c.Write(make([]byte, left))
			left -= n
			return int64(n), err
		})
		if n != 10_000 || err != nil {
			t.Errorf("moved %d, %v", n, err)
		}
		start := time.Now()
		_, err = g.Transfer(func(c net.Conn) (int64, error) {
			n, err := c.Write(make([]byte, 100_000))
			return int64(n), err
		})
		if err != guard.ErrWrite {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		odd := errors.New("odd")
		g, _ = watch(t, simnet.Options{}, guard.Limits{})
		if n, err := g.Transfer(func(net.Conn) (int64, error) { return 3, odd }); n != 3 || err != odd {
			t.Errorf("%d, %v", n, err)
		}
		time.Sleep(time.Hour)
	})
}

func TestLinger(t *testing.T) {
	tests := []struct {
		name string
		peer func(there net.Conn)
		want time.Duration
	}{
		{"the peer sends, and ends", func(there net.Conn) {
			_, _ = there.Write([]byte("x"))
			time.Sleep(time.Second)
			there.Close()
		}, time.Second},
		{"the peer is silent and has everything", func(net.Conn) {}, time.Millisecond},
		{"the peer goes on", func(there net.Conn) {
			for range 30 {
				_, _ = there.Write([]byte("x"))
				time.Sleep(100 * time.Millisecond)
			}
		}, 2 * time.Second},
		{"the peer floods", func(there net.Conn) {
			for err := error(nil); err == nil; {
				_, err = there.Write(make([]byte, 1<<20))
			}
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, there := watch(t, simnet.Options{}, guard.Limits{Idle: time.Millisecond})
				_ = g.SetReadDeadline(time.Now().Add(time.Millisecond)) // the handler's
				var wg sync.WaitGroup
				wg.Go(func() { tt.peer(there) })
				synctest.Wait() // what the peer sends at once is there
				start := time.Now()
				g.Linger(2 * time.Second)
				if d := time.Since(start); d != tt.want {
					t.Errorf("lingered for %v, want %v", d, tt.want)
				}
				_ = g.Close()
				wg.Wait()
			})
		})
	}
}

func TestMustLinger(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, g *guard.Guard, there net.Conn)
		want bool
	}{
		{"nothing written", func(_ *testing.T, _ *guard.Guard, there net.Conn) { _, _ = there.Write([]byte("x")) }, false},
		{"written and taken", func(_ *testing.T, g *guard.Guard, _ net.Conn) { _, _, _ = g.Write([]byte("x")); synctest.Wait() }, false},
		{"written, input unread", func(_ *testing.T, g *guard.Guard, there net.Conn) {
			_, _, _ = g.Write([]byte("x"))
			_, _ = there.Write([]byte("x"))
			synctest.Wait()
		}, true},
		{"written and not taken", func(_ *testing.T, g *guard.Guard, _ net.Conn) {
			_ = g.SetWriteDeadline(time.Now().Add(time.Millisecond))
			_, _, _ = g.Write(make([]byte, 1<<20))
		}, true},
		{"written long ago", func(_ *testing.T, g *guard.Guard, there net.Conn) {
			_, _, _ = g.Write([]byte("x"))
			_, _ = there.Write([]byte("x"))
			time.Sleep(2 * time.Second)
		}, false},
		{"the peer has ended", func(t *testing.T, g *guard.Guard, there net.Conn) {
			_, _, _ = g.Write([]byte("x"))
			there.Close()
			if _, err := g.Read(make([]byte, 1), guard.Own); err == nil {
				t.Error("no EOF")
			}
		}, false},
		{"closed", func(_ *testing.T, g *guard.Guard, there net.Conn) {
			_, _, _ = g.Write([]byte("x"))
			_, _ = there.Write([]byte("x"))
			synctest.Wait()
			g.End(net.ErrClosed)
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, there := watch(t, simnet.Options{}, guard.Limits{})
				tt.do(t, g, there)
				if got := g.MustLinger(2 * time.Second); got != tt.want {
					t.Errorf("%v, want %v", got, tt.want)
				}
			})
		})
	}
	t.Run("nobody can tell", func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		defer there.Close()
		g := over(here, guard.Limits{})
		go func() { _, _ = there.Read(make([]byte, 1)) }()
		_, _, _ = g.Write([]byte("x"))
		if !g.MustLinger(2 * time.Second) {
			t.Error("false, and a reply could be lost")
		}
	})
}

// layer is a connection on top of another; half says that it has a half-close.
type layer struct{ net.Conn }

func (l layer) NetConn() net.Conn { return l.Conn }

type half struct {
	layer
	calls *[]string
	err   error
}

func (h half) CloseWrite() error {
	*h.calls = append(*h.calls, "half")
	return h.err
}

func TestCloseWriteThroughLayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		odd := errors.New("odd")
		pipe, other := net.Pipe()
		defer pipe.Close()
		defer other.Close()
		n := simnet.New(simnet.Options{})
		tcp := func() net.Conn { here, _ := pair(t, n.Listen, n.DialContext, "tcp"); return here }
		var calls []string
		tests := []struct {
			name string
			c    net.Conn
			want error
		}{
			{"TCP", tcp(), nil},
			{"pipe", pipe, errors.ErrUnsupported},
			{"a layer over TCP", layer{layer{tcp()}}, nil},
			{"a layer over a pipe", layer{pipe}, errors.ErrUnsupported},
			{"one with a half-close over TCP", half{layer{tcp()}, &calls, nil}, nil},
			{"one with a half-close over a pipe", half{layer{pipe}, &calls, nil}, nil},
			{"one that fails", half{layer{tcp()}, &calls, odd}, odd},
		}
		for _, tt := range tests {
			if err := over(tt.c, guard.Limits{}).CloseWrite(); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
		if s := strings.Join(calls, " "); s != "half half half" {
			t.Errorf("calls: %s", s)
		}
	})
}

// Drains, deadlines, breaks, calls and reads at once: whoever waits ends, with the
// race detector watching.
func TestHammer(t *testing.T) {
	for round := range 60 {
		synctest.Test(t, func(t *testing.T) {
			g, there := watch(t, simnet.Options{}, guard.Limits{Idle: time.Minute, Message: time.Minute, Write: time.Minute})
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					if _, err := g.Read(make([]byte, 10), guard.Wait(round%4)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
						return
					}
				}
			})
			wg.Go(func() { _, _, _ = g.Write(make([]byte, 1<<20)) })
			wg.Go(func() { _, _ = there.Write(make([]byte, 100)) })
			wg.Go(func() { _ = g.SetReadDeadline(time.Now().Add(time.Second)); _ = g.SetReadDeadline(time.Time{}) })
			wg.Go(func() { _ = g.SetWriteDeadline(time.Now().Add(time.Second)) })
			wg.Go(func() { g.Drain(0) })
			wg.Go(func() { <-g.Draining() })
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				stop := g.BeginCall(ctx, time.Time{})
				cancel()
				g.EndCall(stop)
			})
			wg.Go(func() { <-g.Done(); _ = g.Err() })
			wg.Go(func() { _, _, _ = g.Traffic() })
			time.AfterFunc(2*time.Second, func() {
				switch round % 3 {
				case 0:
					g.End(errors.New("odd"))
				case 1:
					_ = g.Close()
				case 2:
					g.Break(errors.New("odd"))
					_ = g.Close()
				}
			})
			wg.Wait()
		})
	}
}

// meddled is a connection whose reader is disturbed at the worst moment.
type meddled struct {
	*simnet.Conn
	before func()
}

func (m meddled) Read(p []byte) (int, error) {
	m.before()
	return m.Conn.Read(p)
}

// Bytes that are here win over a stop, also if the user sets a deadline between the
// moment in which they were seen and the one in which they are read.
func TestDeadlineDoesNotHideBytesFromDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		here, there := pair(t, n.Listen, n.DialContext, "tcp")
		var g *guard.Guard
		once := sync.OnceFunc(func() { _ = g.SetReadDeadline(time.Now().Add(time.Hour)) })
		g = over(meddled{here.(*simnet.Conn), once}, guard.Limits{})
		_, _ = there.Write([]byte("x"))
		synctest.Wait()
		g.Drain(0)
		if n, err := g.Read(make([]byte, 1), guard.Next); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if _, err := g.Read(make([]byte, 1), guard.Next); err != guard.ErrDraining {
			t.Errorf("%v", err)
		}
	})
}
