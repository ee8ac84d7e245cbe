package tcpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

// TestTLSState: the handler finds the protocol that ALPN chose and the client's
// certificate, and the end is said in the words of TLS.
func TestTLSState(t *testing.T) {
	guest, err := selfMade("guest")
	if err != nil {
		t.Fatal(err)
	}
	config := serverTLS()
	config.NextProtos = []string{"lines/2", "lines/1"}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, trust(guest)
	states := make(chan tls.ConnectionState, 1)
	r := serveReal(t, &tcpserver.Server{TLS: config, Handler: func(ctx context.Context, c *sockets.Conn) error {
		over, ok := c.NetConn().(*tls.Conn)
		if !ok {
			return fmt.Errorf("NetConn is a %T", c.NetConn())
		}
		states <- over.ConnectionState()
		m, err := c.ReadMessage()
		if err != nil {
			return err
		}
		return c.WriteMessage(bytes.ToUpper(m))
	}})
	known := clientTLS()
	known.NextProtos = []string{"lines/1"}
	known.Certificates = []tls.Certificate{guest}
	c := tls.Client(r.client(), known)
	defer c.Close()
	if got := ask(t, c, "hello"); got != "HELLO" {
		t.Errorf("got %q", got)
	}
	state := <-states
	if !state.HandshakeComplete || state.NegotiatedProtocol != "lines/1" || len(state.PeerCertificates) != 1 ||
		state.PeerCertificates[0].Subject.CommonName != "guest" {
		t.Errorf("%+v", state)
	}
	if err := ended(c); err != io.EOF { // without a close_notify it is io.ErrUnexpectedEOF
		t.Errorf("the end is %v", err)
	}
	stranger := tls.Client(r.client(), clientTLS())
	defer stranger.Close()
	if _, err := stranger.Read(make([]byte, 1)); err == nil {
		t.Error("a client without a certificate got in")
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if st := r.Stats(); st.Served != 1 || st.Handshakes != 1 {
		t.Errorf("%+v", st)
	}
}

// TestTLSSilentReal: on real sockets as well, a hundred clients that say nothing, and
// some that say something else, do not delay a good one.
func TestTLSSilentReal(t *testing.T) {
	r := serveReal(t, &tcpserver.Server{Handler: upper, TLS: serverTLS(), Limits: tcpserver.Limits{Conns: 2, Handshakes: 200},
		Timeouts: tcpserver.Timeouts{Grace: 50 * time.Millisecond}})
	for i := range 100 {
		c := r.client()
		defer c.Close()
		c.Write(make([]byte, i%4))
	}
	c := tls.Client(r.client(), clientTLS())
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second)) // half of what a silent one has
	if got := ask(t, c, "hello"); got != "HELLO" {
		t.Errorf("got %q", got)
	}
	c.Close()
	if err := r.wait(); err == nil {
		t.Error("handshakes that had begun were cut off, and nobody says so")
	}
}

