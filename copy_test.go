package sockets_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/sockopt"
	"example.com/sockets/simnet"
)

// random is content whose every mistake shows.
func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func tempFile(t *testing.T, content []byte) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	rewind(t, f)
	return f
}

func rewind(t *testing.T, f *os.File) {
	t.Helper()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
}

// TestCopyTo: everything that can be copied to a Conn, by each way to do it.
func TestCopyTo(t *testing.T) {
	large := random(9 << 20) // more than two slices
	content := large[:300_000]
	file := tempFile(t, large)
	sources := map[string]struct {
		make func(t *testing.T) io.Reader
		want []byte
	}{
		"file": {func(t *testing.T) io.Reader { rewind(t, file); return file }, large},
		"file from its middle": {func(t *testing.T) io.Reader {
			_, _ = file.Seek(1000, io.SeekStart)
			return file
		}, large[1000:]},
		"part of a file": {func(t *testing.T) io.Reader { rewind(t, file); return io.LimitReader(file, 5<<20) }, large[:5<<20]},
		"a file with a limit beyond it": {func(t *testing.T) io.Reader {
			rewind(t, file)
			return io.LimitReader(file, 1<<40)
		}, large},
		"an empty limit":    {func(*testing.T) io.Reader { return io.LimitReader(file, 0) }, nil},
		"a negative limit":  {func(*testing.T) io.Reader { return io.LimitReader(file, -1) }, nil},
		"bytes.Reader":      {func(*testing.T) io.Reader { return bytes.NewReader(content) }, content},
		"a plain reader":    {func(*testing.T) io.Reader { return readerOnly{bytes.NewReader(content)} }, content},
		"nothing":           {func(*testing.T) io.Reader { return strings.NewReader("") }, nil},
		"a Conn":            {func(t *testing.T) io.Reader { return ahead(t, content, 0) }, content},
		"with bytes ahead":  {func(t *testing.T) io.Reader { return ahead(t, content, 5) }, content},
		"part of a Conn":    {func(t *testing.T) io.Reader { return io.LimitReader(ahead(t, content, 5), 100_000) }, content[:100_000]},
		"less than is here": {func(t *testing.T) io.Reader { return io.LimitReader(ahead(t, content, 5), 3) }, content[:3]},
	}
	ways := map[string]func(*sockets.Conn, io.Reader) (int64, error){
		"io.Copy":  func(c *sockets.Conn, r io.Reader) (int64, error) { return io.Copy(c, r) },
		"ReadFrom": (*sockets.Conn).ReadFrom,
	}
	for name, source := range sources {
		for way, copyTo := range ways {
			t.Run(name+" by "+way, func(t *testing.T) {
				here, there := tcpPair(t)
				c := sockets.NewConn(here, nil)
				var n int64
				var err error
				var wg sync.WaitGroup
				wg.Go(func() {
					n, err = copyTo(c, source.make(t))
					_ = c.CloseWrite()
				})
				got, _ := io.ReadAll(there)
				wg.Wait()
				if err != nil || n != int64(len(source.want)) || !bytes.Equal(got, source.want) {
					t.Errorf("copied %d, %v; %d arrived, want %d", n, err, len(got), len(source.want))
				}
			})
		}
	}
}

type readerOnly struct{ io.Reader }

// ahead is a Conn whose peer sends a line and then content, of which some was read
// ahead with the line.
func ahead(t *testing.T, content []byte, line int) *sockets.Conn {
	t.Helper()
	here, there := tcpPair(t)
	go func() {
		if line > 0 {
			_, _ = there.Write(append([]byte("line\n"), content[:50]...))
			_, _ = there.Write(content[50:])
		} else {
			_, _ = there.Write(content)
		}
		there.Close()
	}()
	c := sockets.NewConn(here, nil)
	if line > 0 {
		wantMessage(t, c, "line")
	}
	return c
}

func TestCopyFrom(t *testing.T) {
	content := random(300_000)
	for name, into := range map[string]func(t *testing.T) (io.Writer, func() []byte){
		"bytes.Buffer": func(*testing.T) (io.Writer, func() []byte) {
			var b bytes.Buffer
			return &b, b.Bytes
		},
		"file": func(t *testing.T) (io.Writer, func() []byte) {
			f := tempFile(t, nil)
			return f, func() []byte { b, _ := os.ReadFile(f.Name()); return b }
		},
		"Conn": func(t *testing.T) (io.Writer, func() []byte) {
			here, there := unixPair(t)
			c := sockets.NewConn(here, nil)
			got := make(chan []byte)
			go func() { b, _ := io.ReadAll(there); got <- b }()
			return c, func() []byte { c.Close(); return <-got }
		},
	} {
		for _, line := range []int{0, 5} {
			for way, copyFrom := range map[string]func(io.Writer, *sockets.Conn) (int64, error){
				"io.Copy": func(w io.Writer, c *sockets.Conn) (int64, error) { return io.Copy(w, c) },
				"WriteTo": func(w io.Writer, c *sockets.Conn) (int64, error) { return c.WriteTo(w) },
			} {
				t.Run(name+" by "+way, func(t *testing.T) {
					w, result := into(t)
					n, err := copyFrom(w, ahead(t, content, line))
					if got := result(); err != nil || n != int64(len(content)) || !bytes.Equal(got, content) {
						t.Errorf("copied %d, %v; %d arrived", n, err, len(got))
					}
				})
			}
		}
	}
}

