package tcpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/sockets"
	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upper answers a line with the same in capitals.
var upper = tcpserver.Respond(func(_ context.Context, request []byte) ([]byte, error) {
	return bytes.ToUpper(request), nil
})

// running is a server that serves one listener.
type running struct {
	*tcpserver.Server
	t    testing.TB
	addr string
	stop context.CancelFunc
	done chan error
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// serve runs s on ln until the test calls stop and wait.
func serve(t testing.TB, s *tcpserver.Server, ln net.Listener) *running {
	t.Helper()
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := &running{s, t, ln.Addr().String(), stop, make(chan error, 1), new(net.Dialer).DialContext}
	go func() { r.done <- s.Serve(ctx, ln) }()
	return r
}

// serveReal runs s on a port of the loopback interface.
func serveReal(t testing.TB, s *tcpserver.Server) *running {
	t.Helper()
	ln, err := s.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, s, ln)
}

// serveSim runs s on a network in memory, inside a bubble.
func serveSim(t testing.TB, s *tcpserver.Server) *running {
	t.Helper()
	n := simnet.New(simnet.Options{Trace: -1})
	ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, s, ln)
	r.dial = n.DialContext
	return r
}

// client dials the server.
func (r *running) client() net.Conn {
	r.t.Helper()
	c, err := r.dial(r.t.Context(), "tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// wait stops the server, returns what Serve did, and checks that what Serve
// promises holds on the next line.
func (r *running) wait() error {
	r.t.Helper()
	r.stop()
	err := <-r.done
	st := r.Stats()
	var abandoned int
	var drained *sockets.DrainError
	if errors.As(err, &drained) {
		abandoned = len(drained.Abandoned)
	}
	if st.Running != int64(abandoned) {
		r.t.Errorf("after Serve returned, Running is %d and %d were abandoned", st.Running, abandoned)
	}
	if st.Running == 0 && (st.Lingering != 0 || st.Accepted != st.Served+st.Failed+st.Panics+st.Unserved+st.Handshakes+st.Rejected+st.RejectedSource+st.Shed) {
		r.t.Errorf("counters do not add up: %+v", st)
	}
	return err
}

// ask sends a line and returns the answer.
func ask(t testing.TB, c net.Conn, line string) string {
	t.Helper()
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return answer[:len(answer)-1]
}

// isEOF reports whether the peer of c ended the connection in order.
func ended(c net.Conn) error {
	n, err := c.Read(make([]byte, 1))
	if n > 0 {
		return errors.New("a byte came")
	}
	return err
}

// logged is a log that a test reads.
type logged struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// since is how long ago begin was, for exact comparisons in virtual time.
func since(begin time.Time) time.Duration { return time.Since(begin) }

// quiet keeps the servers' logs out of what examples print.
var quiet = slog.New(slog.DiscardHandler)
