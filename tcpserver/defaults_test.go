package tcpserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
)

// TestDefaultTimeouts: what a server waits for that was told nothing.
func TestDefaultTimeouts(t *testing.T) {
	writer := func(_ context.Context, c *sockets.Conn) error {
		_, err := c.Write(make([]byte, 8<<20))
		return err
	}
	tests := []struct {
		name   string
		server tcpserver.Server
		send   string
		ends   time.Duration // 0: never
		want   error         // of the handler
	}{
		{"Idle", tcpserver.Server{Handler: upper}, "", 0, nil},
		{"Idle in Read", tcpserver.Server{Handler: waiting["Read"]}, "", 0, nil},
		{"Message", tcpserver.Server{Handler: upper}, "half", time.Minute, sockets.ErrMessage},
		{"Write", tcpserver.Server{Handler: writer}, "", time.Minute, sockets.ErrWrite}, // twice 30 s: the buffers took some at first
		{"Handshake", tcpserver.Server{Handler: upper, TLS: serverTLS()}, "\x16\x03", 10 * time.Second, nil},
	}
	for i := range tests {
		tt := &tests[i]
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var outcome error
				handler := tt.server.Handler
				tt.server.Handler = func(ctx context.Context, c *sockets.Conn) error {
					outcome = handler(ctx, c)
					return outcome
				}
				r := serveSim(t, &tt.server)
				c := r.client()
				defer c.Close()
				c.Write([]byte(tt.send))
				if tt.ends == 0 {
					time.Sleep(1000 * time.Hour)
				} else {
					time.Sleep(tt.ends - 1)
				}
				synctest.Wait()
				if st := r.Stats(); st.Running != 1 {
					t.Errorf("before its time: %+v", st)
				}
				if tt.ends > 0 {
					time.Sleep(time.Nanosecond)
					synctest.Wait()
					if st := r.Stats(); st.Running != 0 || tt.want != nil && !errors.Is(outcome, tt.want) {
						t.Errorf("at its time: %+v, %v", st, outcome)
					}
				}
				if err := r.wait(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestDefaultGraceAndLinger: a stop waits 5 s for who is busy, and a connection 2 s
// for a peer that does not read its last reply.
func TestDefaultGraceAndLinger(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := serveSim(t, &tcpserver.Server{Handler: busy(nil)})
		c := r.client()
		defer c.Close()
		hello(t, c)
		begin := time.Now()
		var drained *sockets.DrainError
		if err := r.wait(); !errors.As(err, &drained) || drained.Grace != 5*time.Second || since(begin) != 5*time.Second {
			t.Errorf("Serve returned %v after %v", err, since(begin))
		}
	})
	inBubble(t, func(t *testing.T) {
		r := serveSim(t, &tcpserver.Server{Handler: func(_ context.Context, c *sockets.Conn) error {
			if err := c.Await(); err != nil {
				return err
			}
			return c.WriteMessage([]byte("reply"))
		}})
		c := r.client()
		defer c.Close()
		c.Write(make([]byte, 1000)) // more than is read ahead
		time.Sleep(2*time.Second - 1)
		if st := r.Stats(); st.Lingering != 1 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if st := r.Stats(); st.Lingering != 0 || st.Running != 0 {
			t.Errorf("%+v", st)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestDefaultHandshakes: a quarter of Conns, at least one; beyond it one is in hand.
func TestDefaultHandshakes(t *testing.T) {
	for conns, want := range map[int]int64{1: 1, 40: 10, 43: 10, -1: 60} {
		inBubble(t, func(t *testing.T) {
			r := serveSim(t, &tcpserver.Server{Handler: upper, TLS: serverTLS(), Limits: tcpserver.Limits{Conns: conns}})
			var all []net.Conn
			for range 60 {
				all = append(all, r.client())
			}
			synctest.Wait()
			if st := r.Stats(); st.Handshaking != want || st.Accepted != min(want+1, 60) {
				t.Errorf("with %d conns: %+v", conns, st)
			}
			if err := r.wait(); err != nil {
				t.Error(err)
			}
			for _, c := range all {
				if err := ended(c); err != io.EOF {
					t.Errorf("a client read %v", err)
				}
				c.Close()
			}
		})
	}
}
