package udpserver_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"example.com/sockets/udpserver"
)

// Every datagram that was sent is in the ledger: received, or dropped by the
// system, whose count is read until the socket closes.
func TestKernelDropsAreCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	const n = 2000
	release := make(chan struct{})
	s := &udpserver.Server{MaxHandlers: 1, Queue: udpserver.Queue{Datagrams: 10, Full: udpserver.Wait}, Handler: func(context.Context, *udpserver.Datagram) error {
		<-release
		return nil
	}}
	to, stop := serve(t, s)
	c := dial(t, to)
	send(t, c, "first")
	for s.Stats().Running == 0 { // what is dropped before Serve begins does not count
		runtime.Gosched()
	}
	for range n - 1 {
		send(t, c, strings.Repeat("x", 1000))
	}
	st := s.Stats()
	if st.KernelDropped == 0 || st.Waiting == 0 || st.Limit < st.ReadBuffer {
		t.Errorf("during the flood: %+v", st)
	}
	close(release)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if st = ledger(t, s); st.Received+st.KernelDropped != n || st.ReadBuffer+st.Limit > 0 {
		t.Errorf("sent %d; %+v", n, st)
	}
}

func TestBuffers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	size := func(read, write int) (udpserver.Stats, string) {
		var log safeBuffer
		s := &udpserver.Server{Handler: echo, ReadBuffer: read, WriteBuffer: write, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		to, stop := serve(t, s)
		c := dial(t, to)
		send(t, c, "x")
		receive(t, c)
		st := s.Stats()
		stop()
		return st, log.String()
	}
	usual, _ := size(0, 0)
	if st, text := size(1, 1); st.ReadBuffer != usual.ReadBuffer || st.WriteBuffer != usual.WriteBuffer || text != "" {
		t.Errorf("asked for less: %+v\n%s", st, text)
	}
	want := int(usual.ReadBuffer) * 3 / 2
	st, text := size(want, 0)
	if clamped := int(st.ReadBuffer) < want; clamped != strings.Contains(text, "rmem_max") || st.ReadBuffer < usual.ReadBuffer {
		t.Errorf("asked for %d: %d\n%s", want, st.ReadBuffer, text)
	}
	if st, text = size(0, 1<<30-1); int(st.WriteBuffer) < 1<<30-1 && !strings.Contains(text, "wmem_max") {
		t.Errorf("asked for 1 GiB: %d\n%s", st.WriteBuffer, text)
	}
}