// What is beyond a limit stays to be read, and the limit counts.
func TestCopyLeavesTheRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, from := conversation(t, nil)
		send(t, from, "line\n0123456789rest\n")
		wantMessage(t, src, "line")
		dst, to := conversation(t, nil)
		limited := &io.LimitedReader{R: src, N: 10}
		if n, err := io.Copy(dst, limited); n != 10 || err != nil || limited.N != 0 {
			t.Errorf("copied %d, %v, left of the limit %d", n, err, limited.N)
		}
		wantMessage(t, src, "rest")
		p := make([]byte, 10)
		if _, err := io.ReadFull(to, p); string(p) != "0123456789" || err != nil {
			t.Errorf("%q arrived, %v", p, err)
		}
	})
}

func TestCopyErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		odd := errors.New("odd")
		c, there := conversation(t, nil)
		send(t, there, "abc")
		if n, err := c.WriteTo(writes(func(p []byte) (int, error) { return 1, odd })); n != 1 || err != odd {
			t.Errorf("a writer that fails: %d, %v", n, err)
		}
		if n, err := c.WriteTo(writes(func(p []byte) (int, error) { return len(p) - 1, nil })); n != 1 || err != io.ErrShortWrite {
			t.Errorf("a writer that is short: %d, %v", n, err)
		}
		if n, err := c.ReadFrom(io.MultiReader(strings.NewReader("x"), &together{feed{then: odd}, ""})); n != 1 || err != odd {
			t.Errorf("a reader that fails: %d, %v", n, err)
		}
		if b, err := io.ReadAll(io.LimitReader(c, 1)); string(b) != "c" || err != nil {
			t.Errorf("what was not taken: %q, %v", b, err)
		}
	})
}

type writes func([]byte) (int, error)

func (w writes) Write(p []byte) (int, error) { return w(p) }

// A copy from a silent peer is idle like a read, and holds no deadline against a
// foreign connection that it may not survive.
func TestCopyArmsNoDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		w := &watched{Conn: here}
		c := sockets.NewConn(w, nil)
		go func() {
			for range 10 {
				send(t, there, strings.Repeat("x", 5000))
				time.Sleep(time.Minute)
			}
			there.Close()
		}()
		if n, err := c.WriteTo(io.Discard); n != 50_000 || err != nil {
			t.Errorf("copied %d, %v", n, err)
		}
		if len(w.read) != 0 {
			t.Errorf("%d read deadlines were set", len(w.read))
		}
	})
}

// refusing is a file for which the net package finds no descriptor, as the kernel
// does for some: it copies by itself.
type refusing struct{ *os.File }

func (refusing) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

// Such a copy, cut by a deadline, has read more than it has written: it must not
// go on.
func TestCutCopyLeavesNoHole(t *testing.T) {
	if !sockopt.Sendfile {
		t.Skip("no sendfile here")
	}
	here, there := tcpPair(t)
	_ = there.(*net.TCPConn).SetReadBuffer(4096)
	_ = here.(*net.TCPConn).SetWriteBuffer(4096)
	content := random(4 << 20)
	c, _ := guarded(here, guard.Limits{Write: 5 * time.Millisecond})
	var err error
	var n int64
	var wg sync.WaitGroup
	wg.Go(func() {
		n, err = c.ReadFrom(refusing{tempFile(t, content)})
		c.Close()
	})
	var got []byte
	p := make([]byte, 4<<10)
	for {
		time.Sleep(2 * time.Millisecond)
		k, err := there.Read(p)
		got = append(got, p[:k]...)
		if err != nil {
			break
		}
	}
	wg.Wait()
	if !bytes.HasPrefix(content, got) {
		t.Errorf("%d bytes arrived, and not those that were sent", len(got))
	}
	if err == nil && n != int64(len(content)) {
		t.Errorf("%d of %d copied without an error", n, len(content))
	}
}

// With sendfile a copy that a deadline cuts goes on without a loss: in the call, if
// the deadline holds no more, and otherwise in the next.
func TestCutSendfileGoesOn(t *testing.T) {
	here, there := tcpPair(t)
	_ = there.(*net.TCPConn).SetReadBuffer(64 << 10)
	_ = here.(*net.TCPConn).SetWriteBuffer(64 << 10)
	content := random(6 << 20)
	c := sockets.NewConn(here, nil)
	cuts := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		defer c.Close()
		file := tempFile(t, content)
		for total := int64(0); total < int64(len(content)); {
			n, err := c.ReadFrom(file)
			if total += n; err != nil {
				if cuts++; !sockets.IsTimeout(err) {
					t.Error(err)
					return
				}
			}
			_ = c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		}
	})
	var got []byte
	p := make([]byte, 64<<10)
	for err := error(nil); err == nil; {
		time.Sleep(2 * time.Millisecond) // so that the deadline passes several times
		_ = c.SetWriteDeadline(time.Unix(1, 0))
		_ = c.SetWriteDeadline(time.Time{}) // look again, and go on
		var k int
		k, err = there.Read(p)
		got = append(got, p[:k]...)
	}
	wg.Wait()
	if !bytes.Equal(got, content) {
		t.Errorf("%d bytes arrived, want %d", len(got), len(content))
	}
	t.Logf("cut %d times", cuts)
}

// A copy from a real socket gives its buffer back in a pause, and takes one again.
func TestCopyPauses(t *testing.T) {
	for name, pair := range map[string]func(*testing.T) (net.Conn, net.Conn){"tcp": tcpPair, "tls": tlsPair} {
		here, there := pair(t)
		c := sockets.NewConn(here, nil)
		content := random(200_000)
		go func() {
			for part := range slices.Chunk(content, 50_000) {
				_, _ = there.Write(part)
				time.Sleep(20 * time.Millisecond) // longer than it looks
			}
			there.Close()
		}()
		var got bytes.Buffer
		if n, err := c.WriteTo(&got); n != int64(len(content)) || err != nil || !bytes.Equal(got.Bytes(), content) {
			t.Errorf("%s: copied %d, %v", name, n, err)
		}
	}
}
