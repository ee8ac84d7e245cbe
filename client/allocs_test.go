//go:build !race

package client_test

import (
	"testing"
	"time"

	"example.com/sockets/client"
)

// A call over UDP allocates its reply and nothing else.
func TestUDPCallAllocs(t *testing.T) {
	all := func(_, _ []byte) bool { return true }
	id := func([]byte) (uint64, bool) { return 1, true }
	for name, d := range map[string]client.Dialer{"in turns": {}, "Match": {Match: all}, "ID": {ID: id}, "both": {Match: all, ID: id}} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			reply := []byte("REPLY")
			served := make(chan struct{})
			go func() {
				defer close(served)
				buf := make([]byte, 100)
				for {
					_, from, err := p.PacketConn.(udpConn).ReadFromUDPAddrPort(buf)
					if err != nil {
						return
					}
					p.PacketConn.(udpConn).WriteToUDPAddrPort(reply, from)
				}
			}()
			u := dialUDP(t, &d, p.address())
			request, ctx := []byte("hello"), t.Context()
			got := testing.AllocsPerRun(500, func() {
				if _, err := u.Call(ctx, request); err != nil {
					t.Error(err)
				}
			})
			if got > 1 {
				t.Errorf("%v allocations per call, want 1", got)
			}
			p.Close()
			<-served
		})
	}
}

// Estimating allocates nothing.
func TestRTTAllocs(t *testing.T) {
	var rtt client.RTT
	var sum time.Duration
	if n := testing.AllocsPerRun(100, func() { rtt.Sample(ms, 1); sum += rtt.Timeout() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
