package tcpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

// busy is a handler that is never idle: it says hello, and returns when it is told
// to, or when its connection is closed.
func busy(release <-chan struct{}) sockets.Handler {
	return func(ctx context.Context, c *sockets.Conn) error {
		if err := c.WriteMessage([]byte("hello")); err != nil {
			return err
		}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// hello waits until the handler of c has begun.
func hello(t testing.TB, c net.Conn) {
	t.Helper()
	buf := make([]byte, 6)
	if _, err := io.ReadFull(c, buf); string(buf) != "hello\n" {
		t.Fatalf("got %q, %v; want a hello", buf, err)
	}
}

// most is the largest number of handlers that ran at once.
type most struct{ now, most atomic.Int64 }

func (m *most) enter() (leave func()) {
	n := m.now.Add(1)
	for old := m.most.Load(); n > old && !m.most.CompareAndSwap(old, n); old = m.most.Load() {
	}
	return func() { m.now.Add(-1) }
}

// TestReject: a connection beyond the limit reads the refusal and then EOF, also if
// it wrote first, whether the limit is small or large; when there is room again the
// next one is served.
func TestReject(t *testing.T) {
	const refusal = "too busy, come back later\n"
	for _, conns := range []int{1, 40} {
		for _, size := range []int{0, 1, 64 << 10} {
			t.Run(fmt.Sprintf("%d conns, %d bytes first", conns, size), func(t *testing.T) {
				release := make(chan struct{})
				var peak most
				r := serveReal(t, &tcpserver.Server{
					Handler: func(ctx context.Context, c *sockets.Conn) error {
						defer peak.enter()()
						return busy(release)(ctx, c)
					},
					Limits: tcpserver.Limits{Conns: conns, Overload: tcpserver.Reject, Refusal: []byte(refusal)},
				})
				for range conns {
					c := r.client()
					defer c.Close()
					hello(t, c)
				}
				var all sync.WaitGroup
				for range 100 {
					all.Go(func() {
						c, err := net.Dial("tcp", r.addr)
						if err != nil {
							t.Error(err)
							return
						}
						defer c.Close()
						c.SetDeadline(time.Now().Add(20 * time.Second))
						if _, err := c.Write(make([]byte, size)); err != nil {
							t.Error(err)
						}
						if got, err := io.ReadAll(c); string(got) != refusal || err != nil {
							t.Errorf("read %q, %v", got, err)
						}
					})
				}
				all.Wait()
				close(release)
				for served := false; !served; { // until the handlers have ended
					c := r.client()
					got, _ := io.ReadAll(c)
					served = string(got) == "hello\n"
					c.Close()
				}
				if err := r.wait(); err != nil {
					t.Error(err)
				}
				if st := r.Stats(); st.Rejected < 100 || peak.most.Load() != int64(conns) {
					t.Errorf("%d handlers ran at once; %+v", peak.most.Load(), st)
				}
			})
		}
	}
}

// TestRejectIsExact: under racing dialers each is either served or refused, and
// never more than Conns handlers run.
func TestRejectIsExact(t *testing.T) {
	const limit, dialers = 5, 100
	var peak most
	var served, refused atomic.Int64
	full := make(chan struct{})
	r := serveReal(t, &tcpserver.Server{
		Handler: func(ctx context.Context, c *sockets.Conn) error {
			defer peak.enter()()
			return busy(full)(ctx, c)
		},
		Limits: tcpserver.Limits{Conns: limit, Overload: tcpserver.Reject, Refusal: []byte("no\n")},
	})
	var all sync.WaitGroup
	for range dialers {
		all.Go(func() {
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(20 * time.Second))
			line, err := bufio.NewReader(c).ReadString('\n')
			switch line {
			case "hello\n":
				served.Add(1)
				<-full
			case "no\n":
				if refused.Add(1) == dialers-limit {
					close(full)
				}
			default:
				t.Errorf("read %q, %v", line, err)
			}
		})
	}
	all.Wait()
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if st := r.Stats(); served.Load() != limit || st.Served != limit || st.Rejected != dialers-limit || peak.most.Load() != limit {
		t.Errorf("served %d, refused %d, at most %d at once; %+v", served.Load(), refused.Load(), peak.most.Load(), st)
	}
}

// TestRejectDelaysNobody: who is refused and does not read costs no other client
// anything, and itself no more than Linger, however much there is to tell.
func TestRejectDelaysNobody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		r := serveSim(t, &tcpserver.Server{
			Handler:  busy(release),
			Limits:   tcpserver.Limits{Conns: 1, Overload: tcpserver.Reject, Refusal: make([]byte, 4<<20)},
			Timeouts: tcpserver.Timeouts{Linger: 3 * time.Second},
		})
		first := r.client()
		defer first.Close()
		hello(t, first)
		begin := time.Now()
		for range 50 {
			deaf := r.client()
			defer deaf.Close()
		}
		synctest.Wait()
		if st := r.Stats(); st.Accepted != 51 || st.Rejected != 50 || st.Lingering == 0 {
			t.Errorf("%+v", st)
		}
		close(release)
		if err := ended(first); err != io.EOF {
			t.Error(err)
		}
		synctest.Wait() // its slot is free a moment after its connection is closed
		next := r.client()
		defer next.Close()
		hello(t, next)
		if since(begin) != 0 {
			t.Errorf("a good client waited %v", since(begin))
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if st := r.Stats(); st.Running != 0 {
			t.Errorf("after Linger: %+v", st)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

// late is a listener that has one connection, and at a stop more, which it takes its
// time to give.
type late struct {
	conns  chan net.Conn
	atStop []net.Conn
	stops  atomic.Bool
	wake   chan struct{}
}

func (l *late) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.wake:
	}
	time.Sleep(10 * time.Millisecond)
	if len(l.atStop) == 0 {
		return nil, net.ErrClosed
	}
	c := l.atStop[0]
	l.atStop = l.atStop[1:]
	return c, nil
}

func (l *late) SetDeadline(at time.Time) error {
	if !at.IsZero() && l.stops.CompareAndSwap(false, true) {
		close(l.wake)
	}
	return nil
}

func (*late) Close() error   { return nil }
func (*late) Addr() net.Addr { return &net.UnixAddr{Name: "late", Net: "unix"} }

// TestStopCountsOnce: connections that a stop takes from the queue when its grace
// period is over already, and for which there is no room, are counted once each.
func TestStopCountsOnce(t *testing.T) {
	for _, policy := range []tcpserver.Overload{tcpserver.EvictIdle, tcpserver.Block, tcpserver.Reject} {
		inBubble(t, func(t *testing.T) {
			const queued = 4
			release := make(chan struct{})
			ln := &late{conns: make(chan net.Conn, 1), wake: make(chan struct{})}
			var ends []net.Conn
			for i := range queued + 1 {
				server, client := net.Pipe()
				ends = append(ends, client)
				if i == 0 {
					ln.conns <- server
				} else {
					ln.atStop = append(ln.atStop, server)
				}
			}
			s := &tcpserver.Server{
				Handler: func(context.Context, *sockets.Conn) error {
					<-release
					return nil
				},
				Limits:   tcpserver.Limits{Conns: 1, Overload: policy},
				Timeouts: tcpserver.Timeouts{Grace: -1},
			}
			r := serve(t, s, ln)
			synctest.Wait()
			r.stop()
			time.Sleep(500 * time.Millisecond)
			close(release)
			r.wait() // adds the counters up
			if st := s.Stats(); st.Accepted != queued+1 || st.Served != 1 {
				t.Errorf("policy %d: %+v", policy, st)
			}
			for _, c := range ends {
				if err := ended(c); err != io.EOF {
					t.Errorf("policy %d: a client read %v, want EOF", policy, err)
				}
			}
		})
	}
}

// sitter is a client that was answered once and is idle since.
func sitter(t testing.TB, r *running, name string) net.Conn {
	t.Helper()
	c := r.client()
	if got := ask(t, c, name); got != strings.ToUpper(name) {
		t.Fatalf("%s was answered %q", name, got)
	}
	return c
}

// TestEvictOrder: at the limit the connection that has been idle the longest goes,
// then the next; it learns why, and by its context's cause.
func TestEvictOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var gone []string
		r := serveSim(t, &tcpserver.Server{
			Limits: tcpserver.Limits{Conns: 3}, // EvictIdle is the default
			Handler: func(ctx context.Context, c *sockets.Conn) error {
				var name string
				for {
					m, err := c.ReadMessage()
					if err != nil {
						mu.Lock()
						defer mu.Unlock()
						if errors.Is(err, sockets.ErrEvicted) && errors.Is(context.Cause(ctx), sockets.ErrEvicted) && !sockets.IsTimeout(err) {
							gone = append(gone, name)
						}
						return err
					}
					name = string(m)
					if err := c.WriteMessage(bytes.ToUpper(m)); err != nil {
						return err
					}
				}
			},
		})
		clients := map[string]net.Conn{}
		for _, name := range []string{"a", "b", "c"} {
			clients[name] = sitter(t, r, name)
			time.Sleep(2 * time.Second)
		}
		if got := ask(t, clients["a"], "a"); got != "A" { // now b has been idle the longest
			t.Fatal(got)
		}
		time.Sleep(time.Second)
		begin := time.Now()
		for _, name := range []string{"d", "e", "f"} { // in place of b, c and a
			clients[name] = sitter(t, r, name)
		}
		if since(begin) != 0 {
			t.Errorf("the new ones waited %v", since(begin))
		}
		synctest.Wait()
		mu.Lock()
		if want := "b c a"; strings.Join(gone, " ") != want {
			t.Errorf("evicted %v, want %s", gone, want)
		}
		mu.Unlock()
		for _, name := range []string{"a", "b", "c"} {
			if err := ended(clients[name]); err != io.EOF {
				t.Errorf("%s read %v, want EOF", name, err)
			}
		}
		if st := r.Stats(); st.Evicted != 3 || st.Running != 3 || st.Idle != 3 || st.Failed != 3 {
			t.Errorf("%+v", st)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
		for _, c := range clients {
			c.Close()
		}
	})
}

