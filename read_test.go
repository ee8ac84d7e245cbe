package sockets_test

import (
	"context"
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

func TestMessagesByteByByte(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		c := sockets.NewConn(simnet.Torture(here), nil)
		go func() {
			send(t, there, "one\r\n\ntwo\n"+strings.Repeat("x", 3000)+"\n")
			there.Close()
		}()
		for _, want := range []string{"one", "", "two", strings.Repeat("x", 3000)} {
			wantMessage(t, c, want)
		}
		for range 2 {
			if m, err := c.ReadMessage(); err != io.EOF || m != nil {
				t.Errorf("at the end: %q, %v, want bare io.EOF", m, err)
			}
		}
	})
}

// All ways to read share one buffer.
func TestWaysToReadMix(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, there := conversation(t, nil)
		send(t, there, "line\nraw!\x00\x03abcrest\x02hi")
		wantMessage(t, c, "line")
		if err := c.Await(); err != nil {
			t.Error(err)
		}
		p := make([]byte, 4)
		if n, err := c.Read(p[:0]); n != 0 || err != nil {
			t.Errorf("Read of nothing: %d, %v", n, err)
		}
		if n, err := io.ReadFull(c, p); string(p[:n]) != "raw!" || err != nil {
			t.Errorf("Read %q, %v", p[:n], err)
		}
		c.SetFraming(sockets.LengthPrefix(2, 0))
		wantMessage(t, c, "abc")
		if n, err := io.ReadFull(c, p); string(p[:n]) != "rest" || err != nil {
			t.Errorf("Read %q, %v", p[:n], err)
		}
		c.SetFraming(sockets.Uvarint(0))
		wantMessage(t, c, "hi")
		if err := c.WriteMessage([]byte("yo")); err != nil {
			t.Error(err)
		}
		if n, err := io.ReadFull(there, p[:3]); string(p[:n]) != "\x02yo" || err != nil {
			t.Errorf("written with the last framing: %q, %v", p[:n], err)
		}
	})
}

func TestAwaitReadsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, there := conversation(t, nil)
		time.AfterFunc(time.Minute, func() { send(t, there, "x"); there.Close() })
		start := time.Now()
		for range 2 {
			if err := c.Await(); err != nil {
				t.Fatal(err)
			}
			took(t, "Await", start, time.Minute)
		}
		if b, err := io.ReadAll(c); string(b) != "x" || err != nil {
			t.Errorf("after it %q, %v", b, err)
		}
		if err := c.Await(); err != io.EOF {
			t.Errorf("at the end: %v, want bare io.EOF", err)
		}
	})
}

// A timeout inside a message loses nothing.
func TestTimeoutInsideMessageResumes(t *testing.T) {
	for name, f := range framings(1000) {
		wire, _ := f.Append(nil, []byte("resumed"))
		for at := range wire {
			bubble(t, func(t *testing.T) {
				c, there := conversation(t, f)
				send(t, there, string(wire[:at]))
				for range 2 {
					start := time.Now()
					_ = c.SetReadDeadline(start.Add(time.Second))
					m, err := c.ReadMessage()
					wantTimeout(t, name, err)
					took(t, name, start, time.Second)
					if m != nil {
						t.Errorf("%s: a message %q with the timeout", name, m)
					}
				}
				_ = c.SetReadDeadline(time.Time{})
				send(t, there, string(wire[at:]))
				wantMessage(t, c, "resumed")
			})
		}
	}
}

func TestMessagesLoop(t *testing.T) {
	odd := errors.New("odd")
	tests := []struct {
		name string
		end  func(c *sockets.Conn, g *guard.Guard, there net.Conn)
		last error // nil: the loop just ends
	}{
		{"EOF", func(_ *sockets.Conn, _ *guard.Guard, there net.Conn) { there.Close() }, nil},
		{"drain", func(_ *sockets.Conn, g *guard.Guard, _ net.Conn) { g.Drain(0) }, nil},
		{"EOF inside", func(_ *sockets.Conn, _ *guard.Guard, there net.Conn) {
			_, _ = io.WriteString(there, "half")
			there.Close()
		}, io.ErrUnexpectedEOF},
		{"abort", func(c *sockets.Conn, _ *guard.Guard, _ net.Conn) { c.Abort(odd) }, odd},
		{"close", func(c *sockets.Conn, _ *guard.Guard, _ net.Conn) { c.Close() }, net.ErrClosed},
		{"timeout", func(c *sockets.Conn, _ *guard.Guard, _ net.Conn) { _ = c.SetReadDeadline(time.Now()) }, context.DeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				here, there := simPair(t, simnet.Options{})
				c, g := guarded(here, guard.Limits{})
				c.SetFraming(sockets.Lines(4))
				send(t, there, "a\nwhat is too long\nb\n")
				time.AfterFunc(time.Minute, func() { tt.end(c, g, there) })
				var got []string
				var last error
				for m, err := range c.Messages() {
					if last != nil {
						t.Errorf("the loop goes on after %v", last)
					}
					switch {
					case errors.Is(err, sockets.ErrTooLong):
						got = append(got, "!")
					case err != nil:
						last = err
					default:
						got = append(got, string(m))
					}
				}
				if s := strings.Join(got, " "); s != "a ! b" {
					t.Errorf("the loop saw %q", s)
				}
				wantError(t, "the last pair", last, tt.last)
			})
		})
	}
}

