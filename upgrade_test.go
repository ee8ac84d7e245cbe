package sockets_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/guard"
	"example.com/sockets/simnet"
)

// STARTTLS in the middle of a line protocol, with the next line behind the
// handshake in one piece.
func TestUpgradeToTLS(t *testing.T) {
	talk := func(t *testing.T, here, there net.Conn) {
		server, client := tlsConfigs(t)
		c, peer := sockets.NewConn(here, nil), sockets.NewConn(there, nil)
		id := c.ID()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if reply, err := peer.Call(t.Context(), []byte("STARTTLS")); string(reply) != "go" || err != nil {
				t.Errorf("STARTTLS: %q, %v", reply, err)
			}
			err := peer.Upgrade(t.Context(), func(nc net.Conn) (net.Conn, error) {
				c := tls.Client(nc, client)
				return c, c.HandshakeContext(t.Context())
			})
			if err != nil {
				t.Errorf("the client's upgrade: %v", err)
			}
			if reply, err := peer.Call(t.Context(), []byte("hello")); string(reply) != "HELLO" || err != nil {
				t.Errorf("over TLS: %q, %v", reply, err)
			}
			_ = peer.Close()
		}()
		wantMessage(t, c, "STARTTLS")
		send(t, c, "go\n")
		if err := c.Upgrade(t.Context(), serverTLS(server)); err != nil {
			t.Fatal(err)
		}
		over, ok := c.NetConn().(*tls.Conn)
		if !ok || !over.ConnectionState().HandshakeComplete || c.ID() != id {
			t.Errorf("NetConn is %T, ID %d, before %d", c.NetConn(), c.ID(), id)
		}
		wantMessage(t, c, "hello")
		if err := c.WriteMessage([]byte("HELLO")); err != nil {
			t.Error(err)
		}
		if _, err := c.ReadMessage(); err != io.EOF {
			t.Errorf("after close_notify: %v", err)
		}
		<-done
		if c.Remote() != peer.Local() {
			t.Errorf("remote %v, want %v", c.Remote(), peer.Local())
		}
		wantError(t, "Close", c.Close(), nil)
	}
	t.Run("in memory", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			here, there := simPair(t, simnet.Options{})
			talk(t, here, there)
		})
	})
	t.Run("loopback", func(t *testing.T) {
		here, there := tcpPair(t)
		talk(t, here, there)
	})
}

func TestUpgradeWithBytesReadAhead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, there := conversation(t, nil)
		send(t, there, "STARTTLS\nsmuggled\n")
		wantMessage(t, c, "STARTTLS")
		err := c.Upgrade(t.Context(), func(net.Conn) (net.Conn, error) {
			t.Error("the upgrade begins")
			return nil, nil
		})
		if err == nil || !strings.Contains(err.Error(), "9 bytes were read ahead") {
			t.Errorf("error %v", err)
		}
	})
}

func TestUpgradeEndsWithContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		c, g := guarded(here, guard.Limits{})
		server, _ := tlsConfigs(t)
		odd := errors.New("odd")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(odd) })
		start := time.Now()
		err := c.Upgrade(ctx, serverTLS(server))
		took(t, "Upgrade", start, time.Minute)
		wantFinal(t, "Upgrade", err, odd)
		wantError(t, "Upgrade", err, context.Canceled)
		wantError(t, "the context", context.Cause(g), odd)
		_, err = c.Read(make([]byte, 1))
		wantError(t, "Read", err, odd)
		if n, err := there.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("the peer reads %d, %v; the connection should be closed", n, err)
		}
	})
}

func TestUpgradeTimesOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _ := conversation(t, nil)
		server, _ := tlsConfigs(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		wantTimeout(t, "Upgrade", c.Upgrade(ctx, serverTLS(server)))
		took(t, "Upgrade", start, time.Minute)
	})
}

