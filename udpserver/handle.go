package udpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"

	"example.com/sockets"
)

// handle runs the handler for the current datagram. Whatever that does to its
// goroutine ends here, except a Goexit, after which run's deferred exit goes on:
// the worker is lost, and the next claim starts another.
func (w *worker) handle() {
	returned := false
	defer func() {
		if !returned {
			w.crashed(recover())
		}
		w.release()
	}()
	err := w.loop.handler(w.loop.ctx, w.current)
	returned = true
	if !normal(err) {
		w.outcome = failed
		w.loop.server.log(logHandler, "from", endpoint(w.route), "err", err)
	}
}

// normal reports whether err is how a handler ends that has nothing to report.
func normal(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, sockets.ErrCutOff) ||
		errors.Is(err, ErrBudget) // it is counted, and under an attack there are many
}

// crashed reports a handler that did not return. value is what it panicked with,
// nil if it called runtime.Goexit.
func (w *worker) crashed(value any) {
	w.outcome = panicked
	what := "runtime.Goexit"
	if value != nil {
		what = fmt.Sprint(value)
	}
	w.loop.server.log(logPanic, "from", endpoint(w.route), "panic", what, "stack", string(debug.Stack()))
}

// release takes the datagram from whoever may have kept it: a late Reply fails,
// and under the race detector its bytes are overwritten, so that a slice which
// was kept shows.
func (w *worker) release() {
	w.mu.Lock()
	w.current = nil
	w.mu.Unlock()
	if raceEnabled {
		for i := range w.data {
			w.data[i] = 0xDB
		}
	}
}