// TestTLSPlainClient: who speaks no TLS is told to go, and is no error of ours.
func TestTLSPlainClient(t *testing.T) {
	for _, first := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "x\n", "SSH-2.0-x\r\n"} {
		inBubble(t, func(t *testing.T) {
			var log logged
			r := serveSim(t, &tcpserver.Server{Handler: upper, TLS: serverTLS(), Logger: log.logger()})
			c := r.client()
			c.Write([]byte(first))
			c.(*simnet.Conn).CloseWrite()
			begin := time.Now()
			io.Copy(io.Discard, c)
			c.Close()
			synctest.Wait()
			if st := r.Stats(); st.Handshakes != 1 || st.Running != 0 || since(begin) != 0 {
				t.Errorf("%q: %+v after %v", first, st, since(begin))
			}
			if text := log.String(); strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
				t.Errorf("%q: the log:\n%s", first, text)
			}
			if err := r.wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTLSForcedClose: peers that do not read cost a stop nothing beyond its grace
// period, though each is owed a close_notify: the sockets go first.
func TestTLSForcedClose(t *testing.T) {
	const peers = 20
	inBubble(t, func(t *testing.T) {
		r := serveSim(t, &tcpserver.Server{
			Handler: func(_ context.Context, c *sockets.Conn) error {
				_, err := c.Write(make([]byte, 16<<20))
				return err
			},
			TLS:      serverTLS(),
			Timeouts: tcpserver.Timeouts{Grace: 3 * time.Second},
		})
		for range peers {
			c := tls.Client(r.client(), clientTLS())
			defer c.NetConn().Close()
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		begin := time.Now()
		var drained *sockets.DrainError
		if err := r.wait(); !errors.As(err, &drained) || len(drained.CutOff) != peers || len(drained.Abandoned) != 0 {
			t.Errorf("Serve returned %v", err)
		}
		if since(begin) != 3*time.Second {
			t.Errorf("the stop took %v", since(begin))
		}
	})
}

// TestTLSEvictNotReading: evicting a peer that does not read takes no time either.
func TestTLSEvictNotReading(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		first := true
		r := serveSim(t, &tcpserver.Server{
			Handler: func(ctx context.Context, c *sockets.Conn) error {
				if first {
					first = false
					c.SetWriteDeadline(time.Now().Add(time.Second))
					for { // until not even an alert fits
						if _, err := c.Write(make([]byte, 16<<10)); err != nil {
							break
						}
					}
				}
				return upper(ctx, c)
			},
			TLS:    serverTLS(),
			Limits: tcpserver.Limits{Conns: 1},
		})
		stuck := tls.Client(r.client(), clientTLS())
		defer stuck.NetConn().Close()
		if err := stuck.Handshake(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		begin := time.Now()
		c := tls.Client(r.client(), clientTLS())
		defer c.Close()
		// TLS may hold bytes that nobody can count: one look of 5 ms tells.
		if ask(t, c, "x"); since(begin) > 5*time.Millisecond {
			t.Errorf("the new one waited %v", since(begin))
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestTLSStop: what of TLS is under way at a stop is finished, what is not ends at
// once: a handshake of which a byte has come, one of which none has, an idle
// connection.
func TestTLSStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := serveSim(t, &tcpserver.Server{Handler: upper, TLS: serverTLS(), Timeouts: tcpserver.Timeouts{Grace: time.Minute}})
		idle := tls.Client(r.client(), clientTLS())
		defer idle.Close()
		ask(t, idle, "x")
		silent := r.client()
		defer silent.Close()
		time.Sleep(time.Second)
		begin := time.Now()
		if err := r.wait(); err != nil || since(begin) > 10*time.Millisecond {
			t.Errorf("Serve returned %v after %v", err, since(begin))
		}
		if err := ended(silent); err != io.EOF {
			t.Errorf("the silent one read %v", err)
		}
		if err := ended(idle); err != io.EOF {
			t.Errorf("the idle one read %v", err)
		}
	})
	t.Run("under way", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			r := serveSim(t, &tcpserver.Server{Handler: upper, TLS: serverTLS(), Timeouts: tcpserver.Timeouts{Grace: time.Minute}})
			raw := r.client()
			c := tls.Client(&inTwo{Conn: raw, pause: 2 * time.Second}, clientTLS())
			defer c.Close()
			time.AfterFunc(time.Second, r.stop)
			if got := ask(t, c, "hello"); got != "HELLO" {
				t.Errorf("got %q", got)
			}
			if err := ended(c); err != io.EOF {
				t.Errorf("then %v", err)
			}
			if err := r.wait(); err != nil {
				t.Error(err)
			}
		})
	})
}

// inTwo sends the first bytes that are written in two pieces, with a pause between.
type inTwo struct {
	net.Conn
	pause time.Duration
	done  bool
}

func (c *inTwo) Write(p []byte) (int, error) {
	if c.done {
		return c.Conn.Write(p)
	}
	c.done = true
	if _, err := c.Conn.Write(p[:10]); err != nil {
		return 0, err
	}
	time.Sleep(c.pause)
	n, err := c.Conn.Write(p[10:])
	return 10 + n, err
}

