package client_test

import (
	"testing"
	"testing/synctest"

	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// The second reply to a call is late, also when the first has only just come: it is
// never one that nobody asked for.
func TestUDPSecondReplyIsLate(t *testing.T) {
	const calls = 100
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		address := w.udp(func(_ int, request []byte, answer func(string)) {
			for range 3 {
				answer(string(request))
			}
		})
		u := dialUDP(t, w.dialer(client.Dialer{ID: idOf}), address)
		for i := range uint32(calls) {
			if _, err := u.Call(t.Context(), withID(i, "hello")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if s := u.Stats(); s.Answers != calls || s.Late != 2*calls || s.Unmatched != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}
