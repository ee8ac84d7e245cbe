package listen

import (
	"net"
	"time"
)

// Group is several TCP listeners on one address, as one net.Listener. Who knows of
// its Members accepts from each in a loop of its own; Accept is for the others.
type Group struct {
	members []*net.TCPListener
	merged  merged[net.Conn]
}

func newGroup(members []*net.TCPListener) *Group {
	g := &Group{members: members}
	for _, m := range members {
		g.merged.sources = append(g.merged.sources, m.Accept)
	}
	g.merged.discard = func(c net.Conn) { _ = c.Close() }
	return g
}

// Members are the listeners of the group, each a *net.TCPListener, which belong to
// the caller from then on: closing each closes the group. After an Accept on the
// group its only member is the group itself.
//
// A connection belongs to the member that its handshake began with, so each should
// be closed when its queue has been taken, as a lone listener is, and without waiting
// for the others: those who dial afterwards get to the members that are left. To one
// that is drained and stays open they would get too, and be reset in the end.
func (g *Group) Members() []net.Listener {
	if g.merged.begun() {
		return []net.Listener{g}
	}
	all := make([]net.Listener, 0, len(g.members))
	for _, m := range g.members {
		all = append(all, m)
	}
	return all
}

// Accept returns the next connection of any member. The first call starts a
// goroutine for each, which Close ends.
func (g *Group) Accept() (net.Conn, error) {
	c, err := g.merged.next()
	if err != nil {
		return nil, g.failure("accept", err)
	}
	return c, nil
}

// SetDeadline ends Accept at t; the zero Time takes that back.
func (g *Group) SetDeadline(t time.Time) error {
	if !g.merged.set(t) {
		return g.failure("set", net.ErrClosed)
	}
	return nil
}

// Close closes the members, and the connections that nobody has accepted. A second
// Close does nothing.
func (g *Group) Close() error {
	defer g.merged.stop()()
	return closeAll(g.members)
}

// Addr is the address of every member.
func (g *Group) Addr() net.Addr { return g.members[0].Addr() }

func (g *Group) failure(op string, err error) error {
	if _, ok := err.(*net.OpError); ok {
		return err // a member's
	}
	return &net.OpError{Op: op, Net: g.Addr().Network(), Addr: g.Addr(), Err: err}
}