// TestTLSStopServesQueue: TLS connections in the accept queue of a stop are served
// their first request. A silent one has the 100 ms that all of these have, after the
// 5 ms in which the queue is taken; if it was accepted before the stop began, none.
func TestTLSStopServesQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Trace: -1})
		ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var clients sync.WaitGroup
		begin := time.Now()
		for i := range 20 {
			raw, err := n.DialContext(t.Context(), "tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			clients.Go(func() {
				defer raw.Close()
				if i == 0 {
					err := ended(raw)
					if d := since(begin); err != io.EOF || d != 0 && d != 100*time.Millisecond && d != 105*time.Millisecond {
						t.Errorf("the silent one: %v after %v", err, d)
					}
					return
				}
				c := tls.Client(raw, clientTLS())
				if got := ask(t, c, "hello"); got != "HELLO" {
					t.Errorf("got %q", got)
				}
				if err := ended(c); err != io.EOF {
					t.Errorf("then %v", err)
				}
			})
		}
		synctest.Wait() // their first bytes are here
		r := serve(t, &tcpserver.Server{Handler: upper, TLS: serverTLS()}, ln)
		if err := r.wait(); err != nil {
			t.Error(err)
		}
		clients.Wait()
		if n := r.Stats().Served; n != 19 {
			t.Errorf("%d served", n)
		}
	})
}

