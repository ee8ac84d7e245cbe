package sockets_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/guard"
	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

// relayed is a relay that runs, with the peers at both ends.
type relayed struct {
	left, right net.Conn
	a, b        *sockets.Conn
	ga, gb      *guard.Guard
	start       time.Time
	done        chan error // the relay's
}

// relay starts one, whose sides have the same limits.
func relay(t *testing.T, ctx context.Context, pairs func(*testing.T) (net.Conn, net.Conn), l guard.Limits) *relayed {
	t.Helper()
	r := &relayed{start: time.Now(), done: make(chan error, 1)}
	here, left := pairs(t)
	r.a, r.ga = guarded(here, l)
	here, right := pairs(t)
	r.b, r.gb = guarded(here, l)
	r.left, r.right = left, right
	go func() { r.done <- sockets.Relay(ctx, r.a, r.b) }()
	return r
}

func memory(t *testing.T) (here, there net.Conn) { return simPair(t, simnet.Options{}) }

// closeWrite sends a FIN.
func closeWrite(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
}

// reset sends a RST.
func reset(c net.Conn) {
	_ = c.(interface{ SetLinger(int) error }).SetLinger(0)
	c.Close()
}

// wantRest reads c to its end.
func wantRest(t *testing.T, what string, c net.Conn, want string, end error) {
	t.Helper()
	got, err := io.ReadAll(c)
	if string(got) != want || !errors.Is(err, end) || end == nil && err != nil {
		t.Errorf("%s reads %.40q (%d) and then %v, want %.40q (%d) and %v", what, got, len(got), err, want, len(want), end)
	}
}

// wantNext reads exactly want.
func wantNext(t *testing.T, what string, c net.Conn, want string) {
	t.Helper()
	p := make([]byte, len(want))
	if _, err := io.ReadFull(c, p); string(p) != want || err != nil {
		t.Errorf("%s reads %q, %v; want %q", what, p, err, want)
	}
}

// ends waits for the relay's end, which came exactly after d.
func (r *relayed) ends(t *testing.T, what string, d time.Duration, want error) error {
	t.Helper()
	err := <-r.done
	wantError(t, what, err, want)
	took(t, what, r.start, d)
	return err
}

// Data and both ends arrive in every order in which sides may close.
func TestRelayOrderOfClosing(t *testing.T) {
	const hour = time.Hour
	flip := func(r *relayed) { r.left, r.right = r.right, r.left }
	for name, order := range map[string]func(*relayed){"as is": func(*relayed) {}, "the other way": flip} {
		tests := []struct {
			name string
			run  func(t *testing.T, r *relayed)
			took time.Duration
		}{
			{"nothing at all", func(t *testing.T, r *relayed) { r.left.Close(); r.right.Close() }, 0},
			{"a request, its end, a late reply, its end", func(t *testing.T, r *relayed) {
				send(t, r.left, "request")
				closeWrite(t, r.left)
				wantRest(t, "right", r.right, "request", nil)
				time.Sleep(hour)
				send(t, r.right, "reply")
				wantNext(t, "left", r.left, "reply")
				time.Sleep(hour)
				closeWrite(t, r.right)
				wantRest(t, "left", r.left, "", nil)
			}, 2 * hour},
			{"the end of one, then a request of the other", func(t *testing.T, r *relayed) {
				closeWrite(t, r.left)
				wantRest(t, "right", r.right, "", nil)
				for range 3 {
					time.Sleep(hour)
					send(t, r.right, strings.Repeat("x", 1000))
				}
				r.right.Close()
				wantRest(t, "left", r.left, strings.Repeat("x", 3000), nil)
			}, 3 * hour},
			{"both at once, with data", func(t *testing.T, r *relayed) {
				send(t, r.left, strings.Repeat("l", 100_000))
				send(t, r.right, strings.Repeat("r", 100_000))
				closeWrite(t, r.left)
				closeWrite(t, r.right)
				wantRest(t, "left", r.left, strings.Repeat("r", 100_000), nil)
				wantRest(t, "right", r.right, strings.Repeat("l", 100_000), nil)
			}, 0},
			{"a side that reads late", func(t *testing.T, r *relayed) {
				var wg sync.WaitGroup
				wg.Go(func() { send(t, r.left, strings.Repeat("l", 2_000_000)); r.left.Close() })
				time.Sleep(hour)
				wantRest(t, "right", r.right, strings.Repeat("l", 2_000_000), nil)
				wg.Wait()
				r.right.Close()
			}, hour},
		}
		for _, tt := range tests {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := relay(t, t.Context(), memory, guard.Limits{})
					order(r)
					tt.run(t, r)
					r.ends(t, tt.name, tt.took, nil)
				})
			})
		}
	}
}