func TestMessagesEndsWithFramingError(t *testing.T) {
	c := sockets.NewConn(&feed{parts: []string{"\x01a\xff"}}, sockets.LengthPrefix(1, 8))
	n := 0
	for _, err := range c.Messages() {
		if n++; n == 2 {
			wantError(t, "the second", err, sockets.ErrTooLong)
		}
	}
	if n != 2 {
		t.Errorf("the loop had %d turns", n)
	}
}

func TestMessagesBreak(t *testing.T) {
	c := sockets.NewConn(&feed{parts: []string{"a\nb\nc\n"}}, nil)
	for range c.Messages() {
		break
	}
	for m, err := range c.Messages() {
		if string(m) != "b" || err != nil {
			t.Errorf("a second loop begins with %q, %v", m, err)
		}
		break
	}
}

// What was read ahead is not read after the end of the connection.
func TestNoReadAfterTheEnd(t *testing.T) {
	odd := errors.New("odd")
	for name, tt := range map[string]struct {
		end  func(*sockets.Conn)
		want error
	}{
		"Close":     {func(c *sockets.Conn) { c.Close() }, net.ErrClosed},
		"Abort":     {func(c *sockets.Conn) { c.Abort(odd) }, odd},
		"Abort nil": {func(c *sockets.Conn) { c.Abort(nil) }, net.ErrClosed},
	} {
		bubble(t, func(t *testing.T) {
			c, there := conversation(t, nil)
			send(t, there, "a\nb\nc\n")
			wantMessage(t, c, "a")
			tt.end(c)
			_, err := c.ReadMessage()
			wantFinal(t, name+": ReadMessage", err, tt.want)
			_, err = c.Read(make([]byte, 8))
			wantFinal(t, name+": Read", err, tt.want)
			wantFinal(t, name+": Await", c.Await(), tt.want)
			_, err = c.WriteTo(io.Discard)
			wantFinal(t, name+": WriteTo", err, tt.want)
			wantFinal(t, name+": WriteMessage", c.WriteMessage(nil), tt.want)
			_, err = c.Write([]byte("x"))
			wantFinal(t, name+": Write", err, tt.want)
			wantFinal(t, name+": CloseWrite", c.CloseWrite(), tt.want)
			wantFinal(t, name+": SetReadDeadline", c.SetReadDeadline(time.Now()), tt.want)
			wantFinal(t, name+": SetWriteDeadline", c.SetWriteDeadline(time.Now()), tt.want)
			wantFinal(t, name+": Upgrade", c.Upgrade(t.Context(), nil), tt.want)
		})
	}
}

// A connection whose Read returns neither a byte nor an error does not spin.
func TestReadWithoutProgress(t *testing.T) {
	f := &feed{parts: []string{"", "", "a\n"}}
	wantMessage(t, sockets.NewConn(f, nil), "a")
	stuck := sockets.NewConn(&nothing{}, nil)
	_, err := stuck.ReadMessage()
	wantError(t, "ReadMessage", err, io.ErrNoProgress)
	wantError(t, "Await", stuck.Await(), io.ErrNoProgress)
}

type nothing struct{ feed }

func (nothing) Read([]byte) (int, error) { return 0, nil }

// An error that comes with bytes is not lost, nor are the bytes.
func TestBytesWithError(t *testing.T) {
	odd := errors.New("odd")
	for name, tt := range map[string]struct{ with, want error }{
		"EOF":   {io.EOF, io.EOF},
		"error": {odd, odd},
	} {
		c := sockets.NewConn(&together{feed{then: tt.with}, "a\nb\n"}, nil)
		wantMessage(t, c, "a")
		wantMessage(t, c, "b")
		_, err := c.ReadMessage()
		wantError(t, name, err, tt.want)
	}
}

type together struct {
	feed
	first string
}

func (f *together) Read(p []byte) (int, error) {
	n := copy(p, f.first)
	f.first = f.first[n:]
	if f.first == "" {
		return n, f.then
	}
	return n, nil
}

