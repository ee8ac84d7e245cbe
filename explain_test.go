package sockets_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
)

// TestExplain: the errors that programs meet most, made by making the mistake where
// that is possible, are explained with what to do next.
func TestExplain(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	busy := ln.Addr().String()
	tests := []struct {
		name string
		err  error
		says []string
	}{
		{"address in use", failing(net.Listen("tcp", busy)), []string{busy + "/tcp", "held by another socket", "ss -anp", "port 0"}},
		{"refused", failing(net.Dial("tcp", unusedPort(t))), []string{"No process listens on 127.0.0.1:", "/tcp", "server running"}},
		{"bounced", bouncedDatagram(t), []string{"datagram to 127.0.0.1:", "/udp", "came back"}},
		{"no port", failing(net.Dial("tcp", "localhost")), []string{`"localhost"`, "no port", "localhost:"}},
		{"no port, ours", second(addr.Parse(addr.TCP, "127.0.0.1")), []string{`"127.0.0.1"`, "no port"}},
		{"port out of range", failing(net.Dial("tcp", "127.0.0.1:99999")), []string{"99999", "65535"}},
		{"brackets", failing(net.Dial("tcp", "::1:80")), []string{`"[::1]:80"`}},
		{"privileged port", &net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{Port: 80}, Err: os.NewSyscallError("bind", syscall.EACCES)}, []string{"1024"}},
		{"not ours", failing(net.Listen("tcp", "192.0.2.1:0")), []string{"192.0.2.1", "not an address of this machine"}},
		{"ports used up", &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, Err: syscall.EADDRNOTAVAIL}, []string{"127.0.0.1:80/tcp", "reuse"}},
		{"read timeout", timedOutRead(ln), []string{"No answer from 127.0.0.1:"}},
		{"dial timeout", &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}, Err: os.ErrDeadlineExceeded}, []string{"192.0.2.1:80/tcp has not answered", "firewall"}},
		{"context", fmt.Errorf("x: %w", context.DeadlineExceeded), []string{"within the time"}},
		{"cancelled", context.Canceled, []string{"cancelled"}},
		{"reset", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, []string{"the peer has discarded the connection"}},
		{"broken pipe", &net.OpError{Op: "write", Err: syscall.EPIPE}, []string{"has closed", "only an answer proves"}},
		{"message too long", oversized(t), []string{"65,507"}},
		{"EOF inside a message", fmt.Errorf("x: %w", io.ErrUnexpectedEOF), []string{"middle of a message", "newline"}},
		{"EOF", io.EOF, []string{"ordinary end"}},
		{"closed", net.ErrClosed, []string{"This program has closed"}},
		{"descriptors", &net.OpError{Op: "accept", Err: syscall.EMFILE}, []string{"ulimit -n"}},
		{"no route", &net.OpError{Op: "dial", Err: syscall.ENETUNREACH}, []string{"no way to the peer"}},
		{"no such host", &net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true, Name: "nowhere.invalid"}}, []string{"no address"}},
		{"too long", sockets.ErrTooLong, []string{"maximum"}},
		{"drain", sockets.ErrDraining, []string{"stopping"}},
		{"idle", sockets.ErrIdle, []string{"Timeouts.Idle"}},
		{"write", sockets.ErrWrite, []string{"Timeouts.Write"}},
		{"message", sockets.ErrMessage, []string{"did not end in time"}},
		{"cut off", sockets.ErrCutOff, []string{"Timeouts.Grace"}},
		{"handshake", sockets.ErrHandshake, []string{"Timeouts.Handshake"}},
		{"lifetime", sockets.ErrLifetime, []string{"ordinary end"}},
		{"minimum rate", sockets.ErrMinRate, []string{"Timeouts.MinRate"}},
		{"no reply", noReply(t, ln), []string{"instead of answering", "its log knows"}},
		{"evicted", sockets.ErrEvicted, []string{"Limits.Conns"}},
		{"no unix socket", failing(net.Dial("unix", "/nonexistent/socket")), []string{"no unix socket"}},
		{"unread", unreadInput(t), []string{"the peer has sent", "before it was asked"}},
		{"void", voidCall(t), []string{"dial again"}},
		{"delimiter", sockets.ErrDelimiter, []string{"LengthPrefix"}},
		{"truncated", sockets.ErrTruncated, []string{"lost"}},
		{"unknown", errors.New("something else"), []string{"something else"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := sockets.Explain(tt.err)
			for _, want := range tt.says {
				if !strings.Contains(got, want) {
					t.Errorf("Explain(%v)\nsays  %q,\nwants %q", tt.err, got, want)
				}
			}
			if strings.ContainsAny(got, "{}\n") {
				t.Errorf("not a sentence: %q", got)
			}
		})
	}
	if got := sockets.Explain(nil); got != "" {
		t.Errorf("Explain(nil) is %q", got)
	}
}

func second[T any](_ T, err error) error { return err }

func failing(c io.Closer, err error) error {
	if err == nil {
		c.Close()
	}
	return err
}

// unusedPort is an address of this machine on which nobody listens.
func unusedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func bouncedDatagram(t *testing.T) error {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc.Close()
	c, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("x"))
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err = c.Read(make([]byte, 1))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Skip("this system does not tell of unreachable ports")
	}
	return err
}

func oversized(t *testing.T) error {
	t.Helper()
	c, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Write(make([]byte, 70_000))
	return err
}

func timedOutRead(ln net.Listener) error {
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	c := sockets.NewConn(nc, nil)
	defer c.Close()
	c.SetReadDeadline(time.Unix(1, 0))
	_, err = c.ReadMessage()
	return err
}

// unreadInput is what a Call says when something is before its reply.
func unreadInput(t *testing.T) error {
	t.Helper()
	here, there := net.Pipe()
	defer there.Close()
	go io.WriteString(there, "one\ntwo\n")
	c := sockets.NewConn(here, nil)
	defer c.Close()
	wantMessage(t, c, "one")
	return second(c.Call(t.Context(), []byte("x")))
}

// voidCall is what a Call says after one that got no answer in time.
func voidCall(t *testing.T) error {
	t.Helper()
	here, there := net.Pipe()
	defer there.Close()
	go io.Copy(io.Discard, there)
	c := sockets.NewConn(here, nil)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	wantTimeout(t, "call", second(c.Call(ctx, []byte("x"))))
	err := second(c.Call(t.Context(), []byte("y")))
	if !strings.Contains(err.Error(), "an earlier call") {
		t.Errorf("the next call: %v", err)
	}
	return err
}

func noReply(t *testing.T, ln net.Listener) error {
	t.Helper()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := sockets.NewConn(nc, nil)
	defer c.Close()
	for { // timedOutRead left connections in the queue
		peer, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if peer.RemoteAddr().String() == c.LocalAddr().String() {
			peer.(*net.TCPConn).CloseWrite()
			defer peer.Close()
			break
		}
		peer.Close()
	}
	_, err = c.Call(t.Context(), []byte("hello"))
	return err
}
