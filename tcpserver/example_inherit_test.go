//go:build unix

package tcpserver_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"example.com/sockets/tcpserver"
)

// Under systemd, inetd or a container's supervisor a program does not listen: it is
// started with the listening sockets as descriptors 3 and up, see sd_listen_fds(3).
// They become ordinary listeners. Here the example is the supervisor as well.
func ExampleServer_Serve_systemd() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ln.Close()
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		fmt.Println(err)
		return
	}
	service := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0"`, os.Args[0])
	service.ExtraFiles = []*os.File{file} // descriptor 3
	service.Stdout = os.Stdout
	if err := service.Start(); err != nil {
		fmt.Println(err)
		return
	}
	_ = file.Close()
	fmt.Println(say(ln.Addr(), "hello")) // waits in the queue until the service is up
	_ = service.Process.Signal(syscall.SIGTERM)
	fmt.Println("the service ended:", service.Wait())
	// Output:
	// HELLO
	// the service ended: <nil>
}

// activated returns the listeners that a supervisor has opened for this process. It
// takes what says so out of the environment, so that no child takes it for its own.
func activated() (all []net.Listener, err error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name)
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil // they are another process's
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		return nil, err
	}
	for fd := 3; fd < 3+n; fd++ {
		file := os.NewFile(uintptr(fd), "activated")
		ln, err := net.FileListener(file) // a copy, which no child inherits
		_ = file.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, ln)
	}
	return all, nil
}

// serveActivated is the main function of the service.
func serveActivated(all []net.Listener) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := tcpserver.Server{
		Shared: true, // the supervisor keeps the socket, and starts us again
		Handler: tcpserver.Respond(func(_ context.Context, request []byte) ([]byte, error) {
			return bytes.ToUpper(request), nil
		}),
	}
	return s.Serve(ctx, all[0])
}

func init() { // in place of main, which a test has not got
	all, err := activated()
	if err == nil && len(all) == 0 {
		return
	}
	if err == nil {
		err = serveActivated(all)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}
