package udpserver

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/internal/drain"
	"example.com/sockets/internal/listen"
	"example.com/sockets/internal/operr"
)

// run is one call of Serve: a loop for each socket, and the workers of all.
//
// The sockets of a group close together, when every one has been read to its end
// and every handler has replied. To close one earlier would hand its senders to
// the others, behind their backs, and lose what came to it meanwhile.
type run struct {
	server *Server
	set    drain.Set
	loops  []*loop
}

// newRun makes a loop for pc or, if that is a group, for each of its sockets. None
// reads yet.
func (s *Server) newRun(ctx context.Context, pc net.PacketConn) (*run, error) {
	if s.Handler == nil {
		local, _ := addr.From(pc.LocalAddr())
		return nil, &operr.Error{Op: "serve", Local: local, Err: errors.New("Server.Handler is nil")}
	}
	s.slots.limit(s.MaxHandlers)
	s.once.Do(func() { s.sources = newSources(s.Limits) })
	r := &run{server: s}
	members := membersOf(pc)
	for _, m := range members {
		r.loops = append(r.loops, r.newLoop(ctx, m, len(members)))
	}
	return r, nil
}

// membersOf returns the sockets of a group, each to be read by itself: through the
// group's own ReadFrom it would cost copies, and the address that was asked is lost.
func membersOf(pc net.PacketConn) []net.PacketConn {
	if group, ok := pc.(*listen.Packets); ok {
		return group.Members()
	}
	return []net.PacketConn{pc}
}

// serve runs the loops until ctx or the reading of one ends, and stops them all.
func (r *run) serve(ctx context.Context) error {
	g, stop := errgroup.WithContext(ctx)
	for _, l := range r.loops {
		l.stop = stop
		r.server.add(l)
		l.start()
		g.Go(func() error {
			<-l.over
			return l.err
		})
	}
	<-stop.Done()
	grace := r.server.Timeouts.grace()
	cut, abandoned := r.set.Stop(grace)
	for _, l := range r.loops {
		l.close()
		l.cancel(net.ErrClosed)
	}
	return errors.Join(g.Wait(), drainError(grace, cut, abandoned))
}

// drainError is the error of a stop that was not clean. cut are the workers that
// had to be cut off, abandoned those of them that still run.
func drainError(grace time.Duration, cut, abandoned []drain.Member) error {
	e := &sockets.DrainError{Grace: grace}
	for _, m := range cut {
		m.(*worker).reportTo(e, slices.Contains(abandoned, m))
	}
	if len(e.CutOff)+len(e.Abandoned) == 0 {
		return nil
	}
	return e
}

// reportTo adds to e what has become of w, which was cut off.
func (w *worker) reportTo(e *sockets.DrainError, abandoned bool) {
	w.loop.mu.Lock()
	defer w.loop.mu.Unlock()
	switch {
	case w.state.Phase == "": // it was about to leave
	case abandoned:
		w.abandonLocked()
		e.Abandoned = append(e.Abandoned, w.state)
	case w.busyAtCut() || e.Grace > 0: // without grace even a reader that was woken still reads
		e.CutOff = append(e.CutOff, w.state)
	}
}
