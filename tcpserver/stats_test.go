package tcpserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

// TestGauges: what the connections of a server are doing at a moment.
func TestGauges(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		r := serveSim(t, &tcpserver.Server{
			Prepare: func(_ context.Context, c net.Conn) (net.Conn, error) {
				_, err := io.ReadFull(c, make([]byte, 1))
				return c, err
			},
			Handler: func(ctx context.Context, c *sockets.Conn) error {
				m, err := c.ReadMessage()
				switch string(m) {
				case "busy":
					<-release
				case "linger":
					return c.WriteMessage([]byte("bye"))
				}
				if err != nil {
					return err
				}
				return upper(ctx, c)
			},
			Timeouts: tcpserver.Timeouts{Linger: time.Hour},
		})
		for _, what := range []string{"", "", "-", "-", "-", "-busy\n", "-linger\n" + strings.Repeat("x", 1000)} {
			c := r.client()
			defer c.Close()
			c.Write([]byte(what))
		}
		synctest.Wait()
		want := tcpserver.Stats{Accepted: 7, Running: 7, Handshaking: 2, Idle: 3, Lingering: 1, Served: 1, Written: 4}
		got := r.Stats()
		got.Read = 0 // Lingering reads
		want.Served = got.Served
		if got != want {
			t.Errorf("%+v\nwant\n%+v", got, want)
		}
		close(release)
		var drained *sockets.DrainError
		if err := r.wait(); !errors.As(err, &drained) || len(drained.CutOff) != 1 { // the one that lingers for an hour
			t.Errorf("Serve returned %v", err)
		}
	})
}

// TestAcceptQueue: the system's queue of a server that can't keep up is seen.
func TestAcceptQueue(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the system doesn't tell")
	}
	release := make(chan struct{})
	r := serveReal(t, &tcpserver.Server{Handler: busy(release), Limits: tcpserver.Limits{Conns: 1, Overload: tcpserver.Block}})
	for range 10 { // one in its handler, one in hand
		c := r.client()
		defer c.Close()
	}
	var st tcpserver.Stats
	for end := time.Now().Add(10 * time.Second); (st.Queue != 8 || st.Accepted != 2) && time.Now().Before(end); st = r.Stats() {
		runtime.Gosched()
	}
	if st.Queue != 8 || st.QueueLimit < 8 || st.Running != 1 || st.Accepted != 2 {
		t.Errorf("%+v", st)
	}
	close(release)
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if st := r.Stats(); st.Queue != 0 || st.QueueLimit != 0 || st.Served != 10 {
		t.Errorf("after the stop: %+v", st)
	}
}

