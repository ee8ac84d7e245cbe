package client_test

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// hostile cuts a fuzzer's bytes into datagrams: a length, and as many bytes.
func hostile(script []byte) (all [][]byte) {
	for len(script) > 0 {
		n := min(int(script[0]), len(script)-1)
		all = append(all, script[1:1+n])
		script = script[1+n:]
	}
	return all
}

// begins is a Match: the reply begins as the request does.
func begins(request, reply []byte) bool {
	return bytes.HasPrefix(reply, request[:min(4, len(request))])
}

// A peer sends whatever it likes, to calls that tell replies apart by an id, by
// Match, by both, or by taking turns. A call ends with a reply that answers it or
// when its time is over, and every datagram is accounted for.
func FuzzUDPCall(f *testing.F) {
	f.Add(byte(0), []byte("\x05hello\x00"))
	f.Add(byte(1), []byte("\x06\x00\x00\x00\x01ok\x06\x00\x00\x00\x02ok\x06\x00\x00\x00\x02ok"))
	f.Add(byte(2), []byte("\x04\x00\x00\x00\x00\x08\x00\x00\x00\x02long\x03abc"))
	f.Add(byte(3), []byte("\x00\x00\x05\x00\x00\x00\x03x\xff"))
	f.Fuzz(func(t *testing.T, mode byte, script []byte) {
		inWorld(t, simnet.Options{Trace: -1}, func(t *testing.T, w *world) {
			replies := hostile(script)
			address := w.udp(func(_ int, _ []byte, answer func(string)) {
				for _, r := range replies[:min(3, len(replies))] {
					answer(string(r))
				}
				replies = replies[min(3, len(replies)):]
			})
			d := client.Dialer{Timeout: 3 * time.Second, MaxReply: 100}
			if mode&1 != 0 {
				d.ID = idOf
			}
			if mode&2 != 0 {
				d.Match = begins
			}
			u := dialUDP(t, w.dialer(d), address)
			var all sync.WaitGroup
			for i := range uint32(3) {
				all.Go(func() { fuzzCall(t, u, mode, withID(i, "request")) })
			}
			all.Wait()
			if s := u.Stats(); s.Calls != 3 || s.Answers > 3 || s.Failed > 3 {
				t.Errorf("stats %+v", s)
			}
		})
	})
}

// fuzzCall makes a call and checks that what it ends with is allowed.
func fuzzCall(t *testing.T, u *client.UDP, mode byte, request []byte) {
	start := time.Now()
	reply, err := u.Call(t.Context(), request)
	switch {
	case errors.Is(err, sockets.ErrTruncated):
	case err != nil:
		if !sockets.IsTimeout(err) || time.Since(start) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	case len(reply) > 100, mode&3 != 0 && !begins(request, reply):
		t.Errorf("%q answers %q", reply, request)
	}
}

// A server sends whatever it likes over a stream, whole or in pieces, to calls in
// a pipeline. In order the replies are the messages as the framing cuts them; by
// id each is the caller's own; and every call ends, as does Close.
func FuzzPipeline(f *testing.F) {
	f.Add(byte(0), []byte("one\ntwo\r\nthree\n"))
	f.Add(byte(4), []byte("one\ntwo"))
	f.Add(byte(1), []byte("\x00\x04\x00\x00\x00\x01\x00\x05\x00\x00\x00\x00x\xff\xff"))
	f.Add(byte(2), []byte("\x00\x01a\x00\x00\x00\x01b\x00\x01c"))
	f.Add(byte(3), bytes.Repeat([]byte("x"), 300))
	f.Fuzz(func(t *testing.T, mode byte, stream []byte) {
		inWorld(t, simnet.Options{Trace: -1}, func(t *testing.T, w *world) {
			d := client.Dialer{Timeout: 3 * time.Second, Framing: sockets.LengthPrefix(2, 100)}
			switch mode & 3 {
			case 0, 3:
				d.Framing = sockets.Lines(100)
			case 1:
				d.ID = idOf
			}
			p := dialPipeline(w, d, 2, func(c *sockets.Conn) {
				c.ReadMessage()
				for _, part := range pieces(stream, mode&4 != 0) {
					c.Write(part)
				}
				time.Sleep(time.Second)
			})
			got := make([][]byte, 4)
			calls(4, func(i int) { got[i] = pipelineCall(t, p, d.ID != nil, withID(uint32(i), "request")) })
			if want := messages(d.Framing, stream); d.ID == nil {
				checkOrder(t, got, want)
			}
		})
	})
}

// pieces are the parts in which a stream is written.
func pieces(stream []byte, single bool) [][]byte {
	if single {
		return slices.Collect(slices.Chunk(stream, 1))
	}
	return [][]byte{stream}
}

// pipelineCall returns the reply, nil for an error.
func pipelineCall(t *testing.T, p *client.Pipeline, own bool, request []byte) []byte {
	start := time.Now()
	reply, err := p.Call(t.Context(), request)
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("took %v: %v", d, err)
	}
	if err == nil && own && !begins(request, reply) {
		t.Errorf("%q answers %q", reply, request)
	}
	return reply
}

// messages are those in a stream, up to what is none.
func messages(f sockets.Framing, stream []byte) (all []string) {
	here, there := net.Pipe()
	defer here.Close()
	go func() { there.Write(stream); there.Close() }()
	for m, err := range sockets.NewConn(here, f).Messages() {
		if err == nil {
			all = append(all, string(m))
		}
	}
	return all
}

// checkOrder checks that replies are the first messages of a stream, whoever of the
// callers was the first to write.
func checkOrder(t *testing.T, got [][]byte, want []string) {
	t.Helper()
	for _, reply := range got {
		if reply == nil {
			continue
		}
		i := slices.Index(want, string(reply))
		if i < 0 {
			t.Errorf("%q is not among the messages %q", reply, want)
			return
		}
		want = slices.Delete(want, i, i+1)
	}
}