// What was read before the relay is passed on first, and counts.
func TestRelayPassesOnWhatWasReadAhead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, left := conversation(t, nil)
		b, right := conversation(t, nil)
		send(t, left, "CONNECT\nearly")
		wantMessage(t, a, "CONNECT")
		send(t, right, "greeting\nearly too")
		wantMessage(t, b, "greeting")
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { err = sockets.Relay(t.Context(), a, b) })
		wantNext(t, "right", right, "early")
		wantNext(t, "left", left, "early too")
		left.Close()
		right.Close()
		wg.Wait()
		wantError(t, "Relay", err, nil)
	})
}

// A reset is passed on as one, after what had come before it.
func TestRelayPassesOnResets(t *testing.T) {
	for _, blocked := range []bool{false, true} {
		for range 20 { // the scheduler decides which direction the system tells
			bubble(t, func(t *testing.T) {
				r := relay(t, t.Context(), memory, guard.Limits{})
				if blocked { // then a write may be told of the reset, and not the read
					go func() { _, _ = r.right.Write(make([]byte, 2_000_000)) }()
				}
				send(t, r.left, "last words")
				time.Sleep(time.Second)
				reset(r.left)
				if !blocked {
					wantRest(t, "right", r.right, "last words", syscall.ECONNRESET)
				} else {
					synctest.Wait()
					got, err := io.ReadAll(r.right)
					if string(got) != "last words" || !errors.Is(err, syscall.ECONNRESET) && len(got) == 0 {
						t.Errorf("right reads %q, %v", got, err)
					}
				}
				err := r.ends(t, "Relay", time.Second, syscall.ECONNRESET)
				if !strings.HasPrefix(err.Error(), "relay from "+r.a.Remote().String()+" to "+r.b.Remote().String()+": read ") && !blocked {
					t.Errorf("which direction? %v", err)
				}
			})
		}
	}
}

// A side that has ended its sending, and is then written to, was complete: the other
// side gets all of it, and an EOF.
func TestRelayToSideThatIsGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := relay(t, t.Context(), memory, guard.Limits{})
		send(t, r.right, "reply")
		r.right.Close() // with a FIN; what comes now is answered by a RST
		wantRest(t, "left", r.left, "reply", nil)
		for range 2 {
			time.Sleep(time.Second)
			_, _ = r.left.Write([]byte("more"))
		}
		err := r.ends(t, "Relay", 2*time.Second, syscall.EPIPE)
		if !strings.Contains(err.Error(), " to "+r.b.Remote().String()+": write ") {
			t.Errorf("which direction? %v", err)
		}
	})
}

func TestRelayEndsWithContext(t *testing.T) {
	for _, early := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			odd := errors.New("odd")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if early {
				cancel(odd)
			}
			r := relay(t, ctx, memory, guard.Limits{})
			want := time.Duration(0)
			if !early {
				want = time.Minute
				time.AfterFunc(want, func() { cancel(odd) })
			}
			wantRest(t, "left", r.left, "", syscall.ECONNRESET)
			wantRest(t, "right", r.right, "", syscall.ECONNRESET)
			err := r.ends(t, "Relay", want, odd)
			wantError(t, "Relay", err, context.Canceled)
			wantError(t, "the context of a side", context.Cause(r.ga), odd)
		})
	}
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r := relay(t, ctx, memory, guard.Limits{})
		wantTimeout(t, "Relay", r.ends(t, "Relay", time.Hour, context.DeadlineExceeded))
	})
}