// TestBytesOnlyGrow: numbers that are counted never go back, not even for a moment, as
// whoever draws their rate would take that for a restart. In the end they are right.
func TestBytesOnlyGrow(t *testing.T) {
	const dialers, each, size = 8, 150, 1000
	r := serveReal(t, &tcpserver.Server{Handler: upper})
	over := make(chan struct{})
	var reader, all sync.WaitGroup
	for range 2 {
		reader.Go(func() {
			var last tcpserver.Stats
			for {
				st := r.Stats()
				if st.Read < last.Read || st.Written < last.Written || st.Accepted < last.Accepted || st.Served < last.Served {
					t.Errorf("from %+v\nback to %+v", last, st)
					return
				}
				last = st
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	line := strings.Repeat("x", size-1)
	for range dialers {
		all.Go(func() {
			for range each {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Error(err)
					return
				}
				ask(t, c, line)
				c.Close()
			}
		})
	}
	all.Wait()
	err := r.wait()
	close(over)
	reader.Wait()
	if st := r.Stats(); err != nil || st.Read != dialers*each*size || st.Written != st.Read {
		t.Errorf("%v, %+v", err, st)
	}
}

// TestStatsAsJSON: Stats are plain numbers.
func TestStatsAsJSON(t *testing.T) {
	var s tcpserver.Server
	text, err := json.Marshal(s.Stats())
	if err != nil {
		t.Fatal(err)
	}
	var numbers map[string]int64
	if err := json.Unmarshal(text, &numbers); err != nil || len(numbers) != reflect.TypeFor[tcpserver.Stats]().NumField() {
		t.Errorf("%s: %v", text, err)
	}
}

// TestStragglers: a DrainError tells of each connection that a stop cut off what it was
// doing, in every phase that it can be in.
func TestStragglers(t *testing.T) {
	const grace = 3 * time.Second
	const late = 100 * time.Millisecond
	tests := []struct {
		phase  string
		server tcpserver.Server
		send   []string // by one client each; the last one is the straggler
		read   int64    // bytes
		wrote  int64
		others int           // stragglers in other phases
		late   time.Duration // that handlers take to end, so that nobody has their place
	}{
		{"handshake", tcpserver.Server{TLS: serverTLS(), Timeouts: tcpserver.Timeouts{Handshake: time.Hour}}, []string{"\x16\x03"}, 0, 0, 0, 0}, // bytes count from the handshake on
		{"waiting for its turn", tcpserver.Server{Prepare: proxyHeader, Limits: tcpserver.Limits{Conns: 1}},
			[]string{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2.3 192.0.2.2 1 2\r\n"}, 0, 0, 1, late},
		{"handler", tcpserver.Server{}, []string{"hello\n"}, 6, 6, 0, 0},
		{"lingering", tcpserver.Server{Timeouts: tcpserver.Timeouts{Linger: time.Hour}}, []string{"bye\n" + strings.Repeat("x", 500)}, 504, 4, 0, 0},
		{"refusing", tcpserver.Server{Limits: tcpserver.Limits{PerSource: 1, Refusal: []byte("no\n")}, Timeouts: tcpserver.Timeouts{Linger: time.Hour}},
			[]string{"hello\n", "hello\n"}, 6, 3, 1, 0},
	}
	for i := range tests {
		tt := &tests[i]
		t.Run(tt.phase, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := &tt.server
				s.Timeouts.Grace = grace
				s.Handler = func(ctx context.Context, c *sockets.Conn) error {
					if s.Prepare == nil {
						m, err := c.ReadMessage()
						if err != nil {
							return err
						}
						if err := c.WriteMessage(m); err != nil || string(m) == "bye" {
							return err
						}
					}
					<-ctx.Done()
					time.Sleep(tt.late)
					return context.Cause(ctx)
				}
				r := serveSim(t, s)
				var last net.Conn
				for _, text := range tt.send {
					last = r.client()
					defer last.Close()
					last.Write([]byte(text))
					synctest.Wait()
				}
				time.Sleep(10 * time.Second)
				begin := time.Now()
				err := r.wait()
				if since(begin) != grace+tt.late {
					t.Errorf("the stop took %v", since(begin))
				}
				var drained *sockets.DrainError
				if !errors.As(err, &drained) || drained.Grace != grace || len(drained.CutOff) != 1+tt.others || len(drained.Abandoned) != 0 {
					t.Fatalf("Serve returned %v", err)
				}
				remote := last.LocalAddr().String() + "/tcp"
				if s.Prepare != nil {
					remote = "192.0.2.3:1/tcp"
				}
				for _, g := range drained.CutOff {
					if g.Phase != tt.phase {
						continue
					}
					if g.ID == 0 || g.Remote.String() != remote || g.Age != 13*time.Second+tt.late || g.Quiet != g.Age || g.Read != tt.read || g.Written != tt.wrote {
						t.Errorf("%+v", g)
					}
					if !strings.Contains(err.Error(), fmt.Sprintf("%s #%d %s", g.Phase, g.ID, remote)) {
						t.Errorf("the text does not name it: %v", err)
					}
					return
				}
				t.Errorf("none is %s: %v", tt.phase, err)
			})
		})
	}
}

// TestStopsAgain: a second and a third end of the context, a stop of a stopped server,
// a listener closed by somebody else in the middle of a stop.
func TestStopsAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Trace: -1})
		ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		r := serve(t, &tcpserver.Server{Handler: busy(release)}, ln)
		r.dial = n.DialContext
		c := r.client()
		defer c.Close()
		hello(t, c)
		begin := time.Now()
		for range 3 {
			r.stop()
			synctest.Wait()
			ln.Close() // already closed by the server, which is no error of its own
			time.Sleep(time.Second)
		}
		close(release)
		if err := r.wait(); err != nil || since(begin) != 3*time.Second {
			t.Errorf("Serve returned %v after %v", err, since(begin))
		}
		if err := <-r.again(n); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a listener that somebody closes while it serves: %v", err)
		}
	})
}

// again serves another listener, which is closed at once.
func (r *running) again(n *simnet.Network) chan error {
	ln, err := n.Listen(r.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	next := serve(r.t, r.Server, ln)
	synctest.Wait()
	ln.Close()
	return next.done
}
