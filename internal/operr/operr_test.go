package operr_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	here   = addr.MustParse(addr.TCP, "127.0.0.1:40000")
	there  = addr.MustParse(addr.TCP, "[::1]:80")
	errOdd = errors.New("odd")
)

func TestText(t *testing.T) {
	tests := []struct {
		name string
		err  operr.Error
		want string
	}{
		{"both ends", operr.Error{Op: "call", Local: here, Remote: there, Err: errOdd}, "call 127.0.0.1:40000/tcp -> [::1]:80/tcp: odd"},
		{"this end", operr.Error{Op: "listen", Local: here, Err: errOdd}, "listen 127.0.0.1:40000/tcp: odd"},
		{"the other", operr.Error{Op: "dial", Remote: there, Err: errOdd}, "dial [::1]:80/tcp: odd"},
		{"no end", operr.Error{Op: "read", Err: errOdd}, "read: odd"},
		{"an address", operr.Error{Op: "dial", Address: "host:http", Err: errOdd}, "dial host:http: odd"},
		{"an address and an end", operr.Error{Op: "dial", Address: "host:http", Remote: there, Err: errOdd}, "dial [::1]:80/tcp: odd"},
		{"what the net package says of it is not said twice", operr.Error{Op: "dial", Remote: there, Err: &net.OpError{
			Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv6loopback, Port: 80}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
		}}, "dial [::1]:80/tcp: connect: connection refused"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCauseIsFound(t *testing.T) {
	op := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	err := error(&operr.Error{Op: "read", Err: fmt.Errorf("more: %w", op)})
	var found *net.OpError
	if !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &found) || found != op || errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is a timeout", err)
	}
}

func TestTimeouts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"a deadline", os.ErrDeadlineExceeded, true},
		{"a context", context.DeadlineExceeded, true},
		{"both", operr.ErrTimeout, true},
		{"wrapped", fmt.Errorf("more: %w", operr.ErrTimeout), true},
		{"joined", errors.Join(errOdd, context.DeadlineExceeded), true},
		{"of the net package", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, true},
		{"a context's", operr.OfContext(ctx), true},
		{"a cancel", context.Canceled, false},
		{"the system's patience, not the user's", os.NewSyscallError("connect", syscall.ETIMEDOUT), false},
		{"another", errOdd, false},
	}
	for _, tt := range tests {
		err := error(&operr.Error{Op: "read", Err: tt.err})
		ne := err.(net.Error)
		got := []bool{
			operr.IsTimeout(tt.err), operr.IsTimeout(err), ne.Timeout(),
			errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		}
		for i, g := range got {
			if g != tt.want {
				t.Errorf("%s: form %d is %v, want %v", tt.name, i, g, tt.want)
			}
		}
	}
	if ne, ok := operr.ErrTimeout.(net.Error); !ok || !ne.Timeout() {
		t.Error("ErrTimeout is no net.Error that is a timeout")
	}
}

func TestOfContext(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	caused, cancelCause := context.WithCancelCause(t.Context())
	cancelCause(errOdd)
	late, stop := context.WithTimeout(t.Context(), -time.Second)
	defer stop()
	lateCaused, stop2 := context.WithTimeoutCause(t.Context(), -time.Second, errOdd)
	defer stop2()
	tests := []struct {
		name string
		ctx  context.Context
		is   []error
		not  []error
		text string
	}{
		{"cancelled", cancelled, []error{context.Canceled}, []error{os.ErrDeadlineExceeded}, "context canceled"},
		{"with a cause", caused, []error{context.Canceled, errOdd}, []error{os.ErrDeadlineExceeded}, "context canceled: odd"},
		{"timed out", late, []error{context.DeadlineExceeded, os.ErrDeadlineExceeded}, []error{context.Canceled}, "deadline exceeded"},
		{"with a cause", lateCaused, []error{context.DeadlineExceeded, os.ErrDeadlineExceeded, errOdd}, nil, "deadline exceeded: odd"},
	}
	for _, tt := range tests {
		err := operr.OfContext(tt.ctx)
		for _, target := range tt.is {
			if !errors.Is(err, target) {
				t.Errorf("%s: %v is not %v", tt.name, err, target)
			}
		}
		for _, target := range tt.not {
			if errors.Is(err, target) {
				t.Errorf("%s: %v is %v", tt.name, err, target)
			}
		}
		if err.Error() != tt.text {
			t.Errorf("%s: %q, want %q", tt.name, err, tt.text)
		}
	}
}

func TestBare(t *testing.T) {
	inner := os.NewSyscallError("read", syscall.EPIPE)
	empty := &net.OpError{Op: "read"}
	tests := []struct{ err, want error }{
		{errOdd, errOdd},
		{&net.OpError{Err: &net.OpError{Err: inner}}, inner},
		{empty, empty},
	}
	for _, tt := range tests {
		if got := operr.Bare(tt.err); got != tt.want {
			t.Errorf("Bare(%#v) is %#v", tt.err, got)
		}
	}
}

func TestNotSent(t *testing.T) {
	for _, unsent := range []bool{false, true} {
		if err := (&operr.Error{Unsent: unsent, Err: errOdd}); err.NotSent() != unsent {
			t.Error(unsent)
		}
	}
}
