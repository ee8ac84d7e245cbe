package listen_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"example.com/sockets/internal/listen"
)

// childEnv makes a process of this test one that opens what it says, when it is
// told to, and holds it until its input ends.
const childEnv = "SOCKETS_LISTEN_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		child(what)
		return
	}
	goleak.VerifyTestMain(m)
}

func child(what string) {
	fmt.Println("ready")
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	if accept, ok := strings.CutPrefix(what, "accept"); ok {
		acceptAll(accept)
		return
	}
	held, err := open(what)
	switch {
	case err == nil:
		fmt.Println("won")
	case errors.Is(err, syscall.EADDRINUSE):
		fmt.Println("in use")
	default:
		fmt.Println("failed:", err)
	}
	io.Copy(io.Discard, in)
	if err == nil {
		held.Close()
	}
}

// acceptAll accepts as many connections as what says, with a listener of this package
// or of the net package.
func acceptAll(what string) {
	by, count, _ := strings.Cut(what, " ")
	n, _ := strconv.Atoi(count)
	ln, err := listen.TCP(context.Background(), "127.0.0.1:0", 1)
	if by == "-by-net" {
		ln.Close()
		ln, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ln.Addr())
	for range n {
		if _, err := ln.Accept(); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("accepted")
}

// open opens "unix PATH", "tcp ADDRESS" or "udp ADDRESS", these as groups of four.
func open(what string) (io.Closer, error) {
	kind, at, _ := strings.Cut(what, " ")
	switch kind {
	case "tcp":
		return listen.TCP(context.Background(), at, 4)
	case "udp":
		return listen.UDP(context.Background(), at, 4)
	}
	return listen.Unix(context.Background(), at, false)
}

// process is a child.
type process struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start starts a child, under another command if one is given.
func start(t *testing.T, what string, under ...string) *process {
	t.Helper()
	args := slices.Concat(under, os.Args[:1])
	p := &process{Cmd: exec.Command(args[0], args[1:]...)}
	p.Env = append(os.Environ(), childEnv+"="+what, "GORACE=atexit_sleep_ms=0")
	p.Stderr = os.Stderr
	var err error
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if got := p.says(t); got != "ready" {
		t.Fatalf("a child says %q", got)
	}
	return p
}

func (p *process) says(t *testing.T) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func (p *process) end() {
	p.in.Close()
	p.Wait()
}

// TestProcesses: of several processes that open the same at the same moment exactly
// one gets it, the others are told that it is in use, and when that one has ended
// the next gets it.
func TestProcesses(t *testing.T) {
	path := t.TempDir() + "/s"
	for _, what := range []string{"unix " + path, "tcp " + freePort(t), "udp " + freePort(t)} {
		t.Run(strings.Fields(what)[0], func(t *testing.T) {
			for range 5 {
				if strings.HasPrefix(what, "unix ") {
					leaveStale(t, path)
				}
				race(t, what, 5)
			}
		})
	}
}

func race(t *testing.T, what string, n int) {
	t.Helper()
	var all []*process
	for range n {
		p := start(t, what)
		defer p.end()
		all = append(all, p)
	}
	for _, p := range all {
		fmt.Fprintln(p.in, "go")
	}
	won := 0
	for _, p := range all {
		switch got := p.says(t); got {
		case "won":
			won++
		case "in use":
		default:
			t.Errorf("%s: %s", what, got)
		}
	}
	if won != 1 {
		t.Errorf("%s: %d of %d processes got it", what, won, n)
	}
}

// TestKilled: what a killed process leaves behind is in nobody's way.
func TestKilled(t *testing.T) {
	for _, what := range []string{"unix " + t.TempDir() + "/s", "unix @" + t.Name(), "tcp " + freePort(t)} {
		if held, err := open(what); errors.Is(err, errors.ErrUnsupported) {
			continue
		} else if err == nil {
			held.Close()
		}
		p := start(t, what)
		fmt.Fprintln(p.in, "go")
		if got := p.says(t); got != "won" {
			t.Fatalf("%s: %s", what, got)
		}
		if _, err := open(what); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: beside a live process: %v", what, err)
		}
		p.Process.Kill()
		p.end()
		held, err := open(what)
		if err != nil {
			t.Errorf("%s: after the process was killed: %v", what, err)
			continue
		}
		if err := held.Close(); err != nil {
			t.Error(err)
		}
	}
}

// freePort is an address of this machine on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// leaveStale makes the file of a unix server that has died.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
}
