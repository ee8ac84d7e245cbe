package client_test

import (
	"bufio"
	"net"
	"testing"
	"time"

	"example.com/sockets/client"
)

// BenchmarkPoolCall compares a call through a pool with the loop by hand over one
// connection, in turns, so that both see the same machine.
func BenchmarkPoolCall(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go echoAll(nc)
		}
	}()
	p := &client.Pool{Address: ln.Addr().String()}
	defer p.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	versus(b, func() error {
		_, err := p.Call(b.Context(), []byte("hello"))
		return err
	}, func() error {
		if _, err := nc.Write([]byte("hello\n")); err != nil {
			return err
		}
		_, err := r.ReadSlice('\n')
		return err
	})
}

// BenchmarkUDPCall does the same for datagrams; the loop by hand sets a deadline, as
// it has to, and tells nothing apart.
func BenchmarkUDPCall(b *testing.B) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer pc.Close()
	go func() {
		buf := make([]byte, 1024)
		for {
			n, from, err := pc.(udpConn).ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			pc.(udpConn).WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	u, err := client.DialUDP(b.Context(), pc.LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer u.Close()
	nc, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	buf := make([]byte, 65_535)
	versus(b, func() error {
		_, err := u.Call(b.Context(), []byte("hello"))
		return err
	}, func() error {
		nc.SetDeadline(time.Now().Add(time.Second))
		if _, err := nc.Write([]byte("hello")); err != nil {
			return err
		}
		_, err := nc.Read(buf)
		return err
	})
}

// versus times ours and the loop by hand, a hundred of each in turns.
func versus(b *testing.B, ours, plain func() error) {
	var spent [2]time.Duration
	for i := 0; b.Loop(); i++ {
		which := i / 100 % 2
		start := time.Now()
		if err := []func() error{ours, plain}[which](); err != nil {
			b.Fatal(err)
		}
		spent[which] += time.Since(start)
	}
	if spent[1] > 0 {
		b.ReportMetric(float64(spent[0])/float64(spent[1]), "ratio")
	}
}

func echoAll(nc net.Conn) {
	defer nc.Close()
	buf := make([]byte, 1024)
	for {
		n, err := nc.Read(buf)
		if err != nil {
			return
		}
		nc.Write(buf[:n])
	}
}
