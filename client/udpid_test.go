package client_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// idOf is the id of the tests' protocol: four bytes at the front.
func idOf(message []byte) (uint64, bool) {
	if len(message) < 4 {
		return 0, false
	}
	return uint64(binary.BigEndian.Uint32(message)), true
}

func withID(id uint32, text string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, id), text...)
}

// Over a network that loses, repeats and reorders, 64 calls at once get each
// their own reply.
func TestUDPID(t *testing.T) {
	const calls, atOnce = 1000, 64
	script := simnet.Script{simnet.Random(1, simnet.Odds{Drop: 0.1, Duplicate: 0.2, Delay: 0.2, MaxDelay: 50 * ms})}
	inWorld(t, simnet.Options{Script: script, Link: simnet.Link{Latency: 5 * ms}}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, request []byte, answer func(string)) {
			answer("?") // malformed
			answer(string(withID(1<<31, "foreign")))
			answer(string(request[:4]) + strings.ToUpper(string(request[4:])))
		})
		u := dialUDP(t, w.dialer(client.Dialer{ID: idOf, Timeout: time.Minute}), address)
		next := make(chan int)
		var workers sync.WaitGroup
		for range atOnce {
			workers.Go(func() {
				for i := range next {
					reply, err := u.Call(t.Context(), withID(uint32(i), fmt.Sprint("call ", i)))
					if err != nil || string(reply) != string(withID(uint32(i), fmt.Sprint("CALL ", i))) {
						t.Errorf("%d: got %q, %v", i, reply, err)
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
		if s.Answers != calls || s.Late == 0 || s.Unmatched == 0 || s.Repeated == 0 || s.Retired != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestUDPIDRefused(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, request []byte, answer func(string)) {
			reply := string(request)
			time.AfterFunc(100*ms, func() { answer(reply) })
		})
		u := dialUDP(t, w.dialer(client.Dialer{ID: idOf}), address)
		if _, err := u.Call(t.Context(), []byte("abc")); !sockets.NotSent(err) || !strings.Contains(err.Error(), "no id") {
			t.Errorf("without an id: %v", err)
		}
		var first sync.WaitGroup
		first.Go(func() {
			if reply, err := u.Call(t.Context(), withID(1, "first")); string(reply) != string(withID(1, "first")) {
				t.Errorf("got %q, %v", reply, err)
			}
		})
		synctest.Wait()
		if _, err := u.Call(t.Context(), withID(1, "second")); !sockets.NotSent(err) || !strings.Contains(err.Error(), "same id") {
			t.Errorf("with an id in flight: %v", err)
		}
		first.Wait()
		if _, err := u.Call(t.Context(), withID(1, "third")); err != nil {
			t.Errorf("with an id that is free again: %v", err)
		}
	})
}

// With both, Match has the last word.
func TestUDPIDAndMatch(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, request []byte, answer func(string)) {
			answer(string(withID(1, "forged")))
			answer(string(request))
		})
		u := dialUDP(t, w.dialer(client.Dialer{ID: idOf, Match: func(request, reply []byte) bool {
			return string(request) == string(reply)
		}}), address)
		if reply, err := u.Call(t.Context(), withID(1, "hello")); string(reply) != string(withID(1, "hello")) {
			t.Errorf("got %q, %v", reply, err)
		}
		if s := u.Stats(); s.Unmatched != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A net.PacketConn hears everybody; Connect makes it hear one peer.
func TestConnect(t *testing.T) {
	for _, local := range []string{"127.0.0.1:0", ":0", "[::]:0"} {
		t.Run(local, func(t *testing.T) {
			p, stranger := newPeer(t), newPeer(t)
			pc, err := net.ListenPacket("udp", local)
			if err != nil {
				t.Skip(err)
			}
			p.serve(func(request []byte) []byte {
				_, port, _ := net.SplitHostPort(pc.LocalAddr().String())
				to, _ := net.ResolveUDPAddr("udp", "127.0.0.1:"+port)
				stranger.WriteTo([]byte("forged"), to)
				return upper(request)
			})
			for _, c := range []net.PacketConn{pc, slow{pc}} { // with and without the fast path
				conn := client.Connect(c, mustParse(t, p.address()))
				for range 10 {
					buf := make([]byte, 100)
					if _, err := conn.Write([]byte("hello")); err != nil {
						t.Fatal(err)
					}
					conn.SetReadDeadline(time.Now().Add(5 * time.Second))
					if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "HELLO" {
						t.Fatalf("got %q, %v", buf[:n], err)
					}
				}
				if got, _ := addr.From(conn.RemoteAddr()); got != mustParse(t, p.address()) {
					t.Errorf("RemoteAddr = %v", got)
				}
			}
			pc.Close()
		})
	}
}

// slow hides everything but the interface.
type slow struct{ net.PacketConn }
