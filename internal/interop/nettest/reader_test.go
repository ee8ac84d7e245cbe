//go:build !race

package nettest

import (
	"net"

	"example.com/sockets"
)

func oneReader(c *sockets.Conn) net.Conn { return c }
