package client_test

import (
	"context"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/internal/sockopt"
	"example.com/sockets/simnet"
)

// A connection on which something has come, or which the peer has ended, is not
// handed on, though nobody has read that yet: neither to who waits nor, before its
// watcher has looked, to who comes next.
func TestPoolHandsOnWhatIsSound(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("nobody can tell")
	}
	for _, tt := range []struct {
		name  string
		then  func(net.Conn)
		count func(client.Retired) int64
	}{
		{"unasked", func(c net.Conn) { c.Write([]byte("and another\n")) }, func(r client.Retired) int64 { return r.Unasked }},
		{"ended", func(c net.Conn) { c.(*net.TCPConn).CloseWrite() }, func(r client.Retired) int64 { return r.Ended }},
		{"reset", func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }, func(r client.Retired) int64 { return r.Reset }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := make(chan struct{}) // the reply has been read
			ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
			go func() {
				for {
					nc, err := ln.Accept()
					if err != nil {
						return
					}
					go serveThen(nc, got, tt.then)
				}
			}()
			defer ln.Close()
			p := &client.Pool{Address: ln.Addr().String(), Conns: 1}
			calls(4, func(int) { // one has it, and the others wait
				for range 5 {
					err := p.Do(t.Context(), func(ctx context.Context, c *sockets.Conn) error {
						if _, err := c.Call(ctx, []byte("hello")); err != nil {
							return err
						}
						got <- struct{}{}
						var probe sockopt.Probe
						probe.Init(c.NetConn())
						for end := time.Now().Add(5 * time.Second); !probe.Ready() && time.Now().Before(end); {
							runtime.Gosched() // until it is here
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
			p.Close()
			if s := p.Stats(); tt.count(s.Retired) != 20 || s.Dialed != 20 || s.Failed != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// Who is handed a connection that was ready to rest has it without the clock of that:
// a call may take longer than Pool.Idle.
func TestPoolHandsOnWithoutItsClock(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		(&lineServer{delay: 5 * time.Second}).serve(w)
		p := newPool(w, &client.Pool{Conns: 1, Idle: time.Second, Dialer: client.Dialer{Timeout: time.Minute}})
		calls(3, func(int) { wantCall(t, p, "hello") })
		if s := p.Stats(); s.Dialed != 1 || w.now() != 15*time.Second {
			t.Errorf("at %v: %+v", w.now(), s)
		}
	})
}

// Connections that were made together do not end together: each has a lifetime of its
// own, up to a tenth shorter than the longest.
func TestPoolLifetimesDiffer(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var ends []time.Duration
		p := newPool(w, &client.Pool{Conns: 8, Idle: -1, Lifetime: time.Hour})
		p.Dialer.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			here, there := net.Pipe()
			return counted{here, sync.OnceValue(func() error {
				mu.Lock()
				ends = append(ends, w.now())
				mu.Unlock()
				there.Close()
				return here.Close()
			})}, nil
		}
		hold := make(chan struct{})
		for range 8 {
			go p.Do(t.Context(), func(context.Context, *sockets.Conn) error { <-hold; return nil })
		}
		synctest.Wait()
		close(hold)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		slices.Sort(ends)
		if len(slices.Compact(slices.Clone(ends))) != 8 || ends[0] < 54*time.Minute || ends[7] > time.Hour {
			t.Errorf("they end at %v", ends)
		}
	})
}

// A reply belongs to the caller: the next one on the connection does not change it.
func TestReplyIsTheCallers(t *testing.T) {
	address := listen(t, "tcp", "127.0.0.1:0").Addr().String()
	pool := &client.Pool{Address: address, Conns: 1}
	defer pool.Close()
	pipeline := must(new(client.Dialer).DialPipeline(t.Context(), address, 0))(t)
	defer pipeline.Close()
	byID := must((&client.Dialer{ID: func(m []byte) (uint64, bool) { return uint64(m[0] | 0x20), true }}).DialPipeline(t.Context(), address, 0))(t)
	defer byID.Close()
	for name, call := range map[string]func(context.Context, []byte) ([]byte, error){"pool": pool.Call, "in order": pipeline.Call, "by ID": byID.Call} {
		first, err := call(t.Context(), []byte("first"))
		if _, err := call(t.Context(), []byte("other")); err != nil {
			t.Error(err)
		}
		if string(first) != "FIRST" {
			t.Errorf("%s: the first reply has become %q, %v", name, first, err)
		}
	}
}

// serveThen answers one line, and does something when the reply has been read.
func serveThen(nc net.Conn, got <-chan struct{}, then func(net.Conn)) {
	defer nc.Close()
	c := sockets.NewConn(nc, nil)
	if line, err := c.ReadMessage(); err == nil {
		c.WriteMessage(upper(line))
		<-got
		then(nc)
		c.ReadMessage()
	}
}
