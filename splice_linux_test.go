package sockets_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"example.com/sockets/internal/guard"
)

// A process without a free descriptor relays through a buffer.
func TestRelayWithoutPipe(t *testing.T) {
	needSplice(t)
	r := relay(t, t.Context(), tcpPair, guard.Limits{})
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 3, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Skip(err)
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) }()
	content := string(random(500_000))
	go func() { send(t, r.left, content); r.left.Close() }()
	wantRest(t, "right", r.right, content, nil)
	r.right.Close()
	wantError(t, "Relay", <-r.done, nil)
}
