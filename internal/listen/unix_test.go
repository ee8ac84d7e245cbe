package listen_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/sockets/internal/listen"
)

func unixAt(t *testing.T, path string) net.Listener {
	t.Helper()
	ln, err := listen.Unix(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// answers reports whether somebody accepts at path.
func answers(path string) error {
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestWhatIsThere: what may lie at the path of a new server, whether it gets it, and
// that nothing is removed but a dead socket.
func TestWhatIsThere(t *testing.T) {
	tests := []struct {
		name string
		put  func(t *testing.T, path string)
		want error
		says string
	}{
		{"nothing", func(*testing.T, string) {}, nil, ""},
		{"a dead server's socket", leaveStale, nil, ""},
		{"a live server's", func(t *testing.T, path string) { unixAt(t, path) }, syscall.EADDRINUSE, "live server"},
		{"a socket for datagrams", datagrams, syscall.EADDRINUSE, "live server"},
		{"a file", func(t *testing.T, path string) { os.WriteFile(path, []byte("mine"), 0o600) }, syscall.EEXIST, "no socket: remove it yourself"},
		{"an empty file", func(t *testing.T, path string) { os.WriteFile(path, nil, 0o600) }, syscall.EEXIST, "no socket"},
		{"a directory", func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, syscall.EEXIST, "no socket"},
		{"a link to a dead socket", func(t *testing.T, path string) {
			leaveStale(t, path+"2")
			os.Symlink(path+"2", path)
		}, syscall.EEXIST, "no socket"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			tt.put(t, path)
			before, _ := os.Lstat(path)
			ln, err := listen.Unix(t.Context(), path, false)
			if tt.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				if err := answers(path); err != nil {
					t.Error(err)
				}
				if err := ln.Close(); err != nil || exists(path) {
					t.Errorf("Close: %v, the file exists: %v", err, exists(path))
				}
				return
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %v and %q", err, tt.want, tt.says)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("what was there is gone: %v", err)
			}
		})
	}
}

func datagrams(t *testing.T, path string) {
	pc, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
}

// TestSuccessor: the file of whoever came later survives the Close of an earlier
// server, however the path became free, and Close removes it exactly once.
func TestSuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	tests := []struct {
		name string
		free func(old net.Listener)
	}{
		{"removed", func(net.Listener) { os.Remove(path) }},
		{"moved away", func(net.Listener) { os.Rename(path, path+".old") }},
		{"closed by hand", func(old net.Listener) { os.Remove(path); old.Close() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old := unixAt(t, path)
			tt.free(old)
			successor := unixAt(t, path)
			for range 2 {
				if err := old.Close(); err != nil {
					t.Error(err)
				}
			}
			if err := answers(path); err != nil {
				t.Errorf("the successor can't be reached: %v", err)
			}
			if err := successor.Close(); err != nil || exists(path) {
				t.Errorf("Close: %v, the file exists: %v", err, exists(path))
			}
		})
	}
	t.Run("a file", func(t *testing.T) {
		old := unixAt(t, path)
		os.Remove(path)
		os.WriteFile(path, []byte("mine"), 0o600)
		if err := old.Close(); err != nil {
			t.Error(err)
		}
		if got, _ := os.ReadFile(path); !bytes.Equal(got, []byte("mine")) {
			t.Error("Close removed a file that it had not made")
		}
	})
}

// TestKeep: a socket that lives on in another process keeps its file.
func TestKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := listen.Unix(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	file, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	heir, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	defer heir.Close()
	file.Close()
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if err := answers(path); err != nil {
		t.Errorf("the heir can't be reached: %v", err)
	}
}

// TestRestarts: many that start and stop at once on one path. Never do two serve it,
// and whoever serves it can be reached.
func TestRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	var serving, served atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				ln, err := listen.Unix(t.Context(), path, false)
				if errors.Is(err, syscall.EADDRINUSE) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := serving.Add(1); n != 1 {
					t.Errorf("%d serve one path", n)
				}
				if err := answers(path); err != nil {
					t.Error(err)
				}
				served.Add(1)
				serving.Add(-1)
				ln.Close()
			}
		})
	}
	all.Wait()
	if served.Load() == 0 {
		t.Error("nobody ever served")
	}
	if exists(path) {
		t.Error("a file was left")
	}
}

// TestCrashes is the same with servers that leave their file.
func TestCrashes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				ln, err := listen.Unix(t.Context(), path, true)
				if errors.Is(err, syscall.EADDRINUSE) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if err := answers(path); err != nil {
					t.Errorf("somebody took a live server's file: %v", err)
				}
				ln.Close()
			}
		})
	}
	all.Wait()
}

func TestUnixNames(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	tests := []struct {
		path string
		want error
		says string
	}{
		{"", syscall.EINVAL, `write "unix:/path"`},
		{"@", syscall.EINVAL, `"unix:@name"`},
		{long, syscall.EINVAL, "choose a shorter one"},
		{filepath.Join(t.TempDir(), "no", "s"), fs.ErrNotExist, "/no"},
	}
	for _, tt := range tests {
		ln, err := listen.Unix(t.Context(), tt.path, false)
		if err == nil {
			ln.Close()
		}
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: got %v, want %v and %q", tt.path, err, tt.want, tt.says)
		}
	}
}

// TestRelative: a process that changes its directory still removes its own file.
func TestRelative(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	ln := unixAt(t, "s")
	t.Chdir(t.TempDir())
	if err := ln.Close(); err != nil || exists(filepath.Join(dir, "s")) {
		t.Errorf("Close: %v, the file exists: %v", err, exists(filepath.Join(dir, "s")))
	}
}

// TestDirectoryGone: what isn't there need not be removed.
func TestDirectoryGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	os.Mkdir(dir, 0o700)
	ln := unixAt(t, filepath.Join(dir, "s"))
	os.RemoveAll(dir)
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
}

// TestCancelled: a context that has ended removes nothing.
func TestCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	leaveStale(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if ln, err := listen.Unix(ctx, path, false); err == nil {
		ln.Close()
		t.Error("Listen under an ended context worked")
	}
	if !exists(path) {
		t.Error("the file is gone")
	}
}
