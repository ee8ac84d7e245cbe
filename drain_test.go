package sockets_test

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/sockopt"
	"example.com/sockets/simnet"
)

// idlePoints are where a stop finds a connection idle.
var idlePoints = map[string]func(*sockets.Conn) error{
	"Await":       (*sockets.Conn).Await,
	"ReadMessage": func(c *sockets.Conn) error { _, err := c.ReadMessage(); return err },
}

func TestDrainWakesIdle(t *testing.T) {
	for name, park := range idlePoints {
		for _, before := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				here, there := simPair(t, simnet.Options{})
				c, g := guarded(here, guard.Limits{Idle: time.Hour})
				start := time.Now()
				if before { // it becomes idle after the stop has begun
					g.Drain(0)
				} else {
					time.AfterFunc(time.Minute, func() { g.Drain(0) })
				}
				want := map[bool]time.Duration{true: 0, false: time.Minute}[before]
				err := park(c)
				wantFinal(t, name, err, sockets.ErrDraining)
				took(t, name, start, want)
				<-c.Draining()
				for other, again := range idlePoints {
					wantFinal(t, other, again(c), sockets.ErrDraining)
				}
				// Writes still work, and the user's deadline changes nothing.
				_ = c.SetReadDeadline(time.Now().Add(time.Hour))
				send(t, c, "bye")
				p := make([]byte, 3)
				if _, err := io.ReadFull(there, p); string(p) != "bye" || err != nil {
					t.Errorf("%s: the peer reads %q, %v", name, p, err)
				}
				wantFinal(t, name, park(c), sockets.ErrDraining)
				took(t, name, start, want)
			})
		}
	}
}

func TestDrainLetsMessageFinish(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		c, g := guarded(here, guard.Limits{})
		send(t, there, "hal")
		time.AfterFunc(time.Second, func() { g.Drain(0) })
		time.AfterFunc(time.Minute, func() { send(t, there, "f\nnex") })
		time.AfterFunc(2*time.Minute, func() { send(t, there, "t\n") })
		wantMessage(t, c, "half")
		wantMessage(t, c, "next") // it had begun
		_, err := c.ReadMessage()
		wantFinal(t, "ReadMessage", err, sockets.ErrDraining)
	})
}

// Whatever had come when the stop began is served.
func TestBytesHereWinOverDrain(t *testing.T) {
	pairs := map[string]func(*testing.T) (net.Conn, net.Conn){"tcp": tcpPair, "unix": unixPair, "tls": tlsPair}
	for name, pair := range pairs {
		for _, parked := range []bool{true, false} {
			here, there := pair(t)
			c, g := guarded(here, guard.Limits{})
			got := make(chan string, 1)
			read := func() {
				m, err := c.ReadMessage()
				if err != nil {
					t.Errorf("%s, parked %v: %v", name, parked, err)
				}
				got <- string(m)
			}
			if parked {
				go read()
				time.Sleep(time.Millisecond) // so that it most likely is
			}
			send(t, there, "request\n")
			arrived(t, here, g)
			g.Drain(0)
			if !parked {
				go read()
			}
			if m := <-got; m != "request" {
				t.Errorf("%s, parked %v: %q", name, parked, m)
			}
			_, err := c.ReadMessage()
			wantFinal(t, name, err, sockets.ErrDraining)
		}
	}
}

// arrived waits until bytes are here, if they were not even read.
func arrived(t *testing.T, here net.Conn, g *guard.Guard) {
	t.Helper()
	if over, ok := here.(*tls.Conn); ok {
		here = over.NetConn()
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
		n, ok := sockopt.Unread(here)
		if read, _, _ := g.Traffic(); n > 0 || read > 0 {
			return
		}
		if !ok {
			t.Skip("the system can't tell what has arrived")
		}
	}
	t.Error("nothing has arrived")
}

func TestBytesHereWinOverDrainInMemory(t *testing.T) {
	for range 50 { // the scheduler decides who is first
		bubble(t, func(t *testing.T) {
			here, there := simPair(t, simnet.Options{})
			c, g := guarded(here, guard.Limits{})
			go func() {
				send(t, there, "request\n")
				g.Drain(0)
			}()
			wantMessage(t, c, "request")
			_, err := c.ReadMessage()
			wantFinal(t, "ReadMessage", err, sockets.ErrDraining)
		})
	}
}

