package udpserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"testing"

	"example.com/sockets/internal/listen"
	"example.com/sockets/tcpserver"
	"example.com/sockets/udpserver"
)

// Sessions of a group: each sender is one session, whichever socket it came to, and is
// answered from the address that it has asked; and the group closes as one socket.
func TestSessionsOfAGroup(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		t.Run(address, func(t *testing.T) {
			ln, g := groupSessions(t, address, udpserver.SessionConfig{})
			s := &tcpserver.Server{Handler: tcpserver.Respond(capitals), Logger: quiet}
			stop := serving(s, ln)
			port := g.LocalAddr().(*net.UDPAddr).Port
			for i := range 40 {
				// a connected client takes a reply from nobody else
				c := dial(t, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
				if address != "127.0.0.1:0" {
					c = dial(t, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: port})
				}
				for _, m := range []string{"hello", "", fmt.Sprint("client ", i)} {
					send(t, c, m)
					if got := receive(t, c); got != string(bytes.ToUpper([]byte(m))) {
						t.Errorf("%q was answered with %q", m, got)
					}
				}
			}
			if err := stop(); err != nil {
				t.Errorf("Serve: %v", err)
			}
			if st := sessionLedger(t, ln); st.Opened != 40 || st.Read != 120 || st.Sessions != 0 {
				t.Errorf("%+v", st)
			}
			for i, m := range g.Members() {
				if err := m.Close(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("socket %d was open: %v", i, err)
				}
			}
		})
	}
}

// The limits cover all sockets together.
func TestSessionLimitsCoverAGroup(t *testing.T) {
	ln, g := groupSessions(t, "127.0.0.1:0", udpserver.SessionConfig{Sessions: 5, Backlog: 3})
	for _, c := range dialMany(t, g.LocalAddr(), 40) {
		send(t, c, "x")
	}
	await(func() bool { return ln.Stats().Received == 40 })
	if st := sessionLedger(t, ln); st.Pending != 3 || st.Dropped.Backlog != 37 {
		t.Errorf("%+v", st)
	}
}

// What ends the reading of one socket is told to Accept and to the sessions of all.
func TestOneSocketEndsTheSessions(t *testing.T) {
	ln, g := groupSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
	var all []net.Conn
	for _, c := range dialMany(t, g.LocalAddr(), 20) {
		send(t, c, "x")
		all = append(all, accept(t, ln))
	}
	g.Members()[1].Close()
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	for i, s := range all {
		want(t, s, "x")
		if _, err := s.Read(make([]byte, 9)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("session %d: %v", i, err)
		}
	}
}

// A group of which a socket is closed already is an error, and the others close.
func TestSessionsOfAClosedGroup(t *testing.T) {
	s := &udpserver.Server{}
	g := group(t, s)
	members := g.Members()
	members[groupSize-1].Close()
	if ln, err := udpserver.Sessions(g, udpserver.SessionConfig{}); ln != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Sessions: %v, %v", ln, err)
	}
	if err := members[0].Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the first socket was open: %v", err)
	}
}

// groupSessions makes sessions of a group.
func groupSessions(t *testing.T, address string, c udpserver.SessionConfig) (*udpserver.SessionListener, *listen.Packets) {
	t.Helper()
	g := groupAt(t, &udpserver.Server{}, address)
	return sessions(t, g, c), g
}