// TestEvictWhen: a new connection is let in at the moment in which another has been
// idle for a second, and not before.
func TestEvictWhen(t *testing.T) {
	inMessages := tcpserver.Respond(func(_ context.Context, q []byte) ([]byte, error) {
		d, _ := time.ParseDuration(string(q)) // the work that the client asks for
		time.Sleep(d)
		return []byte("done"), nil
	})
	inRead := func(_ context.Context, c *sockets.Conn) error {
		buf := make([]byte, 100)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return err
			}
			d, _ := time.ParseDuration(string(bytes.TrimSpace(buf[:n])))
			time.Sleep(d)
			if _, err := c.Write([]byte("done\n")); err != nil {
				return err
			}
		}
	}
	tests := []struct {
		name string
		work []string      // what the connections ask for at 0
		come time.Duration // when the new one comes
		in   time.Duration // when it is served
	}{
		{"idle long enough", []string{"0s"}, 3 * time.Second, 3 * time.Second},
		{"idle for exactly a second", []string{"0s"}, time.Second, time.Second},
		{"idle for a nanosecond less", []string{"0s"}, time.Second - 1, time.Second},
		{"just answered", []string{"0s"}, 0, time.Second},
		{"busy at first", []string{"2500ms"}, time.Second, 3500 * time.Millisecond},
		{"busy for long", []string{"10s"}, time.Second, 11 * time.Second},
		{"two busy", []string{"10s", "2300ms"}, time.Second, 3300 * time.Millisecond},
		{"one idle, one busy", []string{"1h", "0s"}, 500 * time.Millisecond, time.Second},
		{"becomes idle in the moment of a look", []string{"3s"}, time.Second, 4 * time.Second},
	}
	for _, tt := range tests {
		for how, handler := range map[string]sockets.Handler{"Messages": inMessages, "Read": inRead} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					r := serveSim(t, &tcpserver.Server{
						Handler: handler, Limits: tcpserver.Limits{Conns: len(tt.work)},
						Timeouts: tcpserver.Timeouts{Grace: -1},
					})
					begin := time.Now()
					for _, work := range tt.work {
						c := r.client()
						defer c.Close()
						c.Write([]byte(work + "\n"))
					}
					time.Sleep(tt.come)
					c := r.client()
					defer c.Close()
					if ask(t, c, "0s"); since(begin) != tt.in {
						t.Errorf("served after %v, want %v", since(begin), tt.in)
					}
					r.wait()
					time.Sleep(time.Hour) // the handlers that sleep
				})
			})
		}
	}
}

