package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/sockets/internal/errno"
)

// lockWait bounds the wait for the lock of a directory. Each of us holds it for as
// long as a few system calls take, but nobody has a place in a queue for it.
var lockWait = 3 * time.Second // a test shortens it

// Unix listens on the socket file at path or, if that begins with "@", on an
// abstract name, which is no file and vanishes with its socket.
//
// A file that a dead server has left is replaced, if nobody answers on it; a live
// server's and a file of another kind are errors. Close removes the file, unless
// another has taken its place or keep is set. From the look at what is there to the
// bind, and from the comparison to the removal, the directory is locked (flock), so
// that of several that start and stop at once none removes what is another's.
func Unix(ctx context.Context, path string, keep bool) (net.Listener, error) {
	switch {
	case path == "" || path == "@":
		return nil, refuse(syscall.EINVAL, `the name is missing: write "unix:/path" or, on Linux, "unix:@name"`)
	case path[0] != '@':
		return listenFile(ctx, path, keep)
	case !abstract:
		return nil, refuse(errors.ErrUnsupported, "only Linux has abstract names such as %s: write a path", path)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if errno.Is(err, syscall.EADDRINUSE) {
		return nil, inUse(path)
	}
	return ln, err
}

// socketFile is a listener that removes its own file.
type socketFile struct {
	*net.UnixListener
	path string      // absolute: the process may change its directory
	made os.FileInfo // what bind made
	keep bool

	once sync.Once
	err  error // of Close
}

func listenFile(ctx context.Context, path string, keep bool) (net.Listener, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, filepath.Dir(abs))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := vacate(ctx, path); err != nil {
		return nil, err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, explainBind(path, err)
	}
	f := &socketFile{UnixListener: ln.(*net.UnixListener), path: abs, keep: keep}
	f.SetUnlinkOnClose(false) // which would remove whatever has that name
	if f.made, err = os.Lstat(abs); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return f, nil
}

// Close closes the listener and removes its file. A second Close does nothing.
func (f *socketFile) Close() error {
	f.once.Do(func() {
		unlock, err := f.remove()
		defer unlock()
		f.err = errors.Join(err, f.UnixListener.Close())
	})
	return f.err
}

// remove removes the file if it is still the one that bind made. The socket is
// closed after that, under the same lock: while it lives nobody takes it for dead,
// and its file's number can't be given to a successor's. A file that is left behind
// is harmless, since the next server finds it dead.
func (f *socketFile) remove() (unlock func(), err error) {
	if f.keep {
		return func() {}, nil
	}
	unlock, err = lock(context.Background(), filepath.Dir(f.path))
	if err != nil {
		return func() {}, unlessGone(err)
	}
	now, err := os.Lstat(f.path)
	if err != nil || !os.SameFile(now, f.made) {
		return unlock, unlessGone(err)
	}
	return unlock, unlessGone(os.Remove(f.path))
}

func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// vacate removes what a dead server has left at path.
func vacate(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return unlessGone(err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return refuse(syscall.EEXIST, "%s exists and is no socket: remove it yourself, or choose another path", path)
	}
	if err := probe(ctx, path); err != nil {
		return err
	}
	return unlessGone(os.Remove(path))
}

// probe returns nil if the socket at path is certainly nobody's. It never waits: a
// full queue is an answer too.
func probe(ctx context.Context, path string) error {
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = c.Close()
	case errno.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	case ctx.Err() != nil:
		return err
	}
	return inUse(path)
}

// explainBind says what the system's "invalid argument" means.
func explainBind(path string, err error) error {
	if errno.Is(err, syscall.EINVAL) && (len(path) > 90 || strings.Contains(path, "\x00")) {
		return refuse(syscall.EINVAL, "a socket's path has at most about 100 bytes, none of them zero, and this has %d: choose a shorter one", len(path))
	}
	return err
}

func inUse(path string) error {
	return refuse(syscall.EADDRINUSE, "a live server has %s: stop it first (ss -xlp tells which), or choose another path", path)
}

// refusal is why an address can't be had, and what to do about it.
type refusal struct {
	text string
	err  error
}

func refuse(err error, format string, args ...any) error {
	return &refusal{fmt.Sprintf(format, args...), err}
}

func (r *refusal) Error() string { return r.text }

// Unwrap returns the errno.
func (r *refusal) Unwrap() error { return r.err }

// Advice is the whole of it for sockets.Explain: it is better than what could be
// said of the errno alone.
func (r *refusal) Advice() string { return r.text }
