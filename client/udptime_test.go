package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// A silent server: the request is sent at 0, 100, 300 and 700 ms, each wait
// lengthened by up to a quarter, and the call ends with its context.
func TestUDPRetransmission(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		var sent []time.Duration
		address := w.udp(func(int, []byte, func(string)) { sent = append(sent, w.now()) })
		u := dialUDP(t, w.dialer(client.Dialer{Retry: client.Retry{First: 100 * ms}}), address)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := u.Call(ctx, []byte("hello"))
		if w.now() != time.Second {
			t.Errorf("ended at %v", w.now())
		}
		synctest.Wait()
		if len(sent) != 4 || sent[0] != 0 {
			t.Fatalf("sent at %v", sent)
		}
		for i, wait := range []time.Duration{100 * ms, 200 * ms, 400 * ms} {
			if d := sent[i+1] - sent[i]; !near(d, wait) {
				t.Errorf("wait %d was %v, want %v", i+1, d, wait)
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, os.ErrDeadlineExceeded) || sockets.NotSent(err) {
			t.Errorf("got %v", err)
		}
		want := fmt.Sprintf("call %v -> 10.0.0.2:7/udp: no reply to 4 attempts in 1s: deadline exceeded", localOf(err))
		if err.Error() != want {
			t.Errorf("got  %v\nwant %v", err, want)
		}
	})
}

// localOf is the local end that an error names.
func localOf(err error) string {
	_, rest, _ := strings.Cut(err.Error(), " ")
	local, _, _ := strings.Cut(rest, " ")
	return local
}

func TestUDPWaits(t *testing.T) {
	tests := []struct {
		name     string
		dialer   client.Dialer
		ends     time.Duration // 0: within the last wait's jitter
		attempts int
	}{
		{"zero value", client.Dialer{}, 10 * time.Second, 4},
		{"timeout", client.Dialer{Timeout: 2 * time.Second}, 2 * time.Second, 2},
		{"one attempt waits its time", client.Dialer{Retry: client.Retry{Attempts: 1}}, 0, 1},
		{"capped", client.Dialer{Retry: client.Retry{Max: time.Second}}, 10 * time.Second, 9},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
				address := w.udp(func(int, []byte, func(string)) {})
				u := dialUDP(t, w.dialer(tt.dialer), address)
				_, err := u.Call(t.Context(), []byte("hello"))
				if got := int(u.Stats().Sent); got < tt.attempts || got > tt.attempts+1 {
					t.Errorf("%d attempts, want about %d", got, tt.attempts)
				}
				if d := w.now(); d != tt.ends && (tt.ends != 0 || !near(d, time.Second)) {
					t.Errorf("ended after %v with %v, want %v", d, err, tt.ends)
				}
			})
		})
	}
}

// Cancelling ends a call at once, with the cause.
func TestUDPCancel(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		address := w.udp(func(int, []byte, func(string)) {})
		u := dialUDP(t, w.dialer(client.Dialer{}), address)
		why := errors.New("lost interest")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(50*ms, func() { cancel(why) })
		_, err := u.Call(ctx, []byte("hello"))
		if w.now() != 50*ms {
			t.Errorf("ended at %v", w.now())
		}
		if !errors.Is(err, context.Canceled) || !errors.Is(err, why) || sockets.NotSent(err) || sockets.IsTimeout(err) {
			t.Errorf("got %v", err)
		}
		if _, err := u.Call(ctx, nil); !errors.Is(err, why) || !sockets.NotSent(err) {
			t.Errorf("with a context that has ended: %v", err)
		}
	})
}

