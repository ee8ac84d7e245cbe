package tcpserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"syscall"

	"example.com/sockets/addr"
	"example.com/sockets/internal/backoff"
)

// class is what an error of Accept asks for.
type class uint8

const (
	// passing: the system lacks something that others may give back, or
	// nobody knows: wait, and try again.
	passing class = iota
	// oneOnly: it is about one connection, which is gone: go on.
	oneOnly
	// fatal: this listener will not accept again.
	fatal
)

// scarce are the errors of a process or a system that has run out of something.
// The connection stays in the queue, so that trying again at once is a busy loop.
var scarce = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}

func classify(err error) class {
	var errno syscall.Errno
	switch {
	case errors.Is(err, net.ErrClosed):
		return fatal
	case !errors.As(err, &errno) || slices.Contains(scarce, errno):
		return passing
	case slices.Contains(connErrnos, errno):
		return oneOnly
	case slices.Contains(deadErrnos, errno):
		return fatal
	}
	return passing
}

const (
	// mostUnknown is after how many failures in a row a listener that gives
	// no errno, such as one that is not a socket, is taken at its word. The
	// delays before add up to about 9 s.
	mostUnknown = 16
	// mostOneOnly is after how many in a row even errors of single
	// connections are given a pause.
	mostOneOnly = 128
)

// failures are the failures of Accept in a row: an episode, with one line in the
// log when it begins and one when it ends.
type failures struct {
	log   *slog.Logger
	local addr.Endpoint

	n      int
	logged bool
	delay  backoff.Backoff
}

// wait waits as long as err asks for, at most until ctx ends, or returns the error
// that ends the loop.
func (f *failures) wait(ctx context.Context, err error) error {
	f.n++
	c := classify(err)
	switch {
	case c == fatal:
		return err
	case c == oneOnly && f.n%mostOneOnly != 0:
		return nil
	case f.n >= mostUnknown && !errors.As(err, new(syscall.Errno)):
		return err
	}
	f.say(err)
	_ = f.delay.Wait(ctx)
	return nil
}

// say logs the beginning of an episode.
func (f *failures) say(err error) {
	if f.logged {
		return
	}
	f.n, f.logged = max(f.n, 1), true
	f.log.Warn("accept fails, trying again", "local", f.local, "err", err)
}

// over ends the episode: a connection was accepted.
func (f *failures) over() {
	if f.n == 0 {
		return
	}
	if f.logged {
		f.log.Info("accept works again", "local", f.local, "failures", f.n)
	}
	f.n, f.logged = 0, false
	f.delay.Reset()
}
