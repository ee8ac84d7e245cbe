package udpserver_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"example.com/sockets/udpserver"
)

// However the datagrams are handed out, a handler that crashes takes nothing with it:
// not the next of the same sender, which waits for its end, nor one of another, nor the
// slot, nor what the same batch has collected.
func TestCrashesAreAlone(t *testing.T) {
	servers := map[string]func() *udpserver.Server{
		"concurrent":  func() *udpserver.Server { return &udpserver.Server{} },
		"per sender":  func() *udpserver.Server { return &udpserver.Server{Order: udpserver.PerSender} },
		"one handler": func() *udpserver.Server { return &udpserver.Server{MaxHandlers: 1} },
		"one handler, per sender": func() *udpserver.Server {
			return &udpserver.Server{MaxHandlers: 1, Order: udpserver.PerSender, Engine: udpserver.EngineSingle}
		},
		"sockets": func() *udpserver.Server { return &udpserver.Server{Sockets: groupSize, Order: udpserver.PerSender} },
	}
	for name, server := range servers {
		for _, crash := range []string{"panic", "goexit"} {
			t.Run(name+", "+crash, func(t *testing.T) {
				testCrash(t, server(), crash)
			})
		}
	}
}

func testCrash(t *testing.T, s *udpserver.Server, crash string) {
	const clients, each = 8, 5
	var log safeBuffer
	s.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s.Handler = func(_ context.Context, d *udpserver.Datagram) error {
		err := d.Reply(d.Data) // leaves whatever comes now
		switch string(d.Data) {
		case "panic":
			panic("boom")
		case "goexit":
			runtime.Goexit()
		}
		return err
	}
	to, stop := serve(t, s)
	for _, c := range dialMany(t, to, clients) {
		for range each {
			send(t, c, crash, "ok")
		}
		got := make(map[string]int)
		for range 2 * each {
			got[receive(t, c)]++
		}
		if got[crash] != each || got["ok"] != each {
			t.Errorf("replies %v", got)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if st := ledger(t, s); st.Panicked != clients*each || st.Handled != 2*clients*each {
		t.Errorf("stats %+v", st)
	}
	for _, want := range []string{"crash_test.go", "127.0.0.1:"} { // the stack, and who
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
	}
}
