package sockets_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/sockopt"
	"example.com/sockets/internal/splice"
)

func needSplice(t *testing.T) {
	t.Helper()
	p, err := splice.Open()
	if err != nil {
		t.Skip("no splice here")
	}
	p.Close()
}

// eventually waits for what the system does in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// hiding hides what is behind it, as a wrapper does that knows nothing of sendfile
// and splice.
type hiding struct{ io.Reader }

const zeroCopied = 1 << 20

// zeroCopies are what the kernel moves by itself, and what it cannot: each writes
// zeroCopied bytes of what is sent to b, to a.
var zeroCopies = []struct {
	name, call string
	copy       func(t *testing.T, a, b *sockets.Conn) (int64, error)
}{
	{"a file", "sendfile", func(t *testing.T, a, _ *sockets.Conn) (int64, error) { return io.Copy(a, zeroFile(t)) }},
	{"part of a file", "sendfile", func(t *testing.T, a, _ *sockets.Conn) (int64, error) {
		return io.Copy(a, io.LimitReader(zeroFile(t), zeroCopied))
	}},
	{"a hidden file", "", func(t *testing.T, a, _ *sockets.Conn) (int64, error) { return io.Copy(a, hiding{zeroFile(t)}) }},
	{"a Conn", "splice", func(_ *testing.T, a, b *sockets.Conn) (int64, error) { return io.Copy(a, b) }},
	{"part of a Conn", "splice", func(_ *testing.T, a, b *sockets.Conn) (int64, error) {
		return io.Copy(a, io.LimitReader(b, zeroCopied))
	}},
	{"a hidden Conn", "", func(_ *testing.T, a, b *sockets.Conn) (int64, error) { return io.Copy(a, hiding{b}) }},
	{"a relay", "splice", func(t *testing.T, a, b *sockets.Conn) (int64, error) {
		return zeroCopied, sockets.Relay(t.Context(), a, b)
	}},
	{"a relay, the other way", "splice", func(t *testing.T, a, b *sockets.Conn) (int64, error) {
		return zeroCopied, sockets.Relay(t.Context(), b, a)
	}},
}

func zeroFile(t *testing.T) *os.File { return tempFile(t, make([]byte, zeroCopied)) }

// TestZeroCopy lets strace say what the kernel was asked for.
func TestZeroCopy(t *testing.T) {
	const child = "SOCKETS_TEST_ZERO_COPY"
	if i, err := strconv.Atoi(os.Getenv(child)); err == nil {
		copyZeros(t, zeroCopies[i].copy)
		return
	}
	needSplice(t)
	if !sockopt.Sendfile {
		t.Skip("no sendfile here")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed, and nothing else tells a copy from sendfile and splice")
	}
	for i, tt := range zeroCopies {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-e", "trace=sendfile,splice", os.Args[0], "-test.run=^TestZeroCopy$", "-test.count=1")
			cmd.Env = append(os.Environ(), fmt.Sprint(child, "=", i))
			out, err := cmd.CombinedOutput()
			if bytes.Contains(out, []byte("ptrace")) || bytes.Contains(out, []byte("Operation not permitted")) {
				t.Skipf("strace may not trace here: %.200s", out)
			}
			if err != nil {
				t.Fatalf("%v: %.2000s", err, out)
			}
			for _, call := range []string{"sendfile", "splice"} {
				n, want := movedBy(call, string(out)), int64(0)
				if call == tt.call {
					want = zeroCopied * 9 / 10 // the first bytes of a burst are read
				}
				if n < want || want == 0 && n > 0 {
					t.Errorf("%d bytes moved by %s, want at least %d", n, call, want)
				}
			}
		})
	}
}

func copyZeros(t *testing.T, how func(*testing.T, *sockets.Conn, *sockets.Conn) (int64, error)) {
	hereA, thereA := tcpPair(t)
	hereB, thereB := tcpPair(t)
	a, b := sockets.NewConn(hereA, nil), sockets.NewConn(hereB, nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = thereB.Write(make([]byte, zeroCopied))
		thereB.Close()
	})
	wg.Go(func() {
		closeWrite(t, thereA)
		if n, err := io.Copy(io.Discard, thereA); n != zeroCopied || err != nil {
			t.Errorf("%d arrived, %v", n, err)
		}
	})
	if n, err := how(t, a, b); n != zeroCopied || err != nil {
		t.Errorf("copied %d, %v", n, err)
	}
	a.Close()
	b.Close()
	wg.Wait()
}

// movedBy adds up what calls returned: those of splice into a pipe count, and those
// out of one, so half.
func movedBy(call, trace string) (n int64) {
	for _, m := range regexp.MustCompile(`(?m)\b`+call+`(?:\(| resumed).* = (\d+)$`).FindAllStringSubmatch(trace, -1) {
		k, _ := strconv.ParseInt(m[1], 10, 64)
		n += k
	}
	if call == "splice" {
		n /= 2
	}
	return n
}

// open counts this process's descriptors, of which those of pipes apart.
func open(t *testing.T) (all, pipes int) {
	t.Helper()
	const dir = "/proc/self/fd/"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Skip("nothing counts descriptors here")
	}
	for _, e := range entries {
		to, _ := os.Readlink(dir + e.Name())
		if all++; strings.HasPrefix(to, "pipe:") {
			pipes++
		}
	}
	return all, pipes
}