// TestTLSStopWaitsForRequest: a handshake that began during a stop is followed by the
// 100 ms that the first message has, whatever it took itself.
func TestTLSStopWaitsForRequest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Trace: -1})
		ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		raw, err := n.DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		c := tls.Client(&inTwo{Conn: raw, pause: 150 * time.Millisecond}, clientTLS())
		shaken := make(chan error, 1)
		go func() { shaken <- c.Handshake() }()
		synctest.Wait() // its first bytes are here
		r := serve(t, &tcpserver.Server{Handler: upper, TLS: serverTLS()}, ln)
		r.stop()
		if err := <-shaken; err != nil {
			t.Fatal(err)
		}
		time.Sleep(80 * time.Millisecond)
		if got := ask(t, c, "hello"); got != "HELLO" {
			t.Errorf("got %q", got)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestStopReadsWhatIsHere: bytes of a handshake that have arrived, and that Prepare
// has not read yet, are a handshake that has begun.
func TestStopReadsWhatIsHere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := serveSim(t, &tcpserver.Server{Handler: upper, TLS: serverTLS(), Prepare: func(ctx context.Context, c net.Conn) (net.Conn, error) {
			time.Sleep(2 * time.Second) // looks the peer up
			return c, ctx.Err()
		}})
		c := tls.Client(r.client(), clientTLS())
		defer c.Close()
		time.AfterFunc(time.Second, r.stop)
		if got := ask(t, c, "hello"); got != "HELLO" {
			t.Errorf("got %q", got)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

// proxied is a connection for which a PROXY header told the client.
type proxied struct {
	net.Conn
	client net.Addr
}

func (p *proxied) RemoteAddr() net.Addr { return p.client }

// NetConn is the connection underneath, which has the half-close.
func (p *proxied) NetConn() net.Conn { return p.Conn }

// proxyHeader reads a header of the PROXY protocol, version 1: a line of at most 107
// bytes, of which not one more may be read.
func proxyHeader(_ context.Context, c net.Conn) (net.Conn, error) {
	var line []byte
	for b := make([]byte, 1); !bytes.HasSuffix(line, []byte("\r\n")); line = append(line, b...) {
		if len(line) == 107 {
			return nil, errors.New("PROXY header too long")
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return nil, err
		}
	}
	var family, from, to string
	var fromPort, toPort uint16
	if _, err := fmt.Sscanf(string(line), "PROXY %s %s %s %d %d", &family, &from, &to, &fromPort, &toPort); err != nil {
		return nil, fmt.Errorf("PROXY header %q: %w", line, err)
	}
	ip := net.ParseIP(from)
	if ip == nil {
		return nil, fmt.Errorf("PROXY header %q: no address", line)
	}
	return &proxied{c, &net.TCPAddr{IP: ip, Port: int(fromPort)}}, nil
}

// TestPrepareAndTLS: a PROXY header before TLS gives the connection its remote address,
// for the handler, the log and the limit per source, however its bytes are cut.
func TestPrepareAndTLS(t *testing.T) {
	for _, config := range []*tls.Config{nil, serverTLS()} {
		inBubble(t, func(t *testing.T) {
			remotes := make(chan string, 10)
			r := serveSim(t, &tcpserver.Server{
				Handler: func(ctx context.Context, c *sockets.Conn) error {
					remotes <- c.Remote().String()
					return upper(ctx, c)
				},
				Prepare: proxyHeader, TLS: config,
				Limits: tcpserver.Limits{PerSource: 1, Refusal: []byte("no\n")},
			})
			dial := func(header string, piece int) net.Conn {
				c := r.client()
				for len(header) > 0 {
					n := min(piece, len(header))
					c.Write([]byte(header[:n]))
					header = header[n:]
					time.Sleep(time.Millisecond)
				}
				if config != nil {
					return tls.Client(c, clientTLS())
				}
				return c
			}
			for i, header := range []string{
				"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
				"PROXY TCP4 192.0.2.8 198.51.100.1 56324 443\r\n",
				"PROXY TCP6 2001:db8:7::1 2001:db8::1 56324 443\r\n",
			} {
				c := dial(header, 1+i*50)
				defer c.Close()
				if got := ask(t, c, "x"); got != "X" {
					t.Errorf("got %q", got)
				}
				want := []string{"192.0.2.7:56324/tcp", "192.0.2.8:56324/tcp", "[2001:db8:7::1]:56324/tcp"}[i]
				if got := <-remotes; got != want {
					t.Errorf("remote is %s, want %s", got, want)
				}
				again := dial(strings.ReplaceAll(header, "7::1", "7::2"), 50) // same source
				if got, err := io.ReadAll(again); string(got) != "no\n" || err != nil {
					t.Errorf("the second of one source read %q, %v", got, err)
				}
				again.Close()
			}
			for _, header := range []string{"GET / HTTP/1.1\r\n\r\n", strings.Repeat("x", 200), "PROXY TCP4 none none 1 2\r\n", "PROXY"} {
				c := dial(header, 200)
				c.SetDeadline(time.Now().Add(time.Hour))
				if got, err := io.ReadAll(c); len(got) != 0 || sockets.IsTimeout(err) {
					t.Errorf("after %q: %q, %v", header, got, err)
				}
				c.Close()
			}
			synctest.Wait()
			if st := r.Stats(); st.RejectedSource != 3 || st.Handshakes != 4 || st.Running != 3 {
				t.Errorf("%+v", st)
			}
			if err := r.wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// lazily is a connection whose RemoteAddr reads a header from the peer, as that of
// go-proxyproto does.
type lazily struct {
	net.Conn
	once sync.Once
}

func (l *lazily) RemoteAddr() net.Addr {
	l.once.Do(func() { io.ReadFull(l.Conn, make([]byte, 8)) })
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
}

// TestLazyRemoteAddr: what Prepare returns may ask the peer for its address. That is
// a part of the handshake, holds up nobody else, and ends with it.
func TestLazyRemoteAddr(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := serveSim(t, &tcpserver.Server{
			Handler: upper,
			Prepare: func(_ context.Context, c net.Conn) (net.Conn, error) { return &lazily{Conn: c}, nil },
			Limits:  tcpserver.Limits{PerSource: 5},
		})
		silent := r.client()
		defer silent.Close()
		good := r.client()
		defer good.Close()
		begin := time.Now()
		good.Write([]byte("header.."))
		if got := ask(t, good, "x"); got != "X" || since(begin) != 0 {
			t.Errorf("got %q after %v", got, since(begin))
		}
		r.Stats()
		if err := ended(silent); err != io.EOF || since(begin) != 10*time.Second {
			t.Errorf("the silent one: %v after %v", err, since(begin))
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

// mail is an SMTP server that takes mail over TLS alone (RFC 3207), as far as a client
// needs it.
func mail(config *tls.Config, got chan<- string) sockets.Handler {
	return func(ctx context.Context, c *sockets.Conn) error {
		say := func(lines ...string) error {
			for _, l := range lines {
				if err := c.WriteMessage([]byte(l + "\r")); err != nil {
					return err
				}
			}
			return nil
		}
		if err := say("220 test ESMTP"); err != nil {
			return err
		}
		secure := false
		for m, err := range c.Messages() {
			if err != nil {
				return err
			}
			verb, _, _ := strings.Cut(strings.ToUpper(string(m)), " ")
			switch {
			case verb == "EHLO" && !secure:
				err = say("250-test", "250 STARTTLS")
			case verb == "EHLO":
				err = say("250 test")
			case verb == "STARTTLS" && !secure:
				if err = say("220 go ahead"); err != nil {
					return err
				}
				err = c.Upgrade(ctx, func(nc net.Conn) (net.Conn, error) {
					over := tls.Server(nc, config)
					return over, over.HandshakeContext(ctx)
				})
				secure = true
			case !secure:
				err = say("530 STARTTLS first")
			case verb == "DATA":
				if err = say("354 go on"); err != nil {
					return err
				}
				var text bytes.Buffer
				for line, err := range c.Messages() {
					if err != nil {
						return err
					}
					if string(line) == "." {
						break
					}
					fmt.Fprintf(&text, "%s\n", line)
				}
				got <- text.String()
				err = say("250 taken")
			case verb == "QUIT":
				return say("221 bye")
			default: // MAIL, RCPT, NOOP
				err = say("250 ok")
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// TestSTARTTLS: a mail client that was not written with this library upgrades its
// connection and delivers.
func TestSTARTTLS(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl here")
	}
	if out, err := exec.Command("curl", "--version").Output(); err != nil || !bytes.Contains(out, []byte(" smtp")) {
		t.Skip("this curl speaks no SMTP")
	}
	dir := t.TempDir()
	cert, key, err := pemPair(both())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	root, letter := filepath.Join(dir, "root.pem"), filepath.Join(dir, "letter")
	const text = "Subject: hello\n\nA line.\n"
	for file, content := range map[string][]byte{root: cert, letter: []byte(strings.ReplaceAll(text, "\n", "\r\n"))} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan string, 1)
	r := serveReal(t, &tcpserver.Server{Handler: mail(&tls.Config{Certificates: []tls.Certificate{pair}}, got)})
	out, err := exec.Command("curl", "-sS", "-v", "--max-time", "20", "--ssl-reqd", "--cacert", root,
		"smtp://"+r.addr, "--mail-from", "a@example.org", "--mail-rcpt", "b@example.org", "-T", letter).CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	if letter := <-got; letter != text {
		t.Errorf("the letter is %q", letter)
	}
	if !bytes.Contains(out, []byte("STARTTLS")) {
		t.Errorf("curl did without:\n%s", out)
	}
	// Bytes behind STARTTLS in one piece were sent in the clear, perhaps by somebody
	// else (CVE-2011-0411): they must not count as said over TLS.
	c := r.client()
	defer c.Close()
	in := bufio.NewReader(c)
	in.ReadString('\n')
	c.Write([]byte("EHLO x\r\nSTARTTLS\r\nMAIL FROM:<evil@example.org>\r\n"))
	if all, _ := io.ReadAll(in); bytes.Contains(all, []byte("250 ok")) {
		t.Errorf("after a smuggled line the server says %q", all)
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}

// TestNoCertificate: a TLS configuration without one fails each handshake and nothing
// else.
func TestNoCertificate(t *testing.T) {
	r := serveReal(t, &tcpserver.Server{Handler: upper, TLS: &tls.Config{}})
	for range 3 {
		c := tls.Client(r.client(), &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return x509.CertificateInvalidError{} }})
		if err := c.Handshake(); err == nil {
			t.Error("the handshake succeeds")
		}
		c.Close()
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if n := r.Stats().Handshakes; n != 3 {
		t.Errorf("%d handshakes failed", n)
	}
}
