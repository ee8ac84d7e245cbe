//go:build !race

package udpserver_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"example.com/sockets/udpserver"
)

// With the default configuration, every handler blocked and the queue full, the
// whole process stays small. It runs in one of its own.
func TestMemoryUnderAFlood(t *testing.T) {
	const sizeVar = "UDPSERVER_TEST_FLOOD"
	if size, err := strconv.Atoi(os.Getenv(sizeVar)); err == nil {
		flood(t, size)
		return
	}
	for size, most := range map[int]int{1200: 32 << 10, 65507: 128 << 10} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestMemoryUnderAFlood$")
		cmd.Env = append(os.Environ(), fmt.Sprint(sizeVar, "=", size))
		out, err := cmd.CombinedOutput()
		peak := regexp.MustCompile(`peak (\d+) kB`).FindSubmatch(out)
		if err != nil || peak == nil {
			t.Fatalf("%v\n%s", err, out)
		}
		kB, _ := strconv.Atoi(string(peak[1]))
		t.Logf("%d-byte datagrams: %d kB", size, kB)
		if kB > most {
			t.Errorf("%d-byte datagrams: %d kB resident, want at most %d", size, kB, most)
		}
	}
}

func flood(t *testing.T, size int) {
	release := make(chan struct{})
	s := &udpserver.Server{Handler: func(context.Context, *udpserver.Datagram) error {
		<-release
		return nil
	}}
	to, stop := serve(t, s)
	c := dial(t, to)
	send(t, c, "first")
	await(func() bool { return s.Stats().Running == 1 }) // from here on drops count
	for sent := 1; s.Stats().Dropped.Queue == 0; sent += 8 {
		sendSome(t, s, c, size, sent)
	}
	if st := s.Stats(); st.Running != 1024 {
		t.Errorf("running %d", st.Running)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("peak %s kB\n", regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)[1])
	close(release)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// sendSome sends eight more than before, and waits until the server has read them
// or the system has dropped them.
func sendSome(t *testing.T, s *udpserver.Server, c *net.UDPConn, size, before int) {
	p := make([]byte, size)
	for range 8 {
		c.Write(p)
	}
	end := time.Now().Add(5 * time.Second)
	await(func() bool {
		st := s.Stats()
		if time.Now().After(end) {
			t.Fatalf("of %d datagrams some are missing: %+v", before+8, st)
		}
		return int(st.Received+st.KernelDropped) >= before+8
	})
}
