package tcpserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"example.com/sockets/tcpserver"
)

// With port 0 the system chooses a free port, and Addr tells which. That is also how
// tests listen without getting into each other's way.
func ExampleServer_Listen() {
	s := tcpserver.Server{Handler: tcpserver.Respond(
		func(_ context.Context, request []byte) ([]byte, error) {
			return bytes.ToUpper(request), nil
		})}
	ln, err := s.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- s.Serve(ctx, ln) }() // closes ln

	fmt.Println(ln.Addr().(*net.TCPAddr).Port != 0, say(ln.Addr(), "hello"))

	stop()
	fmt.Println(<-done)
	// Output:
	// true HELLO
	// <nil>
}

// A unix socket is for clients on the same machine: its file's permissions say who
// may connect. A second server on it is refused. What a server that was killed has
// left behind is no hindrance, and a stop removes it.
func ExampleServer_Listen_unix() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "example.sock")

	s := tcpserver.Server{Handler: tcpserver.Respond(
		func(_ context.Context, request []byte) ([]byte, error) {
			return bytes.ToUpper(request), nil
		})}
	ln, err := s.Listen(context.Background(), "unix:"+path)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = os.Chmod(path, 0o660) // the group may connect

	_, err = s.Listen(context.Background(), "unix:"+path)
	fmt.Println("a second one is refused:", errors.Is(err, syscall.EADDRINUSE))

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- s.Serve(ctx, ln) }()
	fmt.Println(say(ln.Addr(), "hello"))

	stop()
	fmt.Println(<-done)
	_, err = os.Stat(path)
	fmt.Println("the file is gone:", os.IsNotExist(err))
	// Output:
	// a second one is refused: true
	// HELLO
	// <nil>
	// the file is gone: true
}

// A new version of a program takes over from the old one, and nobody who dials in the
// meantime is refused: both have a copy of one listening socket, with one queue. Here
// one process is both. Between processes the file crosses by exec.Cmd.ExtraFiles, or
// a library such as cloudflare/tableflip passes it, whose listeners go to Serve as
// they are. A group (Listeners above 1) passes one file for each of its sockets.
func ExampleServer_Serve_takeover() {
	handler := func(version string) tcpserver.Server {
		return tcpserver.Server{
			// What is queued when the old version stops is for the new one.
			Shared: true,
			Handler: tcpserver.Respond(func(_ context.Context, request []byte) ([]byte, error) {
				return []byte(version + " got " + string(request)), nil
			}),
		}
	}
	v1, v2 := handler("v1"), handler("v2")
	ln, err := v1.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop1 := context.WithCancel(context.Background())
	defer stop1()
	done1 := make(chan error)
	go func() { done1 <- v1.Serve(ctx, ln) }()
	fmt.Println(say(ln.Addr(), "hello"))

	file, err := ln.(*net.TCPListener).File() // a copy of the descriptor
	if err != nil {
		fmt.Println(err)
		return
	}
	inherited, err := net.FileListener(file) // which copies it once more
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = file.Close()
	stop1() // the new version says that it is ready
	fmt.Println("v1 stopped:", <-done1)

	early, _ := net.Dial("tcp", inherited.Addr().String()) // nobody accepts yet
	fmt.Fprintln(early, "hello")
	ctx, stop2 := context.WithCancel(context.Background())
	defer stop2()
	done2 := make(chan error)
	go func() { done2 <- v2.Serve(ctx, inherited) }()
	fmt.Println(answer(early))
	stop2()
	fmt.Println("v2 stopped:", <-done2)
	// Output:
	// v1 got hello
	// v1 stopped: <nil>
	// v2 got hello
	// v2 stopped: <nil>
}

// say sends a line and returns the answer.
func say(to net.Addr, line string) string {
	c, err := net.Dial(to.Network(), to.String())
	if err != nil {
		return err.Error()
	}
	fmt.Fprintln(c, line)
	return answer(c)
}

// answer reads what a server answers to all that was sent.
func answer(c net.Conn) string {
	defer c.Close()
	_ = c.(interface{ CloseWrite() error }).CloseWrite()
	text, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}
