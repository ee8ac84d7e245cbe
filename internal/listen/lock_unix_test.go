//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package listen_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/sockets/internal/listen"
)

// TestLocked: a directory that another program keeps locked is waited for, but not
// for ever, and the error says so. Close then leaves the file to the next server.
func TestLocked(t *testing.T) {
	defer listen.SetLockWait(100 * time.Millisecond)()
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	ln := unixAt(t, path)

	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- ln.Close() }()
	_, err = listen.Unix(t.Context(), path+"2", false)
	if !errors.Is(err, unix.EWOULDBLOCK) || !strings.Contains(err.Error(), "lslocks") {
		t.Errorf("Listen in a locked directory: %v", err)
	}
	reason := errors.New("a reason")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	if _, err := listen.Unix(ctx, path+"2", false); !errors.Is(err, reason) {
		t.Errorf("and under an ended context: %v", err)
	}
	if err := <-closed; !errors.Is(err, unix.EWOULDBLOCK) || !exists(path) {
		t.Errorf("Close in a locked directory: %v, the file exists: %v", err, exists(path))
	}
	d.Close()
	if err := unixAt(t, path).Close(); err != nil || exists(path) {
		t.Errorf("the next server: %v, the file exists: %v", err, exists(path))
	}
}

// TestFullQueue: a live server that accepts nothing, so that a probe can't get
// through to it, is not taken for dead.
func TestFullQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for full := false; !full; {
		c, err := net.Dial("unix", path)
		if err == nil {
			defer c.Close()
		}
		full = err != nil
	}
	if _, err := listen.Unix(t.Context(), path, false); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
	if !exists(path) {
		t.Error("its file is gone")
	}
}
