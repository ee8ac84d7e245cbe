package simnet_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/simnet"
)

// TestWrapReal puts a script on both directions of a real socket.
func TestWrapReal(t *testing.T) {
	plain, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	under, err := net.Dial("udp", plain.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	w := simnet.Wrap(under.(*net.UDPConn), simnet.Script{
		simnet.Drop(1).From("local"), simnet.Duplicate(2).From("local"),
		simnet.Drop(2).To("local"), simnet.Delay(1, 20*time.Millisecond).To("local"),
	})
	defer w.Close()
	for _, text := range []string{"one", "two", "three"} {
		if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := drain(plain); got != "two two three" {
		t.Errorf("sent %q", got)
	}
	for _, text := range []string{"1", "2", "3"} {
		plain.WriteTo([]byte(text), w.LocalAddr())
	}
	if got := drain(w); got != "3 1" {
		t.Errorf("received %q", got)
	}
	if trace := w.Trace().String(); !strings.Contains(trace, "udp local > 127.0.0.1 #1 one, 3 bytes: lost, Drop(1)") {
		t.Error(trace)
	}
}

// drain reads until nothing comes for 200 ms.
func drain(pc net.PacketConn) string {
	var got []string
	for b := make([]byte, 100); ; {
		pc.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, _, err := pc.ReadFrom(b)
		if err != nil {
			return strings.Join(got, " ")
		}
		got = append(got, string(b[:n]))
	}
}

// TestWrapTimes checks deadlines and delays exactly, over a socket in memory.
func TestWrapTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := udpPair(t, simnet.New(simnet.Options{}))
		w := simnet.Wrap(server, simnet.Script{
			simnet.Delay(1, time.Second).To("local"), simnet.Swap(2, 3).To("local"), simnet.Truncate(4, 2).To("local"),
			simnet.Delay(1, time.Second).From("local"), simnet.Swap(2, 3).From("local"),
		})
		start := time.Now()
		w.SetReadDeadline(start.Add(500 * time.Millisecond))
		fmt.Fprint(client, "1")
		b := make([]byte, 10)
		if _, _, err := w.ReadFrom(b); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		w.SetReadDeadline(time.Time{})
		n, from, err := w.ReadFrom(b)
		if string(b[:n]) != "1" || err != nil || time.Since(start) != time.Second || from.String() != client.LocalAddr().String() {
			t.Errorf("%q, %v from %v after %v", b[:n], err, from, time.Since(start))
		}
		for _, text := range []string{"2", "3", "four"} {
			fmt.Fprint(client, text)
		}
		if got := drain(w); got != "3 2 fo" {
			t.Errorf("received %q", got)
		}
		for _, text := range []string{"1", "2", "3"} {
			w.WriteTo([]byte(text), from)
		}
		time.Sleep(2 * time.Second)
		if got := drain(client); got != "3 2 1" {
			t.Errorf("sent %q", got)
		}
		time.AfterFunc(time.Second, func() { w.Close() })
		w.SetDeadline(time.Time{})
		if _, _, err := w.ReadFrom(b); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// TestWrapUnconnected: Write needs a socket that is connected.
func TestWrapUnconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		pc, err := n.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		w := simnet.Wrap(struct{ net.PacketConn }{pc}, nil)
		defer w.Close()
		if _, err := w.Write([]byte("x")); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
		if w.RemoteAddr() != nil {
			t.Error(w.RemoteAddr())
		}
	})
}