// Without Match the second call waits for its turn, cancellably.
func TestUDPTurns(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, request []byte, answer func(string)) {
			time.Sleep(500 * ms)
			answer(string(request))
		})
		u := dialUDP(t, w.dialer(client.Dialer{Timeout: 700 * ms}), address)
		var calls sync.WaitGroup
		calls.Go(func() {
			if reply, err := u.Call(t.Context(), []byte("first")); string(reply) != "first" {
				t.Errorf("got %q, %v", reply, err)
			}
		})
		synctest.Wait()
		calls.Go(func() { // the wait counts
			_, err := u.Call(t.Context(), []byte("second"))
			if !sockets.IsTimeout(err) || w.now() != 700*ms {
				t.Errorf("at %v: %v", w.now(), err)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*ms)
		defer cancel()
		if _, err := u.Call(ctx, []byte("third")); !sockets.IsTimeout(err) || !sockets.NotSent(err) || w.now() != 100*ms {
			t.Errorf("at %v: %v", w.now(), err)
		}
		calls.Wait()
	})
}

// The time of a call that never gets its turn runs out, too, and nothing was sent.
func TestUDPTurnNeverComes(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		address := w.udp(func(int, []byte, func(string)) {})
		u := dialUDP(t, w.dialer(client.Dialer{Timeout: time.Second}), address)
		go u.Call(endWith(t, time.Minute, errOwn), []byte("first")) // has the turn for a second
		synctest.Wait()
		long, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go u.Call(long, []byte("second")) // and then this one
		synctest.Wait()
		time.Sleep(500 * ms)
		_, err := u.Call(t.Context(), []byte("third"))
		if !sockets.IsTimeout(err) || !sockets.NotSent(err) || w.now() != 1500*ms {
			t.Errorf("at %v: %v", w.now(), err)
		}
		u.Close()
		synctest.Wait()
	})
}

// A late reply to a call that gave up, and one to the second try of a call that
// was answered, do not answer the next call: its port is another one.
func TestUDPLateReply(t *testing.T) {
	for _, tt := range []struct {
		name   string
		dialer client.Dialer
		first  string
	}{
		{"after a failure", client.Dialer{Timeout: 500 * ms}, ""},
		{"after a repetition", client.Dialer{Retry: client.Retry{First: 300 * ms}}, "slow"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
				address := w.udp(func(_ int, request []byte, answer func(string)) {
					reply := string(request)
					if reply == "slow" {
						time.AfterFunc(600*ms, func() { answer(reply) })
						return
					}
					answer(reply)
				})
				u := dialUDP(t, w.dialer(tt.dialer), address)
				reply, err := u.Call(t.Context(), []byte("slow"))
				if string(reply) != tt.first {
					t.Fatalf("got %q, %v", reply, err)
				}
				port := u.Local()
				for i := range 10 {
					request := fmt.Sprint("quick ", i)
					reply, err := u.Call(t.Context(), []byte(request))
					if err != nil || string(reply) != request {
						t.Errorf("%s: got %q, %v", request, reply, err)
					}
					if u.Local() == port {
						t.Errorf("%s: still at %v", request, port)
					}
					time.Sleep(100 * ms)
				}
				if s := u.Stats(); s.Retired != 1 {
					t.Errorf("stats %+v", s)
				}
			})
		})
	}
}

// Over a network that loses and delays for seconds no call gets another one's
// reply.
func TestUDPNeverCrosses(t *testing.T) {
	script := simnet.Script{simnet.Random(7, simnet.Odds{Drop: 0.2, Delay: 0.4, MaxDelay: 5 * time.Second})}
	inWorld(t, simnet.Options{Script: script, Link: simnet.Link{Latency: 5 * ms}}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, request []byte, answer func(string)) { answer(string(request)) })
		u := dialUDP(t, w.dialer(client.Dialer{Retry: client.Retry{First: 200 * ms}}), address)
		for i := range 500 {
			request := fmt.Sprint("call ", i)
			if reply, err := u.Call(t.Context(), []byte(request)); err == nil && string(reply) != request {
				t.Errorf("%s: got %q", request, reply)
			}
		}
		if s := u.Stats(); s.Retired == 0 || s.Answers < 450 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A port that was unreachable for an earlier call is no news for this one, however