// An upgrade whose context ends in its last moment has failed: it is not closed
// behind the back of one who was told that all is well.
func TestUpgradeContextEndsAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _ := conversation(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		err := c.Upgrade(ctx, func(nc net.Conn) (net.Conn, error) {
			cancel()
			return nc, nil
		})
		wantError(t, "Upgrade", err, context.Canceled)
	})
}

func TestUpgradeFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, there := conversation(t, nil)
		odd := errors.New("odd")
		err := c.Upgrade(t.Context(), func(net.Conn) (net.Conn, error) { return nil, odd })
		wantError(t, "Upgrade", err, odd)
		_, err = c.ReadMessage()
		wantError(t, "ReadMessage", err, odd)
		if n, err := there.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("the peer reads %d, %v", n, err)
		}
	})
}

// Some upgrades put nothing on top: they only talk.
func TestUpgradeThatOnlyTalks(t *testing.T) {
	for name, result := range map[string]func(net.Conn) net.Conn{
		"what it was given": func(nc net.Conn) net.Conn { return nc },
		"nil":               func(net.Conn) net.Conn { return nil },
	} {
		bubble(t, func(t *testing.T) {
			here, there := simPair(t, simnet.Options{})
			c, g := guarded(here, guard.Limits{})
			send(t, there, "header")
			err := c.Upgrade(t.Context(), func(nc net.Conn) (net.Conn, error) {
				_ = nc.SetDeadline(time.Now().Add(time.Second)) // and leaves it there
				_, err := io.ReadFull(nc, make([]byte, 6))
				return result(nc), err
			})
			if err != nil || c.NetConn() != here {
				t.Errorf("%s: %v, NetConn %T", name, err, c.NetConn())
			}
			time.AfterFunc(time.Minute, func() { send(t, there, "line\n") })
			wantMessage(t, c, "line")
			_ = c.SetReadDeadline(time.Now().Add(time.Hour))
			time.AfterFunc(time.Minute, func() { g.Drain(0) })
			start := time.Now()
			wantFinal(t, name, c.Await(), sockets.ErrDraining)
			took(t, name, start, time.Minute)
		})
	}
}

func TestUpgradeAndDrain(t *testing.T) {
	server, _ := tlsConfigs(t)
	t.Run("of which no byte has come", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			here, _ := simPair(t, simnet.Options{})
			c, g := guarded(here, guard.Limits{})
			time.AfterFunc(time.Minute, func() { g.Drain(0) })
			start := time.Now()
			wantFinal(t, "Upgrade", c.Upgrade(t.Context(), serverTLS(server)), sockets.ErrDraining)
			took(t, "Upgrade", start, time.Minute)
		})
	})
	t.Run("under way", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			here, there := simPair(t, simnet.Options{})
			c, g := guarded(here, guard.Limits{})
			send(t, there, "h")
			time.AfterFunc(time.Minute, func() { g.Drain(0) })
			time.AfterFunc(time.Hour, func() { send(t, there, "i") })
			start := time.Now()
			if err := c.Upgrade(t.Context(), func(nc net.Conn) (net.Conn, error) {
				_, err := io.ReadFull(nc, make([]byte, 2))
				return nc, err
			}); err != nil {
				t.Error(err)
			}
			took(t, "Upgrade", start, time.Hour)
			wantFinal(t, "Await", c.Await(), sockets.ErrDraining)
			took(t, "Await", start, time.Hour)
		})
	})
	t.Run("begun after the stop", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			here, _ := simPair(t, simnet.Options{})
			c, g := guarded(here, guard.Limits{})
			g.Drain(0)
			wantFinal(t, "Upgrade", c.Upgrade(t.Context(), serverTLS(server)), sockets.ErrDraining)
			send(t, c, "bye")
		})
	})
	t.Run("upgraded, then idle", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			here, there := simPair(t, simnet.Options{})
			c, g := guarded(here, guard.Limits{Idle: time.Hour})
			_, client := tlsConfigs(t)
			go func() { _ = tls.Client(there, client).Handshake() }()
			if err := c.Upgrade(t.Context(), serverTLS(server)); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Minute, func() { g.Drain(0) })
			start := time.Now()
			wantFinal(t, "Await", c.Await(), sockets.ErrDraining)
			// Nobody can tell whether TLS holds bytes: it is given a moment.
			took(t, "Await", start, time.Minute+5*time.Millisecond)
			if err := c.WriteMessage([]byte("bye")); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestIdleOfTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		c, _ := guarded(here, guard.Limits{Idle: time.Minute})
		server, client := tlsConfigs(t)
		peer := tls.Client(there, client)
		go func() { _ = peer.Handshake() }()
		if err := c.Upgrade(t.Context(), serverTLS(server)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		time.AfterFunc(59*time.Second, func() { send(t, peer, "in time\n") })
		wantMessage(t, c, "in time")
		wantFinal(t, "Await", c.Await(), sockets.ErrIdle)
		took(t, "Await", start, 59*time.Second+time.Minute)
		if err := c.WriteMessage([]byte("bye")); err != nil {
			t.Errorf("writing after ErrIdle: %v", err)
		}
	})
}

