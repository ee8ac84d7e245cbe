package simnet_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/simnet"
)

// check compares texts line by line, trailing space aside.
func check(t *testing.T, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// tcpStory is a connection on which a segment and a SYN are lost, then a dial that
// is refused.
func tcpStory(t *testing.T, o simnet.Options) *simnet.Network {
	o.Link.Latency = latency
	n := simnet.New(o)
	client, server := tcpPair(t, n)
	io.WriteString(client, "GET\n")
	server.Read(make([]byte, 10))
	server.Write(make([]byte, 2000))
	server.Close()
	io.Copy(io.Discard, client)
	client.Close()
	time.Sleep(time.Second)
	n.Host("a").DialContext(t.Context(), "tcp", "b:1")
	return n
}

var tcpScript = simnet.Script{simnet.Drop(1).From("a"), simnet.Drop(2).From("b")}

func TestTCPTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := tcpStory(t, simnet.Options{Script: tcpScript})
		check(t, n.Trace().String(), `
       0s tcp a > b #1 SYN, 0 bytes: lost, Drop(1)
       1s tcp a > b #2 SYN, 0 bytes: delivered after 10ms, retry 1
    1.01s tcp b > a #1 SYN ACK, 0 bytes: delivered after 10ms
    1.03s tcp a > b #3 GET, 4 bytes: delivered after 10ms
    1.04s tcp b > a #2 2000 bytes, 2000 bytes: lost, Drop(2)
    1.04s tcp b > a #3 FIN, 0 bytes: delivered after 10ms
    1.26s tcp b > a #4 2000 bytes, 2000 bytes: delivered after 10ms, retry 1
    1.27s tcp a > b #4 FIN, 0 bytes: delivered after 10ms
    2.27s tcp a > b #5 SYN, 0 bytes: refused, no listener
    2.28s tcp b > a #0 RST, 0 bytes: delivered after 10ms, no listener
`)
		check(t, n.Diagram(), `
          a                                          b
       0s |--- SYN -----------------X                |           Drop(1)
       1s |--- SYN --------------------------------->| 1.01s     retry 1
    1.02s |<----------------------------- SYN ACK ---| 1.01s
    1.03s |--- GET --------------------------------->| 1.04s
          |                X---------- 2000 bytes ---| 1.04s     Drop(2)
    1.05s |<--------------------------------- FIN ---| 1.04s
    1.27s |<-------------------------- 2000 bytes ---| 1.26s     retry 1
    1.27s |--- FIN --------------------------------->| 1.28s
    2.27s |--- SYN --------------------------------->| 2.28s     no listener, refused
    2.29s |<--------------------------------- RST ---| 2.28s     no listener
`)
	})
}

// TestDiagramOfThree draws each two hosts apart, and shortens labels.
func TestDiagramOfThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Label: func(p simnet.Packet) string {
			if len(p.Data) == 0 {
				return ""
			}
			return fmt.Sprintf("α %d and more than there is room for", p.Data[0])
		}})
		pc, _ := n.Host("b").ListenPacket(t.Context(), "udp", ":1")
		defer pc.Close()
		for i, name := range []string{"a", "c"} {
			c, _ := n.Host(name).DialContext(t.Context(), "udp", "b:1")
			c.Write([]byte{byte(i)})
			c.Write(nil)
			pc.ReadFrom(nil)
			_, from, _ := pc.ReadFrom(nil)
			pc.WriteTo([]byte{byte(i)}, from)
			c.Close()
		}
		check(t, n.Diagram(), `
          a                                          b
       0s |--- α 0 and more than t~ ---------------->| 0s
       0s |--- 0 bytes ----------------------------->| 0s
       0s |<---------------- α 0 and more than t~ ---| 0s

          c                                          b
       0s |--- α 1 and more than t~ ---------------->| 0s
       0s |--- 0 bytes ----------------------------->| 0s
       0s |<---------------- α 1 and more than t~ ---| 0s
`)
		if got := len(n.Trace().Between("b", "c").Events); got != 3 {
			t.Error(got, "events between b and c")
		}
	})
}

// TestDiagramUnderWay shows what was not there yet when the diagram was drawn.
func TestDiagramUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Link: simnet.Link{Latency: latency}})
		client, _ := udpPair(t, n)
		client.Write([]byte("x"))
		check(t, n.Diagram(), `
          a                                          b
       0s |--- x - - - - - - - - - -                 |           in flight
`)
	})
}

// TestCausalOrder: without delays a question still stands before its answer.
func TestCausalOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{})
		pc, _ := n.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
		c, _ := n.DialContext(t.Context(), "udp", pc.LocalAddr().String())
		defer pc.Close()
		defer c.Close()
		for i := range 2 {
			fmt.Fprint(c, "question ", i)
			_, from, _ := pc.ReadFrom(make([]byte, 10))
			pc.WriteTo(fmt.Append(nil, "answer ", i), from)
			c.Read(make([]byte, 10))
		}
		check(t, n.Diagram(), `
          client                                     server
       0s |--- question 0 -------------------------->| 0s
       0s |<---------------------------- answer 0 ---| 0s
       0s |--- question 1 -------------------------->| 0s
       0s |<---------------------------- answer 1 ---| 0s
`)
	})
}

func TestTraceLimits(t *testing.T) {
	for _, c := range []struct{ limit, size, count, kept, missing int }{
		{0, 1, 20, 20, 0},
		{5, 1, 20, 5, 15},
		{-1, 1, 20, 0, 0},
		{0, 65_000, 300, 258, 42}, // 16 MiB of payload
	} {
		synctest.Test(t, func(t *testing.T) {
			n := simnet.New(simnet.Options{Trace: c.limit})
			client, _ := udpPair(t, n)
			for range c.count {
				client.Write(make([]byte, c.size))
			}
			trace := n.Trace()
			if len(trace.Events) != c.kept || trace.Missing != c.missing {
				t.Errorf("%+v: %d events, %d missing", c, len(trace.Events), trace.Missing)
			}
			for _, text := range []string{trace.String(), n.Diagram()} {
				if (trace.Missing > 0) != strings.Contains(text, fmt.Sprint("and ", c.missing, " packets")) {
					t.Errorf("%+v: the reader is not told", c)
				}
			}
		})
	}
}

// TestEmptyPCAP is a file that has a header all the same.
func TestEmptyPCAP(t *testing.T) {
	var b bytes.Buffer
	if err := simnet.New(simnet.Options{}).WritePCAP(&b); err != nil || b.Len() != 24 {
		t.Error(b.Len(), err)
	}
}
