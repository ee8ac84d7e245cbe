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
	for end := time.Now().Add(5 * time.Second); s.Stats().Dropped.Queue == 0; {
		if time.Now().After(end) {
			t.Fatalf("the queue does not fill: %+v", s.Stats())
		}
		sendSome(c, size)
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

func sendSome(c *net.UDPConn, size int) {
	p := make([]byte, size)
	for range 8 {
		c.Write(p)
	}
	time.Sleep(time.Millisecond)
}