// The end of a side by this program is no EOF for the other.
func TestRelayOfSideThatIsEnded(t *testing.T) {
	for _, half := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			here, left := memory(t)
			a, g := guarded(here, guard.Limits{})
			b, right := conversation(t, nil)
			if half {
				closeWrite(t, left)
			}
			start := time.Now()
			time.AfterFunc(time.Second, func() { g.End(sockets.ErrCutOff) })
			err := sockets.Relay(g, a, b) // as in a handler
			wantFinal(t, "Relay", err, sockets.ErrCutOff)
			took(t, "Relay", start, time.Second)
			if half {
				wantRest(t, "right", right, "", nil) // it was told of the EOF before
			}
			_, err = right.Read(make([]byte, 1))
			wantError(t, "right", err, map[bool]error{false: syscall.ECONNRESET, true: io.EOF}[half])
		})
	}
}

// idleEnds are the states in which a relay can be idle.
var idleEnds = map[string]func(*testing.T, *relayed){
	"open":       func(*testing.T, *relayed) {},
	"left ended": func(t *testing.T, r *relayed) { closeWrite(t, r.left) },
}

func TestRelayIdle(t *testing.T) {
	for name, state := range idleEnds {
		bubble(t, func(t *testing.T) {
			r := relay(t, t.Context(), memory, guard.Limits{Idle: time.Minute})
			r.start = time.Now()
			for range 3 { // bytes of either direction count
				time.Sleep(50 * time.Second)
				send(t, r.right, strings.Repeat("x", 200))
				wantNext(t, "left", r.left, strings.Repeat("x", 200))
				time.Sleep(50 * time.Second)
				send(t, r.left, "y")
				wantNext(t, "right", r.right, "y")
			}
			state(t, r)
			wantRest(t, "left", r.left, "", nil)
			wantRest(t, "right", r.right, "", nil)
			wantFinal(t, name, r.ends(t, name, 360*time.Second, sockets.ErrIdle), sockets.ErrIdle)
		})
	}
}

// A stop ends a relay on which nothing moves, whichever side is the server's, and
// also if the handler has read messages before.
func TestRelayDrain(t *testing.T) {
	const ms = time.Millisecond
	for name, state := range idleEnds {
		for _, side := range []string{"left", "right", "both"} {
			for _, quiet := range []time.Duration{30 * ms, time.Hour} {
				bubble(t, func(t *testing.T) {
					r := relay(t, t.Context(), memory, guard.Limits{})
					time.Sleep(time.Second)
					send(t, r.left, "x")
					wantNext(t, "right", r.right, "x")
					state(t, r)
					synctest.Wait()
					time.Sleep(quiet)
					if side != "right" {
						r.ga.Drain(0)
					}
					if side != "left" {
						r.gb.Drain(0)
					}
					wantRest(t, "left", r.left, "", nil)
					wantRest(t, "right", r.right, "", nil)
					err := r.ends(t, name+", "+side, time.Second+max(quiet, 100*ms), sockets.ErrDraining)
					wantFinal(t, name, err, sockets.ErrDraining)
				})
			}
		}
	}
}

func TestRelayDrainAfterMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, left := memory(t)
		a, g := guarded(here, guard.Limits{})
		b, _ := conversation(t, nil)
		send(t, left, "CONNECT\n")
		wantMessage(t, a, "CONNECT")
		start := time.Now()
		time.AfterFunc(time.Second, func() { g.Drain(0) })
		wantFinal(t, "Relay", sockets.Relay(t.Context(), a, b), sockets.ErrDraining)
		took(t, "Relay", start, time.Second)
	})
}

// What moves goes on during a stop, until nothing has moved for 100 ms; a side that
// is slow to read is no silence.
func TestRelayDrainLetsStreamsGoOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := relay(t, t.Context(), memory, guard.Limits{})
		r.ga.Drain(0)
		go func() {
			for range 50 {
				send(t, r.right, "tick")
				time.Sleep(99 * time.Millisecond)
			}
		}()
		wantRest(t, "left", r.left, strings.Repeat("tick", 50), nil)
		r.ends(t, "ticks", 49*99*time.Millisecond+100*time.Millisecond, sockets.ErrDraining)
		time.Sleep(time.Second)
	})
	bubble(t, func(t *testing.T) {
		r := relay(t, t.Context(), memory, guard.Limits{})
		reply := strings.Repeat("x", 3_000_000)
		var wg sync.WaitGroup
		wg.Go(func() { send(t, r.right, reply) })
		synctest.Wait()
		r.ga.Drain(0)
		time.Sleep(time.Hour)
		wantRest(t, "left", r.left, reply, nil)
		wg.Wait()
		wantFinal(t, "Relay", <-r.done, sockets.ErrDraining)
	})
}

