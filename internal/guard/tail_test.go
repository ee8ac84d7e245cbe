package guard_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/internal/guard"
	"example.com/sockets/simnet"
)

// certificate is one that is valid in virtual time as well.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// small is a network on which a peer that does not read is noticed soon.
var small = simnet.Options{ReadBuffer: 20_000, WriteBuffer: 20_000}

// sealed is a guard over the server's end of a TLS connection in memory, and the
// client's end. upgraded says that TLS came on top while the guard watched.
func sealed(t *testing.T, l guard.Limits, upgraded bool, version uint16) (*guard.Guard, *tls.Conn) {
	t.Helper()
	n := simnet.New(small)
	here, there := pair(t, n.Listen, n.DialContext, "tcp")
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}, MaxVersion: version}
	peer := tls.Client(there, &tls.Config{InsecureSkipVerify: true}) // nobody lies in between
	done := make(chan error, 1)
	go func() { done <- peer.Handshake() }()
	var g *guard.Guard
	var err error
	if upgraded {
		g = over(here, l)
		err = g.Upgrade(t.Context(), func(nc net.Conn) (net.Conn, error) {
			s := tls.Server(nc, config)
			return s, s.Handshake()
		})
	} else {
		s := tls.Server(here, config)
		err = s.Handshake()
		g = over(s, l)
	}
	if err = errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	return g, peer
}

// until sets a deadline that is d ahead.
func until(g *guard.Guard, d time.Duration) { _ = g.SetWriteDeadline(time.Now().Add(d)) }

// text is n bytes that tell what is missing, or comes twice.
func text(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * i >> 3)
	}
	return p
}

// Who goes on where a write says that it stopped loses nothing and says nothing
// twice, whatever the deadline cut.
func TestWriteOfTLSSurvivesItsDeadline(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, piece := range []int{1, 1000, 16 << 10, 100_000, 1 << 20} {
			synctest.Test(t, func(t *testing.T) {
				g, peer := sealed(t, guard.Limits{}, true, version)
				message := text(1 << 20)
				if piece == 1 {
					message = message[:50_000]
				}
				got := make(chan []byte, 1)
				go func() {
					var all []byte
					for p := make([]byte, 5000); len(all) < len(message); time.Sleep(time.Millisecond) {
						n, err := peer.Read(p)
						if all = append(all, p[:n]...); err != nil {
							t.Error(err)
							break
						}
					}
					got <- all
				}()
				cuts := 0
				for rest := message; len(rest) > 0; {
					until(g, 10*time.Millisecond)
					n, _, err := g.Write(rest[:min(piece, len(rest))])
					rest = rest[n:]
					switch {
					case errors.Is(err, os.ErrDeadlineExceeded):
						cuts++
					case err != nil:
						t.Fatal(err)
					}
				}
				_ = g.SetWriteDeadline(time.Time{})
				if _, _, err := g.Write(nil); err != nil { // what is still here
					t.Error(err)
				}
				if all := <-got; !bytes.Equal(all, message) {
					t.Errorf("TLS %x, pieces of %d: %d bytes arrived of %d, or others", version, piece, len(all), len(message))
				}
				if cuts == 0 && piece >= 100_000 {
					t.Errorf("pieces of %d: no deadline fired", piece)
				}
				g.End(io.EOF)
			})
		}
	}
}

// cut is a TLS connection of which a deadline has cut a write, to a peer that has
// read nothing, and how much of text(1 << 20) was written.
func cut(t *testing.T, l guard.Limits) (g *guard.Guard, peer *tls.Conn, n int) {
	t.Helper()
	g, peer = sealed(t, l, true, tls.VersionTLS13)
	until(g, time.Second)
	n, sent, err := g.Write(text(1 << 20))
	if n == 0 || !sent || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the write that is to be cut: %d bytes, sent %v, %v", n, sent, err)
	}
	return g, peer, n
}

