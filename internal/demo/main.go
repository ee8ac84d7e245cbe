// Command demo shows the library at work: the textbook's uppercase service, over TCP
// and over UDP, and clients that use it.
//
//	go run ./internal/demo
//	go run ./internal/demo -serve 127.0.0.1:12000
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"

	"golang.org/x/sync/errgroup"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
	"example.com/sockets/udpserver"
)

func main() {
	serve := flag.String("serve", "", "serve TCP and UDP on this `address` until Ctrl-C, instead of showing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, *serve)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		fmt.Fprintln(os.Stderr, sockets.Explain(err))
		os.Exit(1)
	}
}

func run(ctx context.Context, address string) error {
	if address == "" {
		return show(ctx)
	}
	s, err := listen(ctx, address, slog.Default())
	if err != nil {
		return err
	}
	fmt.Printf("Serving TCP and UDP on %v until Ctrl-C. Try, in another terminal:\n\n", s.tcpAt)
	host, port, _ := net.SplitHostPort(s.tcpAt.String())
	fmt.Printf("  printf 'hello\\n' | nc -N %s %s\n", host, port)
	fmt.Printf("  printf 'hello\\n' | nc -u -w1 %s %s\n\n", host, port)
	err = s.serve(ctx)
	s.statistics()
	return err
}

// service is the uppercase service, over both transports, on the same port.
type service struct {
	tcp   tcpserver.Server
	udp   udpserver.Server
	ln    net.Listener
	pc    net.PacketConn
	tcpAt net.Addr
	udpAt net.Addr
}

func upper(_ context.Context, request []byte) ([]byte, error) {
	return bytes.ToUpper(request), nil
}

// listen opens both sockets. With port 0 the second is given the port that the
// system chose for the first; somebody else may have it for UDP, so it is tried a
// few times.
func listen(ctx context.Context, address string, log *slog.Logger) (*service, error) {
	s := &service{
		tcp: tcpserver.Server{Handler: tcpserver.Respond(upper), Logger: log},
		udp: udpserver.Server{Handler: udpserver.Respond(upper), Logger: log},
	}
	var err error
	for range 10 {
		if s.ln, err = s.tcp.Listen(ctx, address); err != nil {
			return nil, err
		}
		s.tcpAt = s.ln.Addr()
		if s.pc, err = s.udp.ListenPacket(ctx, s.tcpAt.String()); err == nil {
			s.udpAt = s.pc.LocalAddr()
			return s, nil
		}
		_ = s.ln.Close()
	}
	return nil, err
}

// serve serves both until ctx ends.
func (s *service) serve(ctx context.Context) error {
	servers, ctx := errgroup.WithContext(ctx)
	servers.Go(func() error { return s.tcp.Serve(ctx, s.ln) })
	servers.Go(func() error { return s.udp.Serve(ctx, s.pc) })
	return servers.Wait()
}

func (s *service) statistics() {
	tcp, udp := s.tcp.Stats(), s.udp.Stats()
	fmt.Printf("TCP: %d connections accepted, %d served, %d failed; read %d bytes, wrote %d\n",
		tcp.Accepted, tcp.Served, tcp.Failed+tcp.Panics+tcp.Unserved, tcp.Read, tcp.Written)
	fmt.Printf("UDP: %d datagrams received, %d handled, %d dropped; %d replies sent\n",
		udp.Received, udp.Handled, udp.Dropped.Total(), udp.Sent)
}
