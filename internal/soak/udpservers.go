package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
	"example.com/sockets/udpserver"
)

// udpServices makes servers which differ in all that can be set: those with an even
// number are bound to every address, the others to the first of hosts.
func udpServices(hosts []string) ([]*service, error) {
	var here []string
	for _, h := range hosts {
		pc, err := net.ListenPacket("udp", net.JoinHostPort(h, "0"))
		if err != nil {
			fmt.Fprintln(os.Stderr, "soak: not asked:", err)
			continue
		}
		defer pc.Close()
		here = append(here, h)
	}
	if len(here) == 0 {
		return nil, errors.New("no address to be asked at")
	}
	var all []*service
	servers := udpServers()
	for i := range len(servers) + 2 {
		port, release, err := freePort(func(a string) (io.Closer, error) { return net.ListenPacket("udp", a) })
		if err != nil {
			return nil, err
		}
		defer release()
		s := &service{address: net.JoinHostPort(here[0], port)}
		asked := here[:1]
		if i%2 == 0 && knowsAsked {
			s.address, asked = ":"+port, here
		}
		for _, h := range asked {
			s.targets = append(s.targets, target{i, net.JoinHostPort(h, port)})
		}
		h := &udpHandler{number: i}
		if i < len(servers) {
			h.serves(s, servers[i])
		} else {
			h.servesSessions(s, udpserver.Engine(i-len(servers)))
		}
		all = append(all, s)
	}
	return all, nil
}

// udpServers is the configurations.
func udpServers() []*udpserver.Server {
	grace := udpserver.Timeouts{Grace: 300 * time.Millisecond}
	return []*udpserver.Server{
		{Timeouts: grace},
		{Timeouts: grace, Engine: udpserver.EngineSingle, MaxHandlers: 8, Order: udpserver.PerSender,
			Queue: udpserver.Queue{Datagrams: 32, Full: udpserver.DropOldest}},
		{Timeouts: grace, Engine: udpserver.EngineBatch, Sockets: 2, MaxHandlers: 16, Queue: udpserver.Queue{Bytes: 64 << 10}},
		{Timeouts: grace, Engine: udpserver.EngineTrains, MaxSize: 1200, KeepTruncated: true, ReadBuffer: 1 << 20,
			Limits: udpserver.Limits{Rate: 2000, Burst: 100, ReplyFactor: 4}},
		{Timeouts: udpserver.Timeouts{Grace: -1}, Engine: udpserver.EngineTrains, MaxHandlers: 4, MaxSize: 9000, Order: udpserver.PerSender,
			Queue: udpserver.Queue{Datagrams: 8, Full: udpserver.Wait}},
		{Timeouts: grace, Engine: udpserver.EngineSingle, Sockets: 2, MaxHandlers: -1, Queue: udpserver.Queue{Datagrams: -1}},
	}
}

// serves makes s serve by srv, and h its handler.
func (h *udpHandler) serves(s *service, srv *udpserver.Server) {
	srv.Handler, srv.Trace, srv.Logger = h.handle, h.trace(), slog.New(slog.DiscardHandler)
	s.listen = func(ctx context.Context, address string) (func(context.Context) error, error) {
		pc, err := srv.ListenPacket(ctx, address)
		return mustListen(func(ctx context.Context) error {
			err := srv.Serve(ctx, pc)
			h.check("running: "+fmt.Sprint(srv.Stats().Running), srv.Stats().Running != 0)
			h.later.Wait() // those that are late may still be counted
			return err
		}, err)
	}
	s.ledger = func() error { return h.ledger(srv.Stats()) }
	s.stats = func() any { return srv.Stats() }
}

// servesSessions makes s serve sessions, and h what handles them.
func (h *udpHandler) servesSessions(s *service, e udpserver.Engine) {
	config := udpserver.SessionConfig{
		Idle: 500 * time.Millisecond, Sessions: 200, PerSource: 150, Backlog: 50, QueueBytes: 128 << 10, TotalBytes: 1 << 20, Engine: e,
	}
	srv := &tcpserver.Server{
		Handler: h.converse, Logger: slog.New(slog.DiscardHandler), Framing: sockets.Packets(), Limits: tcpserver.Limits{Conns: 100},
		Timeouts: tcpserver.Timeouts{Lifetime: 2 * time.Second, Grace: 300 * time.Millisecond},
	}
	var last *udpserver.SessionListener
	s.listen = func(_ context.Context, address string) (func(context.Context) error, error) {
		pc, err := net.ListenPacket("udp", address)
		if err != nil {
			return mustListen(nil, err)
		}
		ln, err := udpserver.Sessions(pc, config)
		return func(ctx context.Context) error {
			last = ln.(*udpserver.SessionListener)
			return srv.Serve(ctx, ln)
		}, err
	}
	s.ledger = func() error {
		return errors.Join(h.ledger(udpserver.Stats{Handled: h.began.Load(), Received: h.began.Load()}), tcpLedger(srv.Stats()), sessionLedger(last.Stats()))
	}
	s.stats = func() any { return [2]any{srv.Stats(), last.Stats()} }
}

// sessionLedger says what does not add up when all sessions have ended.
func sessionLedger(st udpserver.SessionStats) error {
	if st.Received != st.Read+st.Waiting+st.Dropped.Total() || st.Sessions+st.Pending+st.Waiting+st.Queued != 0 {
		return fmt.Errorf("sessions: %+v", st)
	}
	return nil
}

// mustListen reports, as the error of Serve, that a port is in use which only the
// server's last run has had.
func mustListen(serve func(context.Context) error, err error) (func(context.Context) error, error) {
	if errors.Is(err, syscall.EADDRINUSE) {
		return func(ctx context.Context) error { pause(ctx, 100*time.Millisecond); return err }, nil
	}
	return serve, err
}