// Bytes that are here when the stop comes are passed on.
func TestRelayBytesHereWinOverDrain(t *testing.T) {
	for range 50 { // the scheduler decides who is first
		bubble(t, func(t *testing.T) {
			r := relay(t, t.Context(), memory, guard.Limits{})
			time.Sleep(time.Second)
			go func() {
				send(t, r.left, "here")
				r.ga.Drain(0)
			}()
			wantRest(t, "right", r.right, "here", nil)
			r.ends(t, "Relay", 1100*time.Millisecond, sockets.ErrDraining)
		})
	}
}

// A side that takes nothing ends both, and so does one that is too slow.
func TestRelayToSlowSide(t *testing.T) {
	const min = time.Minute
	tests := []struct {
		name   string
		limits guard.Limits
		read   int // bytes a second
		want   error
		least  time.Duration
		most   time.Duration
	}{
		{"nothing", guard.Limits{Write: min}, 0, sockets.ErrWrite, min, 2 * min},
		{"a little", guard.Limits{Write: min}, 10_000, nil, 0, 0},
		{"less than the minimum", guard.Limits{Write: min, MinRate: 40_000}, 20_000, sockets.ErrMinRate, 5 * time.Second, 15 * time.Second},
		{"more than the minimum", guard.Limits{Write: min, MinRate: 10_000}, 20_000, nil, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := relay(t, t.Context(), memory, tt.limits)
				content := strings.Repeat("x", 2_000_000)
				var wg sync.WaitGroup
				var writeErr error
				wg.Go(func() {
					if _, writeErr = io.WriteString(r.left, content); tt.want == nil {
						closeWrite(t, r.left)
					}
				})
				wg.Go(func() {
					n, err := 0, error(nil)
					for p := make([]byte, tt.read); tt.read > 0 && err == nil; time.Sleep(time.Second) {
						var k int
						k, err = io.ReadFull(r.right, p)
						n += k
					}
					if tt.want == nil && n != len(content) {
						t.Errorf("%d arrived, %v", n, err)
					}
					if tt.want == nil {
						r.right.Close()
					}
				})
				err := <-r.done
				wantError(t, tt.name, err, tt.want)
				if d := time.Since(r.start); tt.want != nil && (d < tt.least || d > tt.most) {
					t.Errorf("ended after %v", d)
				}
				if tt.want == nil {
					wg.Wait()
					return
				}
				_, readErr := io.Copy(io.Discard, r.left)
				wg.Wait()
				wantError(t, "left", errors.Join(readErr, writeErr), syscall.ECONNRESET) // it is told once
			})
		})
	}
}

// Without half-close the end of one direction is that of both, after what is here.
func TestRelayWithoutHalfClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := relay(t, t.Context(), pipePair, guard.Limits{})
		send(t, r.left, "request")
		go func() { r.left.Close() }()
		wantNext(t, "right", r.right, "request")
		wantError(t, "Relay", <-r.done, nil)
		r.b.Close()
		wantRest(t, "right", r.right, "", nil)
	})
}

