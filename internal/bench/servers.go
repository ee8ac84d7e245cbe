package main

import (
	"context"
	"fmt"
	"net"

	"github.com/panjf2000/gnet/v2"

	"example.com/sockets/internal/udpio"
	"example.com/sockets/udpserver"
)

// serve runs the server with that name until it is killed.
func serve(name string) error {
	switch name {
	case "plain":
		return plain()
	case "batch":
		return batch()
	case "gnet":
		return gnetServer()
	case "single":
		return library(&udpserver.Server{Engine: udpserver.EngineSingle})
	case "udpserver":
		return library(&udpserver.Server{})
	}
	return fmt.Errorf("no server %q", name)
}

// plain is what one writes with the net package alone, at its best: the calls
// that allocate nothing.
func plain() error {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	fmt.Println(c.LocalAddr())
	buf := make([]byte, 65536)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return err
		}
		if _, err := c.WriteToUDPAddrPort(buf[:n], from); err != nil {
			return err
		}
	}
}

// batch is the engine of udpserver without its dispatch: what that could reach.
func batch() error {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	fmt.Println(c.LocalAddr())
	conn := udpio.Open(c, 65535, udpio.Best)
	out := conn.NewBatch(func(udpio.Route, error) {})
	for {
		packets, err := conn.Read()
		if err != nil {
			return err
		}
		for i := range packets {
			out.Add(packets[i].Data, packets[i].Route)
		}
		out.Send()
	}
}

func library(s *udpserver.Server) error {
	ctx := context.Background()
	s.Handler = func(_ context.Context, d *udpserver.Datagram) error { return d.Reply(d.Data) }
	pc, err := s.ListenPacket(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(pc.LocalAddr())
	return s.Serve(ctx, pc)
}

// engine is gnet's echo.
type engine struct {
	gnet.BuiltinEventEngine
	address string
}

func (e *engine) OnBoot(gnet.Engine) gnet.Action {
	fmt.Println(e.address)
	return gnet.None
}

func (e *engine) OnTraffic(c gnet.Conn) gnet.Action {
	p, _ := c.Next(-1)
	_, _ = c.Write(p)
	return gnet.None
}

// gnetServer takes a port that was just free: gnet does not tell which it got.
func gnetServer() error {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := c.LocalAddr().String()
	c.Close()
	return gnet.Run(&engine{address: address}, "udp://"+address, gnet.WithMulticore(true))
}