// TestEvictIsExact: under racing dialers never more handlers run than the limit
// allows, everybody is served, and each turn takes the second that it must.
func TestEvictIsExact(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const limit, dialers = 5, 100
		var peak most
		r := serveSim(t, &tcpserver.Server{
			Handler: func(ctx context.Context, c *sockets.Conn) error {
				defer peak.enter()()
				return upper(ctx, c)
			},
			Limits: tcpserver.Limits{Conns: limit},
		})
		begin := time.Now()
		var all sync.WaitGroup
		var last atomic.Int64
		for range dialers {
			all.Go(func() {
				c := r.client()
				defer c.Close()
				if got := ask(t, c, "x"); got != "X" {
					t.Errorf("got %q", got)
				}
				last.Store(int64(since(begin)))
				if err := ended(c); err != io.EOF {
					t.Errorf("then %v, want EOF", err)
				}
			})
		}
		time.Sleep((dialers/limit - 1) * time.Second)
		synctest.Wait()
		if st := r.Stats(); st.Running != limit || st.Accepted != dialers || st.Evicted != dialers-limit {
			t.Errorf("%+v", st)
		}
		if d := time.Duration(last.Load()); d != (dialers/limit-1)*time.Second {
			t.Errorf("the last was served after %v", d)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
		all.Wait()
		if n := peak.most.Load(); n != limit {
			t.Errorf("%d handlers ran at once", n)
		}
	})
}

