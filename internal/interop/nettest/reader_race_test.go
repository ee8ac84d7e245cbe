//go:build race

package nettest

import (
	"net"
	"sync"

	"example.com/sockets"
)

// oneReader makes readers take turns, as a Conn demands: two subtests of the suite
// read from many goroutines at once, which the race detector reports.
func oneReader(c *sockets.Conn) net.Conn { return &inTurn{Conn: c} }

type inTurn struct {
	*sockets.Conn
	turn sync.Mutex
}

func (c *inTurn) Read(p []byte) (int, error) {
	c.turn.Lock()
	defer c.turn.Unlock()
	return c.Conn.Read(p)
}