// As long as what was cut off can't go out nothing else is begun, so nothing of it
// was sent, and nothing more is kept.
func TestNothingGoesBeforeTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, peer, n := cut(t, guard.Limits{})
		for range 3 {
			until(g, time.Second)
			start := time.Now()
			k, sent, err := g.Write([]byte("xyz"))
			if k != 0 || sent || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("behind a tail: %d bytes, sent %v, %v after %v", k, sent, err, time.Since(start))
			}
		}
		_ = g.SetWriteDeadline(time.Time{})
		go func() {
			if k, _, err := g.Write([]byte("xyz")); k != 3 || err != nil {
				t.Errorf("without a deadline: %d bytes, %v", k, err)
			}
			_ = g.CloseWrite()
		}()
		all, err := io.ReadAll(peer)
		if want := append(text(1 << 20)[:n:n], "xyz"...); !bytes.Equal(all, want) || err != nil {
			t.Errorf("%d bytes arrived, %v; %d were written", len(all), err, len(want))
		}
	})
}

// The ends of a connection with a tail, to a peer that reads again and to one that
// does not.
func TestEndsWithATail(t *testing.T) {
	ends := map[string]struct {
		end   func(*guard.Guard) error
		waits time.Duration // for a peer that does not read
	}{
		"CloseWrite": {(*guard.Guard).CloseWrite, 5 * time.Second}, // crypto/tls
		"Close":      {(*guard.Guard).Close, 5 * time.Millisecond},
		"End":        {func(g *guard.Guard) error { g.End(io.EOF); return nil }, 0},
		"Linger":     {func(g *guard.Guard) error { g.Linger(2 * time.Second); return g.Close() }, 2 * time.Second},
	}
	for name, e := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, _, _ := cut(t, guard.Limits{})
				start := time.Now()
				err := e.end(g)
				if d := time.Since(start); d != e.waits || (err == nil) != (name == "End") {
					t.Errorf("to a peer that does not read: %v after %v, want %v", err, d, e.waits)
				}
				g.End(io.EOF)
			})
			if name == "End" {
				return
			}
			synctest.Test(t, func(t *testing.T) {
				g, peer, n := cut(t, guard.Limits{})
				read := make(chan struct{})
				go func() {
					defer close(read)
					all, err := io.ReadAll(peer)
					if !bytes.Equal(all, text(1 << 20)[:n]) || err != nil {
						t.Errorf("%d bytes arrived of %d, %v", len(all), n, err)
					}
					_ = peer.Close()
				}()
				synctest.Wait() // all that had left is taken
				if err := e.end(g); err != nil {
					t.Error(err)
				}
				<-read
				g.End(io.EOF)
			})
		})
	}
}

// A close beside a write that waits with a tail ends it, and waits for nobody.
func TestCloseBesideAWriteOfTheTail(t *testing.T) {
	for name, end := range map[string]func(*guard.Guard){
		"Close": func(g *guard.Guard) { _ = g.Close() },
		"End":   func(g *guard.Guard) { g.End(net.ErrClosed) },
	} {
		synctest.Test(t, func(t *testing.T) {
			g, _, _ := cut(t, guard.Limits{})
			_ = g.SetWriteDeadline(time.Time{})
			done := make(chan error, 1)
			go func() { _, _, err := g.Write([]byte("x")); done <- err }()
			synctest.Wait()
			start := time.Now()
			end(g)
			if err := <-done; !errors.Is(err, net.ErrClosed) || time.Since(start) > 5*time.Millisecond {
				t.Errorf("%s: the write ended with %v after %v", name, err, time.Since(start))
			}
		})
	}
}

// The limits of a server mean the same with a tail: each byte that is taken renews
// the time, and none taken is the end.
func TestWriteLimitWithATail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // of a record no byte is taken
		g, _ := sealed(t, guard.Limits{Write: time.Minute}, true, tls.VersionTLS13)
		full := g.Conn().(*tls.Conn).NetConn()
		_ = full.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = full.Write(text(1 << 20))
		start := time.Now()
		if _, _, err := g.Write([]byte("x")); err != guard.ErrWrite || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		g, _, _ := cut(t, guard.Limits{Write: time.Minute})
		_ = g.SetWriteDeadline(time.Time{})
		start := time.Now()
		if _, _, err := g.Write([]byte("x")); err != guard.ErrWrite || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, _, err := g.Write([]byte("x")); err != guard.ErrWrite {
			t.Errorf("afterwards %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		g, peer, _ := cut(t, guard.Limits{Write: time.Minute})
		_ = g.SetWriteDeadline(time.Time{})
		go func() {
			for p := make([]byte, 4000); ; time.Sleep(10 * time.Second) { // a record in 40 s
				if _, err := peer.Read(p); err != nil {
					return
				}
			}
		}()
		start := time.Now()
		if n, _, err := g.Write(text(50_000)); n != 50_000 || err != nil || time.Since(start) < 90*time.Second {
			t.Errorf("%d bytes, %v after %v", n, err, time.Since(start))
		}
		g.End(io.EOF)
		time.Sleep(10 * time.Minute) // the peer reads to the end
	})
}