// long its reply takes.
func TestUDPFailFastForgets(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		d := client.Dialer{FailFast: true, Match: func(request, reply []byte) bool { return string(request) == string(reply) }}
		u := dialUDP(t, w.dialer(d), "10.0.0.2:7")
		if _, err := u.Call(t.Context(), []byte("hello")); !errors.Is(err, client.ErrPortUnreachable) || w.now() != 0 {
			t.Errorf("at %v: %v", w.now(), err)
		}
		w.udp(func(_ int, request []byte, answer func(string)) {
			reply := string(request)
			time.AfterFunc(3*time.Second, func() { answer(reply) })
		})
		if _, err := u.Call(t.Context(), []byte("hello")); err != nil || w.now() != 3*time.Second {
			t.Errorf("at %v: %v", w.now(), err)
		}
	})
}

// As long as no other call has come the late reply is counted as such.
func TestUDPLateIsCounted(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, request []byte, answer func(string)) {
			time.AfterFunc(time.Second, func() { answer("late") })
		})
		u := dialUDP(t, w.dialer(client.Dialer{Timeout: 500 * ms}), address)
		u.Call(t.Context(), []byte("hello"))
		time.Sleep(time.Second)
		if s := u.Stats(); s.Late != 1 || s.Received != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// Karn: the reply to a repeated request is no sample, and the next call starts
// with the timeout that worked; one that is answered at once ends that.
func TestUDPKarn(t *testing.T) {
	script := simnet.Script{simnet.DropIf(func(p simnet.Packet) bool { return string(p.Data) == "lost" && p.N == 2 })}
	inWorld(t, simnet.Options{Script: script, Link: simnet.Link{Latency: 50 * ms}}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, request []byte, answer func(string)) { answer(string(request)) })
		u := dialUDP(t, w.dialer(client.Dialer{}), address)
		for i, want := range []time.Duration{300 * ms, 600 * ms, 250 * ms} {
			if _, err := u.Call(t.Context(), []byte([]string{"first", "lost", "third"}[i])); err != nil {
				t.Fatal(err)
			}
			if rtt := u.RTT(); rtt.Timeout() != want || rtt.SampleRTT() != 100*ms {
				t.Errorf("call %d: timeout %v, sample %v, want %v and 100ms", i+1, rtt.Timeout(), rtt.SampleRTT(), want)
			}
		}
	})
}

// With Match 64 calls are in flight over one socket, and each reply comes twice.
func TestUDPMatch(t *testing.T) {
	const calls, atOnce = 1000, 64
	inWorld(t, simnet.Options{Link: simnet.Link{Latency: ms, Jitter: 5 * ms}}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, request []byte, answer func(string)) {
			answer("junk")
			answer(string(request) + " done")
			answer(string(request) + " done")
		})
		u := dialUDP(t, w.dialer(client.Dialer{Match: func(request, reply []byte) bool {
			return strings.HasPrefix(string(reply), string(request)+" ")
		}}), address)
		next := make(chan int)
		var workers sync.WaitGroup
		for range atOnce {
			workers.Go(func() {
				for i := range next {
					request := fmt.Sprint(i)
					if reply, err := u.Call(t.Context(), []byte(request)); err != nil || string(reply) != request+" done" {
						t.Errorf("%s: got %q, %v", request, reply, err)
					}
				}
			})
		}
		for i := range calls {
			next <- i
		}
		close(next)
		workers.Wait()
		time.Sleep(time.Second)
		s := u.Stats()
		if s.Answers != calls || s.Received != 3*calls || s.Retired != 0 || s.Late+s.Unmatched != 2*calls {
			t.Errorf("stats %+v", s)
		}
	})
}

