package simnet_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/simnet"
)

// exchange sends 100,001 bytes from a to b and back over one connection.
func exchange(t *testing.T, a, b *simnet.Host, family string) {
	ln, err := b.Listen(context.Background(), "tcp"+family, ":40007")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	c, err := a.DialContext(context.Background(), "tcp"+family, b.Name()+":40007")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c.Write(make([]byte, 100_001))
		c.(*simnet.Conn).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || len(got) != 100_001 {
		t.Fatal(len(got), err)
	}
	c.Close()
	time.Sleep(time.Second)
}

// datagrams sends 20 short ones and a long one.
func datagrams(t *testing.T, a, b *simnet.Host, family string) {
	pc, err := b.ListenPacket(context.Background(), "udp"+family, ":40008")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	c, err := a.DialContext(context.Background(), "udp"+family, b.Name()+":40008")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for size := range 20 {
		c.Write(bytes.Repeat([]byte{'x'}, size))
	}
	c.Write(make([]byte, 1400))
	time.Sleep(time.Second)
}

// traffic is a bit of everything, in IPv4 and IPv6, on three links: a perfect one,
// a slow one and one that does to a stream whatever can be done to it.
func traffic(t *testing.T) simnet.Trace {
	harm := simnet.Script{simnet.DropEvery(7), simnet.Duplicate(4), simnet.Swap(5, 6), simnet.Corrupt(9), simnet.Truncate(10, 1), simnet.Delay(11, time.Second)}
	for i := range harm {
		harm[i] = harm[i].From("lossy")
	}
	n := simnet.New(simnet.Options{Script: harm})
	b := n.Host("b")
	n.SetLink("slow", "b", simnet.Link{Latency: 10 * time.Millisecond, Jitter: time.Millisecond, Bandwidth: 1 << 20, Queue: -1, MTU: 1500})
	n.SetLink("b", "slow", simnet.Link{Latency: 20 * time.Millisecond, MTU: 1500})
	n.SetLink("lossy", "b", simnet.Link{Latency: 10 * time.Millisecond, MTU: 1500})
	for _, name := range []string{"perfect", "slow", "lossy"} {
		for _, family := range []string{"4", "6"} {
			exchange(t, n.Host(name), b, family)
			datagrams(t, n.Host(name), b, family)
		}
	}
	return n.Trace()
}

// TestTshark lets an independent program read the capture: it must count what the
// trace counts and find nothing wrong.
func TestTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not on PATH (Debian: apt-get install tshark)")
	}
	var trace simnet.Trace
	synctest.Test(t, func(t *testing.T) { trace = traffic(t) })
	file := filepath.Join(t.TempDir(), "simnet.pcap")
	writeFile(t, file, trace)
	out, err := exec.Command(tshark, "-r", file, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
		"-T", "fields", "-E", "separator=,", "-e", "frame.number", "-e", "udp.length", "-e", "tcp.len", "-e", "tcp.flags.str",
		"-e", "udp.checksum.status", "-e", "tcp.checksum.status", "-e", "ip.checksum.status", "-e", "_ws.malformed", "-z", "expert,warn").Output()
	if err != nil {
		t.Fatal(err)
	}
	wantUDP, wantTCP, wantACK := count(trace)
	gotUDP, gotTCP, gotACK, rest := counted(t, string(out))
	if gotUDP != wantUDP || gotTCP != wantTCP || gotACK != wantACK {
		t.Errorf("tshark counts %d datagrams, %d segments and %d acknowledgements, the trace %d, %d and %d", gotUDP, gotTCP, gotACK, wantUDP, wantTCP, wantACK)
	}
	if strings.Contains(rest, "Errors") || strings.Contains(rest, "Warns") {
		t.Error(rest)
	}
}

func writeFile(t *testing.T, name string, trace simnet.Trace) {
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := trace.WritePCAP(f); err != nil {
		t.Fatal(err)
	}
}

// count says what must be in the file.
func count(trace simnet.Trace) (udp, tcp, acks int) {
	for _, e := range trace.Events {
		if e.Network == "udp" {
			udp++
			continue
		}
		tcp++
		if e.Fate == simnet.Delivered && e.Flags != "SYN" && e.Flags != "RST" {
			acks++
		}
	}
	return udp, tcp, acks
}

// counted reads what tshark found, and returns its expert report.
func counted(t *testing.T, out string) (udp, tcp, acks int, report string) {
	const good = "1"
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ",")
		if len(f) != 8 {
			report += line
			continue
		}
		switch {
		case f[1] != "":
			udp++
		case f[2] == "0" && !strings.ContainsAny(f[3], "SFR"):
			acks++
		default:
			tcp++
		}
		if f[4]+f[5] != good || f[6] != good && f[6] != "" || f[7] != "" {
			t.Errorf("frame %s: UDP checksum %q, TCP %q, IP %q (1 is good), malformed %q", f[0], f[4], f[5], f[6], f[7])
		}
	}
	return udp, tcp, acks, report
}