// Raw reading is idle when no byte has moved in either direction for 100 ms.
func TestDrainOfRawRead(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name        string
		last, drain time.Duration // the last byte, the stop
		want        time.Duration
	}{
		{"silent for long", 0, time.Hour, time.Hour},
		{"silent for exactly 100 ms", 0, 100 * ms, 100 * ms},
		{"silent for 30 ms", time.Second, time.Second + 30*ms, time.Second + 100*ms},
		{"a byte in this moment", time.Second, time.Second, time.Second + 100*ms},
	}
	for _, tt := range tests {
		for _, out := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				here, there := simPair(t, simnet.Options{})
				c, g := guarded(here, guard.Limits{})
				start := time.Now()
				from, to := net.Conn(c), there
				if !out {
					from, to = there, c
				}
				time.AfterFunc(tt.last, func() { send(t, from, "x") })
				time.AfterFunc(tt.drain, func() { synctest.Wait(); g.Drain(0) })
				_ = to
				var err error
				for err == nil {
					_, err = c.Read(make([]byte, 1))
				}
				wantFinal(t, tt.name, err, sockets.ErrDraining)
				took(t, tt.name, start, tt.want)
			})
		}
	}
}

// A streamed reply goes on, and so does a request that comes in.
func TestDrainLetsStreamsGoOn(t *testing.T) {
	for name, in := range map[string]bool{"reply": false, "request": true} {
		bubble(t, func(t *testing.T) {
			here, there := simPair(t, simnet.Options{})
			c, g := guarded(here, guard.Limits{})
			start := time.Now()
			go func() {
				to := net.Conn(c)
				if in {
					to = there
				}
				for range 100 {
					send(t, to, "tick")
					time.Sleep(99 * time.Millisecond)
				}
			}()
			time.AfterFunc(time.Second, func() { g.Drain(0) })
			n, err := c.WriteTo(io.Discard)
			wantFinal(t, name, err, sockets.ErrDraining)
			if in && n != 400 {
				t.Errorf("%s: %d bytes read", name, n)
			}
			took(t, name, start, 99*99*time.Millisecond+100*time.Millisecond)
			time.Sleep(time.Second)
		})
	}
}

// A connection from the queue of a server that stops has 100 ms to begin.
func TestDrainLater(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name string
		at   time.Duration // when the first byte comes
		want string
		end  time.Duration
	}{
		{"its message is there", 0, "one", 0},
		{"it comes in time", 99 * ms, "one", 99 * ms},
		{"it begins in time", 99 * ms, "slow", 99*ms + time.Second},
		{"it comes too late", 101 * ms, "", 100 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				here, there := simPair(t, simnet.Options{})
				c, g := guarded(here, guard.Limits{})
				g.Drain(100 * ms)
				<-c.Draining()
				start := time.Now()
				go func() {
					time.Sleep(tt.at)
					if tt.want == "slow" {
						_, _ = io.WriteString(there, "sl")
						time.Sleep(time.Second)
						_, _ = io.WriteString(there, "ow\n")
						return
					}
					_, _ = io.WriteString(there, "one\n")
				}()
				if tt.at == 0 {
					synctest.Wait()
				}
				if tt.want != "" {
					wantMessage(t, c, tt.want)
				}
				_, err := c.ReadMessage()
				wantFinal(t, "ReadMessage", err, sockets.ErrDraining)
				took(t, "all", start, tt.end)
				time.Sleep(time.Minute)
			})
		})
	}
}

// A user's deadline that is set after the stop began does not erase the wake-up.
func TestDeadlineDoesNotEraseDrain(t *testing.T) {
	for range 20 {
		bubble(t, func(t *testing.T) {
			here, _ := simPair(t, simnet.Options{})
			c, g := guarded(here, guard.Limits{})
			go func() {
				g.Drain(0)
				_ = c.SetReadDeadline(time.Now().Add(time.Hour))
				_ = c.SetReadDeadline(time.Time{})
			}()
			start := time.Now()
			_, err := c.ReadMessage()
			wantFinal(t, "ReadMessage", err, sockets.ErrDraining)
			took(t, "ReadMessage", start, 0)
		})
	}
}

func TestDrainingChannel(t *testing.T) {
	c, g := guarded(&feed{}, guard.Limits{})
	select {
	case <-c.Draining():
		t.Error("closed before the stop")
	default:
	}
	g.Drain(time.Hour)
	g.Drain(0)
	<-c.Draining()
}

// A call in progress is no idleness: the peer is to speak.
func TestDrainLetsCallFinish(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		c, g := guarded(here, guard.Limits{Idle: time.Second})
		go echo(there, 5*time.Second)
		time.AfterFunc(time.Second, func() { g.Drain(0) })
		if reply, err := c.Call(t.Context(), []byte("x")); string(reply) != "x" || err != nil {
			t.Errorf("%q, %v", reply, err)
		}
		there.Close()
	})
}

// tlsPair is a TLS connection as the standard library makes it.
func tlsPair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	a, b := tcpPair(t)
	return tlsOver(t, a, b)
}
