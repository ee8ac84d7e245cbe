package tcpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/internal/drain"
	"example.com/sockets/internal/guard"
)

// Server serves connections with a handler. Its fields are set before the first
// Serve and not changed afterwards, and it must not be copied after that. One
// Server may serve several listeners at once: limits, Stats and Conns then cover
// them together.
type Server struct {
	// Handler serves each connection. It is required.
	Handler sockets.Handler
	// Framing tells the messages of a connection apart. Nil means
	// sockets.Lines(0).
	Framing sockets.Framing
	// TLS, if not nil, makes every connection a TLS connection before its
	// handler is called; Conn.NetConn is then the *tls.Conn, which tells the
	// protocol that ALPN chose and the client's certificates. To renew a
	// certificate while serving use its GetCertificate or
	// GetConfigForClient.
	TLS *tls.Config
	// Prepare, if not nil, is called with each connection before TLS, in the
	// connection's goroutine: to read a PROXY header, to look at the peer. It
	// returns the connection to go on with, which is c or lies over it, or an
	// error to close it. Deadlines that it sets it takes off again; beside
	// them Timeouts.Handshake bounds it, by closing c. ctx ends then too.
	Prepare func(ctx context.Context, c net.Conn) (net.Conn, error)
	// Limits bound what the server takes on.
	Limits Limits
	// Timeouts bound what it waits for.
	Timeouts Timeouts
	// Listeners is how many sockets Listen opens for one TCP address; 0, 1 and
	// negative mean one, and so does a system that can't share out connections
	// among sockets (all but Linux). Serve runs a loop for each. That helps
	// where one core is busy with accepting. A connection belongs to one of
	// them from its handshake on, however long that one's queue is. A second
	// process can't join the sockets by mistake: its Listen is EADDRINUSE.
	Listeners int
	// Shared says that the listening socket lives on in another process,
	// which will take what is queued. A stop then leaves the queue alone.
	Shared bool
	// Crash makes a handler's panic end the process, with its stack, instead
	// of its connection.
	Crash bool
	// Logger is told what a person may want to know; nil means slog.Default.
	Logger *slog.Logger
	// Trace is told of the moments of each connection; nil means nobody is.
	Trace *Trace

	once       sync.Once
	handlers   *slots
	handshakes *slots
	idlers     idlers
	sources    sources

	mu   sync.Mutex // guards runs
	runs []*run

	counters
}

// ListenAndServe listens on address (see Server.Listen) and serves it with h, with
// the defaults of the zero Server, until ctx ends.
func ListenAndServe(ctx context.Context, address string, h sockets.Handler) error {
	return (&Server{Handler: h}).ListenAndServe(ctx, address)
}

// ListenAndServe listens on address (see Listen) and serves it until ctx ends.
func (s *Server) ListenAndServe(ctx context.Context, address string) error {
	ln, err := s.Listen(ctx, address)
	if err != nil {
		return err
	}
	return s.Serve(ctx, ln)
}

// Serve accepts connections from ln and runs the handler for each, until ctx ends
// or ln fails. It always closes ln.
//
// When ctx ends, the connections that the system had queued are taken, each is
// served its first message if that is there or comes within 100 ms, and ln is
// closed. (If ln has no SetDeadline, its queue can't be taken, and the system
// resets those connections; so it does with one that completes its handshake in
// the moment in which ln closes.) Connections that are idle end at once; the
// others have Timeouts.Grace, and are then closed by force.
//
// Serve returns nil after a clean stop. A *sockets.DrainError lists what was still
// running when the grace period ended. An error of ln, such as its being closed by
// somebody else, stops the server in the same way and is returned joined to that.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if err := s.check(); err != nil {
		return errors.Join(err, ln.Close())
	}
	r := s.begin(ctx)
	defer s.end(r)

	loops, stop := errgroup.WithContext(ctx)
	all := r.newLoops(ln)
	r.log.Info("serving", "local", ln.Addr(), "reach", reach(all[0].local), "conns", s.handlers.limit())
	for _, l := range all {
		loops.Go(l.serve)
	}

	<-stop.Done()
	cut, left := r.set.Stop(s.Timeouts.grace())
	err := s.drainError(cut, left)
	if !slices.ContainsFunc(all, func(l *loop) bool { return !l.ended() }) {
		err = errors.Join(loops.Wait(), err)
	}
	return err
}

// reach says who can dial the server, which is the first surprise of many users.
func reach(local addr.Endpoint) string {
	if !local.IsValid() {
		return "this machine only"
	}
	return local.Reach()
}

// run is one call of Serve.
type run struct {
	server *Server
	set    drain.Set
	limits guard.Limits
	values context.Context // Serve's, without its end
	log    *slog.Logger
}

func (s *Server) begin(ctx context.Context) *run {
	r := &run{
		server: s,
		limits: s.Timeouts.limits(),
		values: context.WithoutCancel(ctx),
		log:    s.Logger,
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	r.limits.Hooks, r.limits.Evictions = s.Trace.hooks(), &s.evicted
	r.limits.Scarce = &s.starved
	s.once.Do(func() {
		n := s.Limits.conns()
		s.handlers, s.handshakes = newSlots(n), newSlots(s.Limits.handshakes(n))
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = append(s.runs, r)
	return r
}

func (s *Server) end(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.runs {
		if other == r {
			s.runs = append(s.runs[:i:i], s.runs[i+1:]...)
			return
		}
	}
}

func (s *Server) check() error {
	if s.Handler == nil {
		return errors.New("tcpserver: Server has no Handler; set it before Serve")
	}
	if s.Limits.Overload > Reject {
		return fmt.Errorf("tcpserver: Limits.Overload is %d; use EvictIdle, Block or Reject", s.Limits.Overload)
	}
	return nil
}

// Conns iterates over the connections that are open when the loop begins. No lock
// is held while it runs, so one may have ended when it is its turn; using it then
// does no harm.
func (s *Server) Conns() iter.Seq[*sockets.Conn] {
	return func(yield func(*sockets.Conn) bool) {
		for _, c := range s.connections() {
			if !yield(c.conn) {
				return
			}
		}
	}
}

func (s *Server) connections() (all []*connection) {
	for _, m := range s.members() {
		if c, ok := m.(*connection); ok {
			all = append(all, c)
		}
	}
	return all
}

func (s *Server) members() (all []drain.Member) {
	s.mu.Lock()
	runs := s.runs // never changed in place up to this length
	s.mu.Unlock()
	for _, r := range runs {
		all = append(all, r.set.Members()...)
	}
	return all
}