// A read may have to answer, which crypto/tls writes past the guard: behind the tail,
// beside a write of the guard's that waits there, and of what is kept there is an end.
func TestAnswersWaitBehindTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, peer, n := cut(t, guard.Limits{})
		_ = g.SetWriteDeadline(time.Time{})
		answer := g.Conn().(*tls.Conn)
		done := make(chan error, 2)
		go func() { _, _, err := g.Write([]byte("guard")); done <- err }()
		synctest.Wait()
		go func() { _, err := answer.Write([]byte("reads")); done <- err }()
		synctest.Wait()
		go func() {
			if err := errors.Join(<-done, <-done); err != nil {
				t.Error(err)
			}
			_ = g.CloseWrite()
		}()
		all, err := io.ReadAll(peer)
		rest, whole := bytes.CutPrefix(all, text(1 << 20)[:n])
		if !whole || len(rest) != 10 || !bytes.Contains(rest, []byte("guard")) || !bytes.Contains(rest, []byte("reads")) || err != nil {
			t.Errorf("%d bytes arrived of %d, then %q, %v", len(all), n, rest, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		g, _, _ := cut(t, guard.Limits{})
		answer := g.Conn().(*tls.Conn)
		_ = answer.SetWriteDeadline(time.Unix(1, 0))
		var err error
		kept := 0
		for ; err == nil && kept < 1000; kept++ {
			_, err = answer.Write(make([]byte, 1000))
		}
		if kept > 33 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d answers of 1000 bytes are kept, %v", kept, err)
		}
		g.End(io.EOF)
	})
}

// An answer that the peer, which has asked for it, does not take is the end after the
// write timeout: nothing else bounds the read in which it is written. One that is taken
// in time, and a write of the guard's own, which has its clocks, are not.
func TestAnswerThatIsNotTakenIsTheEnd(t *testing.T) {
	for _, taken := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g, peer := sealed(t, guard.Limits{Write: time.Second}, true, tls.VersionTLS13)
			begin := time.Now()
			if taken {
				go func() {
					time.Sleep(900 * time.Millisecond)
					_, _ = io.Copy(io.Discard, peer)
				}()
			}
			_, err := g.Conn().(*tls.Conn).Write(text(1 << 18)) // in several records, the first of which fit
			took := time.Since(begin)
			switch ended := g.Ended(); {
			case taken && (err != nil || ended != nil):
				t.Errorf("taken in time: %v, ended by %v", err, ended)
			case !taken && (err == nil || !errors.Is(ended, guard.ErrWrite) || took != time.Second):
				t.Errorf("after %v: %v, ended by %v", took, err, ended)
			}
			if taken {
				time.Sleep(2 * time.Second) // no clock is left behind
				if _, _, err := g.Write([]byte("x")); err != nil {
					t.Error(err)
				}
			}
			g.End(io.EOF)
			synctest.Wait()
		})
	}
}

// Without a layer of ours below TLS a write that was cut is the last. The next says
// so, and is no timeout; reading goes on.
func TestCutWriteOfForeignTLSIsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, peer := sealed(t, guard.Limits{}, false, tls.VersionTLS13)
		until(g, time.Second)
		if _, _, err := g.Write(text(1 << 20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the write that is cut: %v", err)
		}
		_ = g.SetWriteDeadline(time.Time{})
		_, sent, err := g.Write([]byte("x"))
		var timeout net.Error
		if err == nil || sent || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) {
			t.Errorf("the next write: sent %v, %v", sent, err)
		}
		go func() { _, _ = peer.Write([]byte("y")) }()
		if n, err := g.Read(make([]byte, 9), guard.Next); n != 1 || err != nil {
			t.Errorf("a read: %d, %v", n, err)
		}
		g.End(io.EOF)
	})
}