// TestEvictAmongListeners: the limit, and who goes, is the same whatever listener a
// connection came from; each listener's waits for itself.
func TestEvictAmongListeners(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &tcpserver.Server{Handler: upper, Limits: tcpserver.Limits{Conns: 2}}
		a, b := serveSim(t, s), serveSim(t, s)
		first := sitter(t, a, "first")
		time.Sleep(300 * time.Millisecond)
		second := sitter(t, b, "second")
		begin := time.Now()
		newA, newB := a.client(), b.client() // both wait, for the two
		defer newA.Close()
		defer newB.Close()
		newA.Write([]byte("x\n"))
		newB.Write([]byte("x\n"))
		if err := ended(first); err != io.EOF || since(begin) != 700*time.Millisecond {
			t.Errorf("first: %v after %v", err, since(begin))
		}
		synctest.Wait()
		if st := s.Stats(); st.Evicted != 1 || st.Running != 2 {
			t.Errorf("%+v", st)
		}
		if err := ended(second); err != io.EOF || since(begin) != time.Second {
			t.Errorf("second: %v after %v", err, since(begin))
		}
		for _, c := range []net.Conn{newA, newB, first, second} {
			if c == newA || c == newB {
				if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
					t.Error(err)
				}
			}
			c.Close()
		}
		b.stop()
		if err := <-b.done; err != nil {
			t.Error(err)
		}
		if err := a.wait(); err != nil {
			t.Error(err)
		}
	})
}

// slowly is a connection that lets bytes wait below it, as one does that limits the
// rate at which it reads. It tells what is underneath.
type slowly struct {
	net.Conn
	go_  <-chan struct{}
	over chan struct{}
	once sync.Once
}

func (s *slowly) NetConn() net.Conn { return s.Conn }

func (s *slowly) Read(p []byte) (int, error) {
	select {
	case <-s.go_:
		return s.Conn.Read(p)
	case <-s.over:
		return 0, net.ErrClosed
	}
}

func (s *slowly) Close() error {
	s.once.Do(func() { close(s.over) })
	return s.Conn.Close()
}