// With Match a late reply answers nobody, and the port stays.
func TestUDPMatchLate(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, request []byte, answer func(string)) {
			reply := string(request)
			time.AfterFunc(300*ms, func() { answer(reply) })
		})
		d := client.Dialer{Match: func(request, reply []byte) bool { return string(request) == string(reply) }}
		u := dialUDP(t, w.dialer(d), address)
		port := u.Local()
		ctx, cancel := context.WithTimeout(t.Context(), 100*ms)
		defer cancel()
		if _, err := u.Call(ctx, []byte("first")); !sockets.IsTimeout(err) {
			t.Errorf("got %v", err)
		}
		if reply, err := u.Call(t.Context(), []byte("second")); string(reply) != "second" || u.Local() != port {
			t.Errorf("got %q, %v, from %v", reply, err, u.Local())
		}
		if s := u.Stats(); s.Unmatched != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// Closing wakes everybody, once, with net.ErrClosed.
func TestUDPCloseWakesAll(t *testing.T) {
	for _, match := range []func(_, _ []byte) bool{nil, func(_, _ []byte) bool { return false }} {
		inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
			address := w.udp(func(int, []byte, func(string)) {})
			u := dialUDP(t, w.dialer(client.Dialer{Match: match}), address)
			var waiters sync.WaitGroup
			for i := range 100 {
				waiters.Go(func() {
					var err error
					if i%4 == 0 {
						_, err = u.Receive(t.Context())
					} else {
						_, err = u.Call(t.Context(), []byte("hello"))
					}
					if !errors.Is(err, net.ErrClosed) || w.now() != 500*ms {
						t.Errorf("at %v: %v", w.now(), err)
					}
				})
			}
			time.Sleep(500 * ms)
			u.Close()
			waiters.Wait()
			if err := u.Send(nil); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Send: %v", err)
			}
			if _, err := u.Call(t.Context(), nil); !errors.Is(err, net.ErrClosed) || !sockets.NotSent(err) {
				t.Errorf("Call: %v", err)
			}
			if err := u.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
		})
	}
}

// Two addresses, the first a black hole: the second is tried 250 ms later and
// kept.
func TestUDPAddresses(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		w.udp(func(_ int, request []byte, answer func(string)) { answer(string(request)) })
		d := client.Dialer{Resolve: resolver("10.9.9.9", w.server.Addr().String(), "10.8.8.8")}
		u := dialUDP(t, w.dialer(d), "name:7")
		for _, want := range []time.Duration{250 * ms, 250 * ms} {
			reply, err := u.Call(t.Context(), []byte("hello"))
			if err != nil || string(reply) != "hello" || w.now() != want {
				t.Errorf("at %v: %q, %v", w.now(), reply, err)
			}
		}
		if u.Remote().HostPort() != "10.0.0.2:7" {
			t.Errorf("kept to %v", u.Remote())
		}
		if s := u.Stats(); s.Sent != 3 {
			t.Errorf("stats %+v", s)
		}
	})
}

// An address that says at once that it is not the one costs no wait.
func TestUDPAddressRefuses(t *testing.T) {
	inWorld(t, simnet.Options{Link: simnet.Link{Latency: 10 * ms}}, func(t *testing.T, w *world) {
		w.udp(func(_ int, request []byte, answer func(string)) { answer(string(request)) })
		w.Host("other")
		for _, failFast := range []bool{false, true} {
			start := w.now()
			d := client.Dialer{Resolve: resolver("10.0.0.3", "10.0.0.2"), FailFast: failFast}
			u := dialUDP(t, w.dialer(d), "name:7")
			reply, err := u.Call(t.Context(), []byte("hello"))
			if err != nil || string(reply) != "hello" || w.now()-start != 40*ms {
				t.Errorf("after %v: %q, %v", w.now()-start, reply, err)
			}
		}
	})
}

