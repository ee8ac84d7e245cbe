package tcpserver_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

// FuzzPrepare sends any bytes, in any two pieces, to a server that expects a PROXY
// header and then lines. Whatever they are: a connection that got through has an
// address and exactly the bytes behind the header, one that did not is closed, no
// handler panics, the counters add up, and the next client is served.
func FuzzPrepare(f *testing.F) {
	for _, seed := range []string{
		"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nhello\n",
		"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n",
		"PROXY UNKNOWN\r\nhello\n", "PROXY TCP4 192.0.2.7", "PROXY \r\n", "\r\n\r\n", "",
		"PROXY TCP4 300.0.2.7 198.51.100.1 56324 443\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 66324 443\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\xdc\x04\x01\xbb", // version 2
		strings.Repeat("P", 107) + "\r\n", strings.Repeat("P", 108), "\x16\x03\x01\x02\x00\x01\x00",
	} {
		f.Add([]byte(seed), len(seed)/2, false)
		f.Add([]byte(seed), 0, true)
	}
	f.Fuzz(func(t *testing.T, sent []byte, cut int, stop bool) {
		cut = min(max(cut, 0), len(sent))
		synctest.Test(t, func(t *testing.T) { fuzzPrepare(t, sent[:cut], sent[cut:], stop) })
	})
}

func fuzzPrepare(t *testing.T, first, second []byte, stop bool) {
	good := "PROXY TCP4 192.0.2.99 198.51.100.1 1 2\r\n"
	var got []byte
	r := serveSim(t, &tcpserver.Server{
		Prepare: proxyHeader,
		Handler: func(_ context.Context, c *sockets.Conn) error {
			if !c.Remote().IsValid() {
				t.Error("a connection without an address got through")
			}
			all, err := io.ReadAll(c)
			if c.Remote().Addr().String() != "192.0.2.99" {
				got = append(all, '!')
			}
			return err
		},
		Limits: tcpserver.Limits{Conns: 2, PerSource: 2},
	})
	c := r.client()
	defer c.Close()
	c.Write(first)
	time.Sleep(time.Second)
	if stop {
		r.stop()
	}
	c.Write(second)
	c.(*simnet.Conn).CloseWrite()
	io.Copy(io.Discard, c)
	synctest.Wait()
	st := r.Stats()
	if st.Accepted != 1 || st.Panics != 0 || st.Handshaking != 0 {
		t.Errorf("%+v", st)
	}
	sent := string(first) + string(second)
	if _, behind, ok := strings.Cut(sent, "\r\n"); got != nil && (!ok || string(got) != behind+"!") && !stop {
		t.Errorf("the handler read %q of %q", got, sent)
	}
	if !stop {
		next := r.client()
		defer next.Close()
		next.Write([]byte(good))
		next.(*simnet.Conn).CloseWrite()
		if _, err := io.Copy(io.Discard, next); err != nil {
			t.Errorf("the next client: %v", err)
		}
		synctest.Wait()
		if r.Stats().Served == st.Served {
			t.Errorf("the next client was not served: %+v", r.Stats())
		}
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}

// FuzzStage sends any bytes to a server that expects a TLS handshake behind a header
// of three bytes: they cost it no goroutine, no slot and no time.
func FuzzStage(f *testing.F) {
	for _, seed := range []string{
		"", "abc", "abc\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "abc\x15\x03\x01\x00\x02\x02\x28", "abcGET / HTTP/1.1\r\n",
		"abc\x16\x03\x01\xff\xff", "abc\x80\x2e\x01\x00\x02", "abc\x16\x03\x01\x00\x00", "abc\x17\x03\x03\x00\x01\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		synctest.Test(t, func(t *testing.T) {
			r := serveSim(t, &tcpserver.Server{
				Handler: upper, TLS: serverTLS(), Limits: tcpserver.Limits{Conns: 1, Handshakes: 1},
				Prepare: func(_ context.Context, c net.Conn) (net.Conn, error) {
					_, err := io.ReadFull(c, make([]byte, 3))
					return c, err
				},
			})
			c := r.client()
			defer c.Close()
			c.Write(sent)
			begin := time.Now()
			io.Copy(io.Discard, c) // with the header alone, until Handshake ends it
			if since(begin) > 10*time.Second {
				t.Errorf("it stayed for %v", since(begin))
			}
			c.Close()
			synctest.Wait()
			if st := r.Stats(); st.Handshakes != 1 || st.Running != 0 || st.Handshaking != 0 {
				t.Errorf("%+v", st)
			}
			if err := r.wait(); err != nil {
				t.Error(err)
			}
		})
	})
}