// TestEvictSparesUnread: a connection for which bytes wait that nobody has read is
// no idle one. A new one waits, without spinning, and the stop does not hang.
func TestEvictSparesUnread(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		read := make(chan struct{})
		prepared := 0
		r := serveSim(t, &tcpserver.Server{
			Handler: upper,
			Limits:  tcpserver.Limits{Conns: 1},
			Prepare: func(_ context.Context, c net.Conn) (net.Conn, error) {
				if prepared++; prepared > 1 {
					return c, nil
				}
				return &slowly{Conn: c, go_: read, over: make(chan struct{})}, nil
			},
		})
		first := r.client()
		defer first.Close()
		first.Write([]byte("request\n"))
		time.Sleep(5 * time.Second)
		second := r.client()
		defer second.Close()
		second.Write([]byte("next\n"))
		time.Sleep(5 * time.Second) // would not pass if somebody spun
		if st := r.Stats(); st.Evicted != 0 || st.Served+st.Failed != 0 {
			t.Fatalf("%+v", st)
		}
		begin := time.Now()
		close(read)
		if got, err := bufio.NewReader(first).ReadString('\n'); got != "REQUEST\n" {
			t.Errorf("first read %q, %v", got, err)
		}
		if got, err := bufio.NewReader(second).ReadString('\n'); got != "NEXT\n" || since(begin) > 2*time.Second {
			t.Errorf("second read %q, %v, after %v", got, err, since(begin))
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestEvictManyWait: nobody in a crowd that waits evicts who is busy, and everybody
// has a turn when there is room.
func TestEvictManyWait(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const conns, waiters = 50, 500
		release := make(chan struct{})
		r := serveSim(t, &tcpserver.Server{
			Handler:  busy(release),
			Prepare:  func(_ context.Context, c net.Conn) (net.Conn, error) { return c, nil },
			Limits:   tcpserver.Limits{Conns: conns, Handshakes: waiters},
			Timeouts: tcpserver.Timeouts{Grace: time.Second},
		})
		for range conns + waiters {
			c := r.client()
			defer c.Close()
		}
		time.Sleep(time.Minute)
		if st := r.Stats(); st.Running != conns+waiters || st.Evicted != 0 || st.Handshaking != 0 {
			t.Errorf("%+v", st)
		}
		close(release)
		synctest.Wait()
		if st := r.Stats(); st.Served != conns+waiters {
			t.Errorf("%+v", st)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestPerSource: a source is an IPv4 address, mapped or not, or a /64 of IPv6.
func TestPerSource(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Trace: -1})
		hosts := map[string]netip.Addr{
			"v4": netip.MustParseAddr("10.9.0.1"), "v4 too": netip.MustParseAddr("10.9.0.2"),
			"one": netip.MustParseAddr("2001:db8:0:1::1"), "same /64": netip.MustParseAddr("2001:db8:0:1:ffff::2"),
			"other /64": netip.MustParseAddr("2001:db8:0:2::1"),
		}
		server := n.Host("server", netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1"))
		ln, err := server.Listen(t.Context(), "tcp", "[::]:80")
		if err != nil {
			t.Fatal(err)
		}
		r := serve(t, &tcpserver.Server{Handler: upper, Limits: tcpserver.Limits{PerSource: 2, Refusal: []byte("no\n")}}, ln)
		dial := func(from string) net.Conn {
			t.Helper()
			to := "[2001:db8::1]:80"
			if hosts[from].Is4() {
				to = "10.0.0.1:80"
			}
			c, err := n.Host(from, hosts[from]).DialContext(t.Context(), "tcp", to)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		var open []net.Conn
		expect := func(from string, served bool) {
			t.Helper()
			c := dial(from)
			c.Write([]byte("yes\n"))
			got, err := bufio.NewReader(c).ReadString('\n')
			if served && got != "YES\n" || !served && got != "no\n" {
				t.Errorf("from %s: %q, %v", from, got, err)
			}
			open = append(open, c)
		}
		expect("v4", true)
		expect("v4", true)
		expect("v4", false)
		expect("v4 too", true)
		expect("one", true)
		expect("same /64", true)
		expect("one", false)
		expect("same /64", false)
		expect("other /64", true)
		open[0].Close()
		synctest.Wait()
		expect("v4", true)
		expect("v4", false)
		for _, c := range open {
			c.Close()
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
		if n := r.Stats().RejectedSource; n != 4 {
			t.Errorf("%d rejected, want 4", n)
		}
	})
}

// TestPerSourceReal is the same on a socket for both families, where the system
// gives IPv4 addresses in their mapped form.
func TestPerSourceReal(t *testing.T) {
	for _, staged := range []bool{false, true} {
		s := &tcpserver.Server{Handler: upper, Limits: tcpserver.Limits{PerSource: 1, Refusal: []byte("no\n")}}
		if staged {
			s.TLS = serverTLS()
		}
		ln, err := net.Listen("tcp", "[::]:0")
		if err != nil {
			t.Skip("no IPv6 here: ", err)
		}
		r := serve(t, s, ln)
		port := ln.Addr().(*net.TCPAddr).Port
		dial := func(from, to string) net.Conn {
			t.Helper()
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			c, err := d.Dial("tcp", net.JoinHostPort(to, fmt.Sprint(port)))
			if err != nil {
				t.Fatal(err)
			}
			if staged {
				c = tls.Client(c, clientTLS())
			}
			return c
		}
		first := dial("127.0.0.1", "127.0.0.1")
		ask(t, first, "x")
		second := dial("127.0.0.1", "127.0.0.1")
		if got, err := io.ReadAll(second); staged && len(got) != 0 || !staged && string(got) != "no\n" {
			t.Errorf("the second of one address read %q, %v", got, err)
		}
		other, v6 := dial("127.0.0.2", "127.0.0.1"), dial("::1", "::1")
		ask(t, other, "x")
		ask(t, v6, "x")
		for _, c := range []net.Conn{first, second, other, v6} {
			c.Close()
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	}
}

// TestPerSourceIsReleased: however a connection ends, its source has its place back.
func TestPerSourceIsReleased(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := serveSim(t, &tcpserver.Server{
			Handler: func(_ context.Context, c *sockets.Conn) error {
				m, err := c.ReadMessage()
				switch string(m) {
				case "panic":
					panic("boom")
				case "goexit":
					runtime.Goexit()
				case "error":
					return errors.New("failed")
				case "abort":
					c.Abort(errors.New("enough"))
				case "linger":
					return c.WriteMessage([]byte("bye"))
				}
				return err
			},
			Prepare: func(_ context.Context, c net.Conn) (net.Conn, error) {
				b := make([]byte, 1)
				if _, err := io.ReadFull(c, b); err != nil || b[0] == '!' {
					return nil, errors.New("bad header")
				}
				return c, nil
			},
			Limits: tcpserver.Limits{PerSource: 1, Conns: 10},
		})
		for range 3 {
			for _, what := range []string{"-panic", "-goexit", "-error", "-abort", "-linger", "-x", "!", ""} {
				c := r.client()
				if what != "" {
					c.Write([]byte(what + "\nmore that nobody reads\n"))
				}
				c.(interface{ CloseWrite() error }).CloseWrite()
				io.Copy(io.Discard, c)
				c.Close()
				synctest.Wait()
			}
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
		if st := r.Stats(); st.RejectedSource != 0 || st.Handshakes != 6 {
			t.Errorf("%+v", st)
		}
	})
}

// TestHandshakesCap: clients that never finish their handshake use up Handshakes and
// not Conns: those who have are served. Beyond the cap others wait, or are closed.
func TestHandshakesCap(t *testing.T) {
	const silent = 100
	open := func(r *running) (close func()) {
		var all []net.Conn
		for range silent {
			all = append(all, r.client())
		}
		return func() {
			for _, c := range all {
				c.Close()
			}
		}
	}
	over := func(r *running) (*tls.Conn, error) {
		c := tls.Client(r.client(), clientTLS())
		return c, c.Handshake()
	}
	t.Run("below it", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			r := serveSim(t, &tcpserver.Server{Handler: upper, TLS: serverTLS(),
				Limits: tcpserver.Limits{Conns: 2, Handshakes: silent + 1, Overload: tcpserver.Block}})
			defer open(r)()
			synctest.Wait()
			if st := r.Stats(); st.Handshaking != silent {
				t.Errorf("%+v", st)
			}
			begin := time.Now()
			for range 2 {
				c, err := over(r)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				ask(t, c, "x")
			}
			if since(begin) != 0 {
				t.Errorf("the good ones waited %v", since(begin))
			}
			if err := r.wait(); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("at it", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			r := serveSim(t, &tcpserver.Server{Handler: upper, TLS: serverTLS(),
				Limits: tcpserver.Limits{Conns: 2, Handshakes: silent, Overload: tcpserver.Block}})
			begin := time.Now()
			defer open(r)()
			c, err := over(r)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if ask(t, c, "x"); since(begin) != 10*time.Second {
				t.Errorf("served after %v, want Handshake's 10 s", since(begin))
			}
			if err := r.wait(); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("beyond it, Reject", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			r := serveSim(t, &tcpserver.Server{Handler: upper, TLS: serverTLS(),
				Limits: tcpserver.Limits{Conns: 2, Handshakes: silent, Overload: tcpserver.Reject, Refusal: []byte("no\n")}})
			defer open(r)()
			synctest.Wait()
			begin := time.Now()
			c := r.client()
			defer c.Close()
			if got, err := io.ReadAll(c); len(got) != 0 || err != nil { // plain text would be noise to it
				t.Errorf("read %q, %v", got, err)
			}
			if since(begin) != 0 || r.Stats().Rejected != 1 {
				t.Errorf("rejected after %v; %+v", since(begin), r.Stats())
			}
			if err := r.wait(); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("no slot after it, Reject", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			release := make(chan struct{})
			r := serveSim(t, &tcpserver.Server{Handler: busy(release), TLS: serverTLS(),
				Limits: tcpserver.Limits{Conns: 1, Handshakes: 10, Overload: tcpserver.Reject, Refusal: []byte("no\n")}})
			first, err := over(r)
			if err != nil {
				t.Fatal(err)
			}
			defer first.Close()
			hello(t, first)
			second, err := over(r)
			if err != nil {
				t.Fatal(err)
			}
			defer second.Close()
			if got, err := io.ReadAll(second); string(got) != "no\n" || err != nil { // here it is no noise
				t.Errorf("read %q, %v", got, err)
			}
			close(release)
			if err := r.wait(); err != nil {
				t.Error(err)
			}
		})
	})
}