func TestRelayOfMixedKinds(t *testing.T) {
	kinds := map[string]func(*testing.T) (net.Conn, net.Conn){"tcp": tcpPair, "unix": unixPair, "tls": tlsPair}
	content, other := random(3<<20), random(5 << 20)[2<<20:]
	for nameA, pairA := range kinds {
		for nameB, pairB := range kinds {
			t.Run(nameA+"-"+nameB, func(t *testing.T) {
				hereA, left := pairA(t)
				hereB, right := pairB(t)
				a, ga := guarded(hereA, guard.Limits{Write: time.Minute, Idle: time.Minute})
				b, gb := guarded(hereB, guard.Limits{Write: time.Minute, Idle: time.Minute})
				var wg sync.WaitGroup
				var err error
				wg.Go(func() { err = sockets.Relay(t.Context(), a, b) })
				for c, out := range map[net.Conn][]byte{left: content, right: other} {
					wg.Go(func() {
						if _, err := c.Write(out); err != nil {
							t.Error(err)
						}
						_ = sockets.NewConn(c, nil).CloseWrite() // for TLS also a FIN
					})
				}
				for c, want := range map[net.Conn][]byte{left: other, right: content} {
					wg.Go(func() {
						if got, err := io.ReadAll(c); !bytes.Equal(got, want) || err != nil {
							t.Errorf("%d bytes arrived, want %d; %v", len(got), len(want), err)
						}
					})
				}
				wg.Wait()
				wantError(t, "Relay", err, nil)
				for g, want := range map[*guard.Guard][2]int64{
					ga: {int64(len(content)), int64(len(other))}, gb: {int64(len(other)), int64(len(content))}} {
					if read, written, _ := g.Traffic(); read != want[0] || written != want[1] {
						t.Errorf("counted %d and %d, want %v", read, written, want)
					}
				}
			})
		}
	}
}

// On real sockets as in memory: what came before a reset, and then the reset, of
// which the right side is told once, in a read or in a write.
func TestRelayPassesOnResetsOfSockets(t *testing.T) {
	for range 20 {
		r := relay(t, t.Context(), tcpPair, guard.Limits{})
		content := string(random(50_000))
		send(t, r.left, content)
		wantNext(t, "right", r.right, content)
		written := make(chan error, 1)
		go func() {
			_, err := r.right.Write(make([]byte, 8<<20))
			written <- err
		}()
		wantNext(t, "left", r.left, "\x00") // the way back may be writing now
		reset(r.left)
		n, err := r.right.Read(make([]byte, 1))
		if writeErr := <-written; n != 0 || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(writeErr, syscall.ECONNRESET) {
			t.Errorf("right reads %d bytes, %v, and writes: %v", n, err, writeErr)
		}
		wantError(t, "Relay", <-r.done, syscall.ECONNRESET)
	}
}

// A stop of a server whose handler relays ends an idle pair at once, and tells both.
func TestStopEndsIdleRelay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		to, behind := conversation(t, nil)
		server := &tcpserver.Server{Logger: quiet, Handler: func(ctx context.Context, c *sockets.Conn) error {
			return sockets.Relay(ctx, c, to)
		}}
		ctx, stop := context.WithCancel(t.Context())
		ln, err := n.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error)
		go func() { served <- server.Serve(ctx, ln) }()
		client, err := n.DialContext(ctx, "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		send(t, client, "x")
		wantNext(t, "behind", behind, "x")
		time.Sleep(time.Minute)
		start := time.Now()
		stop()
		wantRest(t, "the client", client, "", nil)
		wantRest(t, "behind", behind, "", nil)
		took(t, "the relay's end", start, 0)
		wantError(t, "Serve", <-served, nil)
		if s := server.Stats(); s.Served != 1 || s.Failed != 0 {
			t.Errorf("served %d, failed %d", s.Served, s.Failed)
		}
		client.Close()
	})
}

// Where one Read is one message, it is passed on as one.
func TestRelayKeepsPackets(t *testing.T) {
	hereA, left := udpPair(t)
	hereB, right := udpPair(t)
	ctx, stop := context.WithCancel(t.Context())
	var err error
	var wg sync.WaitGroup
	wg.Go(func() {
		err = sockets.Relay(ctx, sockets.NewConn(hereA, sockets.Packets()), sockets.NewConn(hereB, sockets.Packets()))
	})
	p := make([]byte, 65536)
	for _, size := range []int{0, 1, 127, 128, 129, 0, 5000, 60_000} {
		for from, to := range map[net.Conn]net.Conn{left: right, right: left} {
			want := random(size)
			if _, err := from.Write(want); err != nil {
				t.Fatal(err)
			}
			_ = to.SetReadDeadline(time.Now().Add(10 * time.Second))
			if n, err := to.Read(p); !bytes.Equal(p[:n], want) || err != nil {
				t.Errorf("a message of %d arrives as one of %d, %v", size, n, err)
			}
		}
	}
	stop()
	wg.Wait()
	wantError(t, "Relay", err, context.Canceled)
}
