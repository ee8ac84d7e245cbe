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
	"example.com/sockets/internal/operr"
)

func TestNotSent(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"nil", nil, false},
		{"anything", io.EOF, false},
		{"a dial of the net package", dial, true},
		{"wrapped", fmt.Errorf("more: %w", dial), true},
		{"a write of the net package", &net.OpError{Op: "write", Err: syscall.EPIPE}, false},
		{"of this module, proved", &operr.Error{Op: "call", Unsent: true, Err: io.EOF}, true},
		{"of this module, not proved", &operr.Error{Op: "call", Err: dial}, false},
		{"wrapped", fmt.Errorf("more: %w", &operr.Error{Op: "call", Unsent: true, Err: io.EOF}), true},
	}
	for _, tt := range tests {
		if got := sockets.NotSent(tt.err); got != tt.want {
			t.Errorf("%s: NotSent(%v) is %v", tt.name, tt.err, got)
		}
	}
}

func TestFinalErrorsAreNoTimeouts(t *testing.T) {
	for _, err := range []error{
		sockets.ErrDraining, sockets.ErrEvicted, sockets.ErrIdle, sockets.ErrMessage, sockets.ErrWrite, sockets.ErrCutOff,
		sockets.ErrTooLong, sockets.ErrTruncated, sockets.ErrDelimiter, net.ErrClosed, nil,
	} {
		wrapped := &operr.Error{Op: "read", Err: err}
		if sockets.IsTimeout(err) || err != nil && (wrapped.Timeout() || wrapped.Temporary() || !errors.Is(wrapped, err)) {
			t.Errorf("%v is a timeout, or not to be found", err)
		}
	}
	for _, err := range []error{os.ErrDeadlineExceeded, context.DeadlineExceeded} {
		if !sockets.IsTimeout(fmt.Errorf("more: %w", err)) {
			t.Errorf("%v is no timeout", err)
		}
	}
}

func TestDrainErrorText(t *testing.T) {
	one := sockets.Straggler{
		ID: 7, Remote: addr.MustParse(addr.TCP, "192.0.2.1:80"), Phase: "handler",
		Age: 1500*time.Millisecond + time.Microsecond, Quiet: time.Second, Read: 3, Written: 4,
	}
	const text = "handler #7 192.0.2.1:80/tcp (running 1.5s, quiet 1s, read 3 bytes, wrote 4)"
	if got := one.String(); got != text {
		t.Errorf("%q, want %q", got, text)
	}
	tests := []struct {
		name string
		err  sockets.DrainError
		want string
	}{
		{"one", sockets.DrainError{Grace: 5 * time.Second, CutOff: []sockets.Straggler{one}}, "stop not clean after 5s; 1 cut off: " + text},
		{"both", sockets.DrainError{Grace: time.Second, CutOff: []sockets.Straggler{one}, Abandoned: []sockets.Straggler{{Phase: "accept"}}},
			"stop not clean after 1s; 1 cut off: " + text + "; 1 abandoned, still running: accept (running 0s, quiet 0s, read 0 bytes, wrote 0)"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	many := sockets.DrainError{CutOff: make([]sockets.Straggler, 1000)}
	if s := many.Error(); !strings.Contains(s, "; 1000 cut off: ") || len(s) > 400 || !strings.HasSuffix(s, ", ...") {
		t.Errorf("%d bytes: %q", len(s), s)
	}
}
