//go:build linux

package tcpserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
)

// limitFiles lowers or raises the limit on open files until the test ends.
func limitFiles(t testing.TB, n uint64) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	now := old
	now.Cur = n
	now.Max = max(now.Max, n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		t.Skip("the limit on open files can't be set: ", err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old) })
}

// TestConnsDefault: half of the process's files less 64, within bounds, said in the
// log once.
func TestConnsDefault(t *testing.T) {
	tests := []struct {
		files uint64
		conns int // what the log says
		set   int // by Limits.Conns
	}{
		{1024, 448, 0},
		{4096, 1984, 0},
		{100, 16, 0},       // at least
		{262144, 65536, 0}, // at most; only where the limit may be raised
		{1024, 7, 7},
		{1024, -1, -1},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.files, " files, ", tt.set), func(t *testing.T) {
			limitFiles(t, tt.files)
			var log logged
			r := serveReal(t, &tcpserver.Server{Handler: upper, Logger: log.logger(), Limits: tcpserver.Limits{Conns: tt.set}})
			c := r.client()
			ask(t, c, "x")
			c.Close()
			if err := r.wait(); err != nil {
				t.Error(err)
			}
			if n := strings.Count(log.String(), fmt.Sprintf("conns=%d\n", tt.conns)); n != 1 {
				t.Errorf("the log says %d times that conns=%d:\n%s", n, tt.conns, log.String())
			}
		})
	}
}

// TestLingerIsCapped: at most a quarter as many linger as handlers may run, by the
// limit or by its default. Who is beyond is closed at once.
func TestLingerIsCapped(t *testing.T) {
	limitFiles(t, 200) // the default is 36
	for conns, want := range map[int]int64{80: 20, 4: 9} {
		inBubble(t, func(t *testing.T) {
			r := serveSim(t, &tcpserver.Server{
				Handler: func(_ context.Context, c *sockets.Conn) error {
					if err := c.Await(); err != nil {
						return err
					}
					return c.WriteMessage([]byte("reply"))
				},
				Limits:   tcpserver.Limits{Conns: conns},
				Timeouts: tcpserver.Timeouts{Linger: time.Minute},
			})
			for range 50 {
				c := r.client()
				defer c.Close()
				c.Write(make([]byte, 1000)) // more than is read ahead
			}
			synctest.Wait()
			if st := r.Stats(); st.Lingering != want || st.Running != want || st.Served != 50 {
				t.Errorf("with %d conns: %+v", conns, st)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if st := r.Stats(); st.Lingering != 0 || st.Running != 0 {
				t.Errorf("after Linger: %+v", st)
			}
			if err := r.wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOutOfDescriptors: a server whose process has no descriptor left answers new
// clients by closing their connections, serves those it has, says so in the log once,
// and recovers, also from a second time. It runs in a process of its own, with the
// clients in this one.
func TestOutOfDescriptors(t *testing.T) {
	if os.Getenv("SOCKETS_TEST_SPARE") != "" {
		outOfDescriptors(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOutOfDescriptors$", "-test.v")
	cmd.Env = append(os.Environ(), "SOCKETS_TEST_SPARE=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	say := func(what string) string {
		t.Helper()
		var answer string
		if what != "" {
			fmt.Fprintln(in, what)
		}
		for { // go test writes lines of its own
			if _, err := fmt.Fscanln(out, &answer); err == io.EOF {
				t.Fatal("the child has ended")
			}
			if s, ok := strings.CutPrefix(answer, "child:"); ok {
				return s
			}
		}
	}
	address := say("")
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	old := dial()
	defer old.Close()
	ask(t, old, "x")
	for range 2 {
		for range 5 {
			say("fill") // again: what the last client had is free
			c := dial()
			if err := ended(c); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("a client beyond the descriptors read %v, want an end", err)
			}
			c.Close()
		}
		if got := ask(t, old, "still"); got != "STILL" {
			t.Errorf("got %q", got)
		}
		say("free")
		c := dial()
		if got := ask(t, c, "again"); got != "AGAIN" {
			t.Errorf("got %q", got)
		}
		c.Close()
	}
	// Everything is taken away, the spare one too, as another goroutine of the
	// process may do in the moment in which it is given up.
	say("steal")
	late := dial()
	defer late.Close()
	say("wait")
	say("free")
	if got := ask(t, late, "late"); got != "LATE" {
		t.Errorf("got %q", got)
	}
	say("fill")
	c := dial()
	defer c.Close()
	if err := ended(c); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after the spare descriptor was lost once: %v", err)
	}
	say("free")
	if log := say("stop"); log != "ok" {
		t.Error(log)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func outOfDescriptors(t *testing.T) {
	limitFiles(t, 200)
	var log logged
	r := serveReal(t, &tcpserver.Server{Handler: upper, Logger: log.logger()})
	fmt.Println("child:" + r.addr)
	var taken []*os.File
	var before, shed int64
	open := int64(1) // connections that the parent keeps open
	fill := func() {
		for {
			f, err := os.Open(os.DevNull)
			if err != nil {
				return
			}
			taken = append(taken, f)
		}
	}
	for {
		var what string
		fmt.Scanln(&what)
		switch what {
		case "fill": // but not with what the server is about to close, or to take back
			for st := r.Stats(); st.Shed < shed || st.Running > open; st = r.Stats() {
				runtime.Gosched()
			}
			shed++ // the next client
			fill()
		case "steal": // while the accept loop is without its spare descriptor
			fill()
			limitFiles(t, 5)
			before = r.Stats().AcceptErrors
			open++
		case "wait": // until it has been missed
			for r.Stats().AcceptErrors == before {
				runtime.Gosched()
			}
		case "free":
			limitFiles(t, 200)
			for _, f := range taken {
				f.Close()
			}
			taken = nil
		case "stop":
			if err := r.wait(); err != nil {
				t.Error(err)
			}
			answer := "ok"
			if n := r.Stats().Shed; n < 11 { // a client may know before it is counted
				answer = fmt.Sprintf("only-%d-were-shed", n)
			}
			if n := strings.Count(log.String(), "accept fails"); n != 4 {
				answer = fmt.Sprintf("%d-episodes-in-the-log:", n) + strings.NewReplacer(" ", "_", "\n", "|").Replace(log.String())
			}
			fmt.Println("child:" + answer)
			return
		case "":
			t.Fatal("the parent is gone")
		}
		fmt.Println("child:done")
	}
}
