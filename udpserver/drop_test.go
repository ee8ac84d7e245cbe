package udpserver_test

import (
	"testing"

	"example.com/sockets/udpserver"
)

// A datagram that is dropped leaves no trace in those that come later: each handler
// gets the bytes of its own.
func TestAfterADrop(t *testing.T) {
	for _, e := range []udpserver.Engine{udpserver.EngineSingle, udpserver.EngineBatch, udpserver.EngineTrains} {
		s := &udpserver.Server{Handler: echo, MaxSize: 10, Engine: e}
		pc, err := s.ListenPacket(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, pc.LocalAddr())
		send(t, c, "this is too long", "second", "third") // one batch, if there are any
		stop := serveOn(t, s, pc)
		want := map[string]bool{"second": true, "third": true} // in any order
		for len(want) > 0 {
			got := receive(t, c)
			if !want[got] {
				t.Fatalf("engine %d: got %q, want one of %v", e, got, want)
			}
			delete(want, got)
		}
		for _, m := range []string{"4th", "the fifth", "6"} {
			if send(t, c, m); receive(t, c) != m {
				t.Errorf("engine %d: %q was answered by another", e, m)
			}
		}
		if err := stop(); err != nil {
			t.Errorf("engine %d: Serve: %v", e, err)
		}
		if st := ledger(t, s); st.Dropped.Truncated != 1 || st.Handled != 5 {
			t.Errorf("engine %d: %+v", e, st)
		}
	}
}