// Abort closes below TLS at once; Close may wait for a peer that reads nothing,
// and Abort cuts that short. Both also when the Conn was made over TLS.
func TestAbortOfTLS(t *testing.T) {
	for _, over := range []bool{false, true} {
		for _, closing := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				here, there := simPair(t, simnet.Options{ReadBuffer: 8 << 10, WriteBuffer: 8 << 10})
				var c *sockets.Conn
				if over {
					nc, _ := tlsOver(t, here, there)
					c = sockets.NewConn(nc, nil)
				} else {
					c, _ = upgraded(t, here, there)
				}
				_ = here.SetWriteDeadline(time.Now().Add(time.Second))
				for _, size := range []int{1000, 1} {
					for err := error(nil); err == nil; {
						_, err = here.Write(make([]byte, size)) // until the peer would have to read
					}
				}
				_ = here.SetWriteDeadline(time.Time{})
				start := time.Now()
				if closing {
					done := make(chan struct{})
					go func() { defer close(done); c.Close() }()
					time.Sleep(time.Second)
					c.Abort(nil)
					<-done
					took(t, "Close", start, time.Second)
					return
				}
				c.Abort(nil)
				took(t, "Abort", start, 0)
			})
		}
	}
}

// What is above the socket is closed by its forced end as well: it may hold more
// than the socket.
func TestAbortClosesAllLayers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, ended := range []bool{false, true} {
			c, _ := conversation(t, nil)
			closed := 0
			err := c.Upgrade(t.Context(), func(nc net.Conn) (net.Conn, error) {
				if ended {
					c.Abort(nil)
				}
				return &counted{nc, &closed}, nil
			})
			if (err != nil) != ended {
				t.Errorf("Upgrade: %v", err)
			}
			c.Abort(nil)
			c.Close()
			if closed == 0 {
				t.Errorf("ended in the upgrade %v: the layer was not closed", ended)
			}
		}
	})
}

type counted struct {
	net.Conn
	closed *int
}

func (c *counted) Close() error {
	*c.closed++
	return c.Conn.Close()
}

// Writes by others wait for an upgrade to end, and then use what it made.
func TestWriteDuringUpgrade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		c := sockets.NewConn(here, nil)
		server, client := tlsConfigs(t)
		peer := tls.Client(there, client)
		got := make(chan string)
		go func() {
			time.Sleep(time.Minute)
			b, _ := io.ReadAll(peer)
			got <- string(b)
		}()
		time.AfterFunc(time.Second, func() {
			_ = c.SetDeadline(time.Now().Add(time.Second)) // for later, not for the handshake
			_ = c.SetDeadline(time.Time{})
			_ = c.WriteMessage([]byte("line"))
			c.Close()
		})
		if err := c.Upgrade(t.Context(), serverTLS(server)); err != nil {
			t.Fatal(err)
		}
		if s := <-got; s != "line\n" {
			t.Errorf("the peer reads %q", s)
		}
		synctest.Wait()
	})
}