// counted counts what reaches a connection.
type counted struct {
	net.Conn
	reads, writes int
}

func (c *counted) Read(p []byte) (int, error)  { c.reads++; return c.Conn.Read(p) }
func (c *counted) Write(p []byte) (int, error) { c.writes++; return c.Conn.Write(p) }
func (c *counted) NetConn() net.Conn           { return c.Conn }

// What begins after its deadline touches nothing, on no transport, and another
// deadline makes it go on.
func TestPastDeadlineTouchesNothing(t *testing.T) {
	transports := map[string]func(*testing.T) (here, there net.Conn){
		"tcp":  tcpPair,
		"pipe": func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() },
	}
	for name, connect := range transports {
		for _, over := range []bool{false, true} {
			here, there := connect(t)
			below := &counted{Conn: here}
			g := new(guard.Guard)
			g.Init(t.Context(), below, &guard.Limits{})
			var peer io.ReadWriteCloser = there
			if over {
				client := tls.Client(there, &tls.Config{InsecureSkipVerify: true})
				go client.Handshake()
				if err := g.Upgrade(t.Context(), func(nc net.Conn) (net.Conn, error) {
					s := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{certificate()}})
					return s, s.Handshake()
				}); err != nil {
					t.Fatal(err)
				}
				peer = client
			}
			reads, writes := below.reads, below.writes
			for _, past := range []time.Time{time.Unix(1, 0), time.Now().Add(-time.Nanosecond), time.Now()} {
				_, _ = g.SetReadDeadline(past), g.SetWriteDeadline(past)
				if n, sent, err := g.Write([]byte("xyz")); n != 0 || sent || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s, TLS %v: a write: %d, sent %v, %v", name, over, n, sent, err)
				}
				if n, err := g.Read(make([]byte, 1), guard.Next); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s, TLS %v: a read: %d, %v", name, over, n, err)
				}
			}
			if below.reads != reads || below.writes != writes {
				t.Errorf("%s, TLS %v: %d reads and %d writes", name, over, below.reads-reads, below.writes-writes)
			}
			_, _ = g.SetReadDeadline(time.Time{}), g.SetWriteDeadline(time.Time{})
			go func() { _, _ = io.CopyN(peer, peer, 3) }()
			if n, _, err := g.Write([]byte("xyz")); n != 3 || err != nil {
				t.Errorf("%s, TLS %v: %d, %v", name, over, n, err)
			}
			if n, err := g.Read(make([]byte, 1), guard.Next); n != 1 || err != nil {
				t.Errorf("%s, TLS %v: %d, %v", name, over, n, err)
			}
			g.End(io.EOF)
			peer.Close()
		}
	}
}

// Between writes nothing that may be TLS has a write deadline, however the last
// write ended and whatever the user sets: a read may have to answer.
func TestNoWriteDeadlineBetweenWrites(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	w := &watched{Conn: here}
	g := over(w, guard.Limits{})
	none := func(when string) {
		t.Helper()
		if n := len(w.write); n > 0 && !w.write[n-1].IsZero() {
			t.Errorf("%s: write deadline %v", when, w.write[n-1])
		}
	}
	until(g, -time.Second)
	none("after SetWriteDeadline")
	_, _, _ = g.Write([]byte("x"))
	none("after a write that came too late")
	until(g, time.Millisecond)
	if _, _, err := g.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if len(w.write) == 0 {
		t.Error("no deadline was ever set")
	}
	none("after a write that was cut")
	g.End(io.EOF)
}

// What lies below TLS costs its writes nothing that is allocated.
func TestBelowAllocatesNothing(t *testing.T) {
	b := guard.Below(&sink{})
	p := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() { _, _ = b.Write(p) }); n != 0 {
		t.Errorf("%v allocations per write", n)
	}
}

type sink struct{ net.Conn }

func (*sink) Write(p []byte) (int, error) { return len(p), nil }