// The user's deadline and the idle limit do not disturb each other.
func TestIdleInSpiteOfTimeouts(t *testing.T) {
	reads := map[string]func(*sockets.Conn) error{
		"ReadMessage": func(c *sockets.Conn) error { _, err := c.ReadMessage(); return err },
		"Await":       (*sockets.Conn).Await,
		"Read":        func(c *sockets.Conn) error { _, err := c.Read(make([]byte, 1)); return err },
	}
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				here, there := simPair(t, simnet.Options{})
				c, _ := guarded(here, guard.Limits{Idle: time.Minute})
				send(t, there, "\n")
				if err := read(c); err != nil {
					t.Fatal(err)
				}
				if name == "Await" {
					wantMessage(t, c, "")
				}
				time.Sleep(time.Hour) // the handler works: nothing is awaited
				start := time.Now()
				for range 2 {
					_ = c.SetReadDeadline(time.Now().Add(25 * time.Second))
					wantTimeout(t, name, read(c))
				}
				_ = c.SetReadDeadline(time.Now().Add(25 * time.Second))
				for range 2 {
					wantFinal(t, name, read(c), sockets.ErrIdle)
					took(t, name, start, time.Minute)
				}
				if err := c.WriteMessage([]byte("bye")); err != nil {
					t.Errorf("writing after ErrIdle: %v", err)
				}
			})
		})
	}
}

// Raw reading counts as idle only while nothing moves in either direction.
func TestIdleOfReadIsBothDirections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		c, _ := guarded(here, guard.Limits{Idle: time.Minute})
		start := time.Now()
		go func() {
			for range 3 {
				time.Sleep(50 * time.Second)
				send(t, c, "tick")
			}
		}()
		_, err := c.Read(make([]byte, 1))
		wantFinal(t, "Read", err, sockets.ErrIdle)
		took(t, "Read", start, 150*time.Second+time.Minute)
		_ = there
	})
}

// Between two idle points a handler that reads on its own is busy.
func TestReadBetweenIdlePointsIsNotIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		c, g := guarded(here, guard.Limits{Idle: time.Minute})
		send(t, there, "x")
		if err := c.Await(); err != nil {
			t.Fatal(err)
		}
		g.Drain(0)
		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
		start := time.Now()
		if _, err := io.ReadFull(c, make([]byte, 2)); !sockets.IsTimeout(err) {
			t.Errorf("error %v, want the user's timeout", err)
		}
		took(t, "Read", start, time.Hour)
		_ = c.SetReadDeadline(time.Time{})
		wantFinal(t, "Await", c.Await(), sockets.ErrDraining)
	})
}

// The message clock runs from the first byte to the last, whatever the user's
// deadlines do, and however slowly bytes come.
func TestMessageLimit(t *testing.T) {
	for _, drip := range []time.Duration{time.Second, 59 * time.Second, time.Hour} {
		for _, deadlines := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				here, there := simPair(t, simnet.Options{})
				c, _ := guarded(here, guard.Limits{Message: time.Minute, Idle: 3 * time.Hour})
				stop := make(chan struct{})
				var start time.Time
				go func() {
					time.Sleep(2 * time.Hour) // idle, which is another thing
					start = time.Now()
					for {
						_, _ = io.WriteString(there, "x")
						select {
						case <-stop:
							return
						case <-time.After(drip):
						}
					}
				}()
				var err error
				for {
					if deadlines {
						_ = c.SetReadDeadline(time.Now().Add(7 * time.Second))
					}
					if _, err = c.ReadMessage(); !sockets.IsTimeout(err) {
						break
					}
				}
				wantFinal(t, "ReadMessage", err, sockets.ErrMessage)
				took(t, "the message", start, time.Minute)
				_, err = c.ReadMessage()
				wantFinal(t, "again", err, sockets.ErrMessage)
				close(stop)
			})
		}
	}
}

// Each pipelined message has a clock of its own.
func TestMessageLimitOfTheNext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		c, _ := guarded(here, guard.Limits{Message: time.Minute})
		send(t, there, "one\ntw")
		wantMessage(t, c, "one")
		time.Sleep(time.Hour) // the handler's time, not the peer's
		time.AfterFunc(59*time.Second, func() { send(t, there, "o\n") })
		wantMessage(t, c, "two")
	})
}

func TestPartialMessageWithEOF(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, there := conversation(t, sockets.LengthPrefix(1, 0))
		send(t, there, "\x05abc")
		there.Close()
		for range 2 {
			m, err := c.ReadMessage()
			wantError(t, "ReadMessage", err, io.ErrUnexpectedEOF)
			if string(m) != "\x05abc" || !strings.Contains(err.Error(), "4 of a message's 6 bytes") {
				t.Errorf("%q, %v: want what had come, and how much", m, err)
			}
		}
	})
}

// A parked connection holds no buffer: what ReadMessage returned from a large one
// is overwritten by the next only when that is read.
func TestMessageValidUntilNextRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, there := conversation(t, nil)
		long := strings.Repeat("x", 50_000)
		send(t, there, long+"\n"+long+"\nshort\n")
		m, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.WriteMessage([]byte(strings.Repeat("y", 60_000)))
		synctest.Wait()
		if string(m) != long {
			t.Error("the message has changed before the next read")
		}
		wantMessage(t, c, long)
		wantMessage(t, c, "short")
	})
}