// A relay costs its two sockets, before, between and after bursts.
func TestIdleRelayHoldsTwoDescriptors(t *testing.T) {
	needSplice(t)
	const relays = 20
	all, pipes := open(t)
	var running []*relayed
	want := func(when string) {
		t.Helper()
		eventually(t, "no more than two descriptors for each relay "+when, func() bool {
			n, p := open(t)
			return n == all+4*relays && p == pipes // the peers are here too
		})
	}
	for range relays {
		running = append(running, relay(t, t.Context(), tcpPair, guard.Limits{}))
	}
	want("at first")
	part := strings.Repeat("x", 100_000)
	for range 2 {
		for _, r := range running {
			send(t, r.left, part)
			wantNext(t, "right", r.right, part)
			send(t, r.right, part)
			wantNext(t, "left", r.left, part)
		}
		want("after a burst")
	}
	for _, r := range running {
		r.left.Close()
		r.right.Close()
		wantError(t, "Relay", <-r.done, nil)
	}
}

// A relay starts one goroutine.
func TestRelayGoroutines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		r := relay(t, t.Context(), memory, guard.Limits{Idle: time.Hour})
		for _, state := range []func(){func() {}, func() { closeWrite(t, r.left) }} {
			state()
			synctest.Wait()
			if n := runtime.NumGoroutine() - before; n != 2 { // one is this test's
				t.Errorf("%d goroutines", n)
			}
		}
		r.right.Close()
		wantError(t, "Relay", <-r.done, nil)
		if n := runtime.NumGoroutine() - before; n > 0 {
			t.Errorf("%d goroutines are left", n)
		}
	})
}

// A copy by splice that a deadline cuts loses nothing: what was in the pipe stays to
// be read.
func TestCutSpliceGoesOn(t *testing.T) {
	needSplice(t)
	for name, pair := range map[string]func(*testing.T) (net.Conn, net.Conn){"tcp": tcpPair, "unix": unixPair} {
		from, to := pair, tcpPair
		hereA, left := from(t)
		hereB, right := to(t)
		_ = right.(*net.TCPConn).SetReadBuffer(64 << 10)
		_ = hereB.(*net.TCPConn).SetWriteBuffer(64 << 10)
		content := random(4 << 20)
		a, b := sockets.NewConn(hereA, nil), sockets.NewConn(hereB, nil)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = left.Write(content); left.Close() })
		cuts := 0
		wg.Go(func() {
			defer b.Close()
			for total := int64(0); total < int64(len(content)); {
				n, err := io.Copy(b, io.LimitReader(a, 1<<20))
				if total += n; err == nil {
					continue
				}
				cuts++
				if !sockets.IsTimeout(err) {
					t.Errorf("%s: %v", name, err)
					return
				}
				_ = b.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
			}
		})
		var got []byte
		p := make([]byte, 64<<10)
		for err := error(nil); err == nil; {
			_ = b.SetWriteDeadline(time.Unix(1, 0))
			var k int
			k, err = right.Read(p)
			got = append(got, p[:k]...)
		}
		wg.Wait()
		if !bytes.Equal(got, content) || cuts == 0 {
			t.Errorf("%s: %d bytes arrived, want %d; cut %d times", name, len(got), len(content), cuts)
		}
	}
}

// A peer that reads slowly is not one that takes nothing, though a socket with a
// large buffer takes nothing for as long as a third of it is not read.
func TestWriteLimitSparesTheSlow(t *testing.T) {
	needSplice(t)
	for name, from := range map[string]func(t *testing.T, content []byte) io.Reader{
		"splice":   func(t *testing.T, content []byte) io.Reader { return ahead(t, content, 0) },
		"sendfile": func(t *testing.T, content []byte) io.Reader { return tempFile(t, content) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, there := tcpPair(t)
			_ = here.(*net.TCPConn).SetWriteBuffer(64 << 10) // the system takes twice that
			_ = there.(*net.TCPConn).SetReadBuffer(16 << 10)
			c, _ := guarded(here, guard.Limits{Write: 600 * time.Millisecond})
			content := random(220_000)
			var wg sync.WaitGroup
			wg.Go(func() {
				if n, err := io.Copy(c, from(t, content)); n != int64(len(content)) || err != nil {
					t.Errorf("copied %d, %v", n, err)
				}
				c.Close()
			})
			if got := readSlowly(there, 2<<10, 40*time.Millisecond); !bytes.Equal(got, content) {
				t.Errorf("%d bytes arrived, want %d", len(got), len(content))
			}
			wg.Wait()
		})
	}
}

// readSlowly reads c to its end, so many bytes each time.
func readSlowly(c net.Conn, bytes int, each time.Duration) (got []byte) {
	tick := time.NewTicker(each)
	defer tick.Stop()
	p := make([]byte, bytes)
	for {
		n, err := c.Read(p)
		got = append(got, p[:n]...)
		if err != nil {
			return got
		}
		<-tick.C
	}
}

// One that takes nothing at all is noticed, whatever its system answers.
func TestWriteLimitOfSplice(t *testing.T) {
	needSplice(t)
	hereA, left := tcpPair(t)
	hereB, right := tcpPair(t)
	b, _ := guarded(hereB, guard.Limits{Write: 300 * time.Millisecond})
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = left.Write(make([]byte, 32<<20)) })
	start := time.Now()
	err := sockets.Relay(t.Context(), sockets.NewConn(hereA, nil), b)
	wantFinal(t, "Relay", err, sockets.ErrWrite)
	if d := time.Since(start); d < 300*time.Millisecond || d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	wg.Wait() // left was reset
	right.Close()
}

// An idle limit holds over splice as in memory.
func TestIdleLimitOfSplice(t *testing.T) {
	r := relay(t, t.Context(), tcpPair, guard.Limits{Idle: 100 * time.Millisecond})
	content := string(random(300_000))
	send(t, r.left, content)
	wantRest(t, "right", r.right, content, nil)
	wantRest(t, "left", r.left, "", nil)
	wantFinal(t, "Relay", <-r.done, sockets.ErrIdle)
	if d := time.Since(r.start); d < 100*time.Millisecond {
		t.Errorf("it took %v", d)
	}
}
