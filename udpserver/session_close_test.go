package udpserver_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/simnet"
	"example.com/sockets/udpserver"
)

// slowToClose is a socket whose Close takes a second.
type slowToClose struct{ net.PacketConn }

func (s slowToClose) Close() error {
	time.Sleep(time.Second)
	return s.PacketConn.Close()
}

// The timer has ended the last session and closes the socket. Who closes the session
// meanwhile returns when the socket is closed, so that the port is free.
func TestSessionCloseWaitsForTheSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		pc, err := n.ListenPacket(t.Context(), "udp", "127.0.0.1:7")
		if err != nil {
			t.Fatal(err)
		}
		ln := sessions(t, slowToClose{pc}, udpserver.SessionConfig{Idle: time.Second})
		client, err := n.DialContext(t.Context(), "udp", "127.0.0.1:7")
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		send(t, client, "x")
		s := accept(t, ln)
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		again, err := n.ListenPacket(t.Context(), "udp", "127.0.0.1:7")
		if err == nil {
			err = again.Close()
		}
		if err != nil {
			t.Errorf("after the last Close: %v", err)
		}
		time.Sleep(time.Second) // where the port is not free yet
	})
}
