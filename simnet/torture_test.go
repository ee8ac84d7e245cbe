package simnet_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"example.com/sockets/simnet"
)

// pieces lists what each Read of c returned.
func pieces(c io.Reader) string {
	var all []string
	for b := make([]byte, 100); ; {
		n, err := c.Read(b)
		switch {
		case err == io.EOF && n > 0:
			return strings.Join(append(all, fmt.Sprintf("%q+EOF", b[:n])), " ")
		case err == io.EOF:
			return strings.Join(append(all, "EOF"), " ")
		case err != nil:
			return strings.Join(append(all, class(err)), " ")
		}
		all = append(all, fmt.Sprintf("%q", b[:n]))
	}
}

func TestTorture(t *testing.T) {
	for _, c := range []struct {
		name string
		how  []simnet.Torment
		want string
	}{
		{"default", nil, `"a" "\r" "\n" "b" "c" "d" "\r" "\n"+EOF`},
		{"chunks", []simnet.Torment{simnet.Chunks(3, 1)}, `"a\r\n" "b" "cd\r" "\n" EOF`},
		{"bad chunks", []simnet.Torment{simnet.Chunks(-1, 7)}, `"a" "\r\nbcd\r\n" EOF`},
		{"split CRLF", []simnet.Torment{simnet.SplitCRLF()}, `"a\r" "\nbcd\r" "\n" EOF`},
		{"data with EOF", []simnet.Torment{simnet.DataWithEOF()}, `"a\r\nbcd\r\n"+EOF`},
		{"reset", []simnet.Torment{simnet.ResetAfter(5)}, `"a\r\nbc" read read: connection reset by peer true true`},
		{"reset at once", []simnet.Torment{simnet.ResetAfter(0)}, `read read: connection reset by peer true true`},
		{"stall", []simnet.Torment{simnet.Stall(3, time.Hour)}, `"a\r\n" "bcd" "\r\n" EOF`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := tcpPair(t, simnet.New(simnet.Options{}))
				client.Write([]byte("a\r\nbcd\r\n"))
				client.Close()
				if got := pieces(simnet.Torture(server, c.how...)); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			})
		})
	}
}

func TestTortureStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := tcpPair(t, simnet.New(simnet.Options{}))
		client.Write(make([]byte, 10))
		tortured := simnet.Torture(server, simnet.Stall(4, time.Minute))
		start := time.Now()
		io.ReadFull(tortured, make([]byte, 10))
		if time.Since(start) != 2*time.Minute {
			t.Error("two stalls of a minute took", time.Since(start))
		}
		client.Write(make([]byte, 10))
		io.ReadFull(tortured, make([]byte, 2))
		tortured.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := tortured.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("deadline in a stall:", err)
		}
		if _, err := tortured.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("deadline that hides what was read ahead:", err)
		}
		tortured.SetReadDeadline(time.Time{})
		io.ReadFull(tortured, make([]byte, 4))
		time.AfterFunc(time.Second, func() { tortured.Close() })
		if _, err := tortured.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error("close in a stall:", err)
		}
	})
}

func TestTortureReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := tcpPair(t, simnet.New(simnet.Options{}))
		client.Write(make([]byte, 10))
		tortured := simnet.Torture(server, simnet.ResetAfter(4))
		io.ReadAll(tortured)
		if _, err := tortured.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Error("write:", err)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error("peer:", err)
		}
	})
}

func TestTortureCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		client, server := tcpPair(t, n)
		tortured := simnet.Torture(client, simnet.Coalesce(10*time.Millisecond))
		for _, text := range []string{"one ", "two ", "three "} {
			fmt.Fprint(tortured, text)
		}
		b := make([]byte, 100)
		start := time.Now()
		k, _ := server.Read(b)
		if string(b[:k]) != "one two three " || time.Since(start) != 10*time.Millisecond {
			t.Errorf("%q after %v", b[:k], time.Since(start))
		}
		fmt.Fprint(tortured, "question")
		time.AfterFunc(time.Millisecond, func() { k, _ = server.Read(b); server.Write(b[:k]) })
		start = time.Now()
		if k, _ = tortured.Read(b); string(b[:k]) != "question" || time.Since(start) != time.Millisecond {
			t.Errorf("a Read that waits for the answer sends the question: %q after %v", b[:k], time.Since(start))
		}
		tortured.Write(make([]byte, 70_000)) // does not wait
		if server.Unread() != 70_000 {
			t.Error(server.Unread(), "bytes came")
		}
		fmt.Fprint(tortured, "last")
		if err := tortured.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(server); len(got) != 70_004 || err != nil {
			t.Error(len(got), err)
		}
		if err := tortured.Close(); err != nil {
			t.Error(err)
		}
		if err := simnet.Torture(struct{ net.Conn }{client}).(interface{ CloseWrite() error }).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
	})
}

// TestTortureFindsMistakes: code that reads well passes, code that takes one Read
// for one message does not.
func TestTortureFindsMistakes(t *testing.T) {
	readers := map[string]func(io.Reader) string{
		"right": func(r io.Reader) string { line, _ := bufio.NewReader(r).ReadString('\n'); return line },
		"wrong": func(r io.Reader) string { b := make([]byte, 100); n, _ := r.Read(b); return string(b[:n]) },
	}
	for name, read := range readers {
		synctest.Test(t, func(t *testing.T) {
			client, server := tcpPair(t, simnet.New(simnet.Options{}))
			client.Write([]byte("a line\r\n"))
			if ok := read(simnet.Torture(server)) == "a line\r\n"; ok != (name == "right") {
				t.Error(name, ok)
			}
		})
	}
}

// TestTLS: crypto/tls works through all of it, deadlines included.
func TestTLS(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	config := cert.TLS.Clone()
	cert.Close()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Link: simnet.Link{Latency: latency}, Script: simnet.Script{simnet.DropEvery(4)}})
		client, server := tcpPair(t, n)
		s := tls.Server(simnet.Torture(server), config)
		c := tls.Client(simnet.Torture(client, simnet.Chunks(2, 5), simnet.Coalesce(time.Millisecond)), &tls.Config{InsecureSkipVerify: true})
		go func() {
			io.Copy(s, s)
			s.Close()
		}()
		if err := c.HandshakeContext(context.Background()); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		c.SetReadDeadline(time.Time{})
		data := bytes.Repeat([]byte("tls "), 5000)
		go func() {
			c.Write(data)
			c.CloseWrite()
		}()
		if err := iotest.TestReader(io.LimitReader(c, int64(len(data))), data); err != nil {
			t.Error(err)
		}
		c.Close()
	})
}
