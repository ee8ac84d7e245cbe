//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package listen

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"example.com/sockets/internal/backoff"
)

// lock locks the directory dir for those who lock it too, other processes and this
// one. It tries until ctx ends, at most for lockWait: who locks a directory may hold
// it as long as he likes.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lockWait,
		refuse(unix.EWOULDBLOCK, "the directory %s stays locked (flock) by another program: see which with lslocks", dir))
	defer cancel()
	pause := backoff.Backoff{Min: 500 * time.Microsecond, Max: 2 * time.Millisecond}
	for {
		err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
			err = pause.Wait(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			_ = d.Close()
			return nil, err
		}
		return func() { _ = d.Close() }, nil // which unlocks
	}
}