// When no address answers the error tells what each of them said, and nothing that
// an earlier call was told.
func TestUDPAddressesAllFail(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		w.Host("other")
		d := client.Dialer{Resolve: resolver("10.0.0.3", "10.9.9.9", "fd00::3"), Timeout: time.Second}
		u := dialUDP(t, w.dialer(d), "name:7")
		_, err := u.Call(t.Context(), []byte("hello"))
		want := "no reply to 3 attempts in 1s: deadline exceeded (10.0.0.3:7/udp: port unreachable: no process has it: read: connection refused; " +
			"[fd00::3]:7/udp: port unreachable: no process has it: read: connection refused)"
		if !errors.Is(err, client.ErrPortUnreachable) || !sockets.IsTimeout(err) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got  %v\nwant %v", err, want)
		}
		w.Partition("client", "other")
		_, err = u.Call(t.Context(), []byte("hello"))
		if errors.Is(err, client.ErrPortUnreachable) {
			t.Errorf("old news: %v", err)
		}
	})
}

// A host that no packet reaches is worth waiting for: the way may come back.
func TestUDPHeals(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, request []byte, answer func(string)) { answer(string(request)) })
		w.Partition("client", "server")
		time.AfterFunc(2*time.Second, func() { w.Heal("client", "server") })
		u := dialUDP(t, w.dialer(client.Dialer{}), address)
		if reply, err := u.Call(t.Context(), []byte("hello")); string(reply) != "hello" {
			t.Errorf("got %q, %v", reply, err)
		}
	})
}

// A socket that breaks is replaced, at the pace of the attempts.
func TestUDPBrokenSocketIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		d := client.Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) {
			dials++
			here, there := net.Pipe()
			if dials < 3 {
				there.Close()
				return here, nil
			}
			go func() {
				defer there.Close()
				buf := make([]byte, 10)
				n, _ := there.Read(buf)
				there.Write(buf[:n])
				io.Copy(io.Discard, there)
			}()
			return here, nil
		}}
		start := time.Now()
		u := dialUDP(t, &d, "10.0.0.1:7")
		reply, err := u.Call(t.Context(), []byte("hello"))
		if err != nil || string(reply) != "hello" {
			t.Errorf("got %q, %v", reply, err)
		}
		if d := time.Since(start); dials != 3 || d < time.Second || d > 4*time.Second {
			t.Errorf("%d sockets in %v", dials, d)
		}
	})
}

func TestUDPSendReceive(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, request []byte, answer func(string)) {
			for i := range len(request) {
				answer(string(request[:i]))
			}
		})
		u := dialUDP(t, w.dialer(client.Dialer{MaxReply: 2}), address)
		if err := u.Send([]byte("abcd")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // what comes while nobody receives is kept
		for _, want := range []string{"", "a", "ab"} {
			if got, err := u.Receive(t.Context()); err != nil || string(got) != want || got == nil {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
		if _, err := u.Receive(t.Context()); !errors.Is(err, sockets.ErrTruncated) {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := u.Receive(ctx); !sockets.IsTimeout(err) || w.now() != 2*time.Second {
			t.Errorf("at %v: %v", w.now(), err)
		}
	})
}

// What nobody receives is bounded, and counted.
func TestUDPInboxIsBounded(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, _ []byte, answer func(string)) {
			for range 100 {
				answer("push")
			}
		})
		u := dialUDP(t, w.dialer(client.Dialer{}), address)
		u.Send(nil)
		synctest.Wait()
		if s := u.Stats(); s.Kept != 64 || s.Overflowed != 36 {
			t.Errorf("stats %+v", s)
		}
	})
}

// Only a client that fails fast is told by Receive that nobody is there.
func TestUDPReceiveFailsFast(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		for _, failFast := range []bool{false, true} {
			u := dialUDP(t, w.dialer(client.Dialer{FailFast: failFast}), "10.0.0.2:9")
			u.Send([]byte("hello"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := u.Receive(ctx); errors.Is(err, client.ErrPortUnreachable) != failFast || sockets.IsTimeout(err) == failFast {
				t.Errorf("FailFast %v: %v", failFast, err)
			}
		}
	})
}
