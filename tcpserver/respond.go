package tcpserver

import (
	"context"

	"example.com/sockets"
)

// Respond makes a handler of r: it answers the messages of a connection one after
// the other, until the peer has ended its sending or the server stops. An error of
// r, of reading or of writing ends the connection.
func Respond(r sockets.Responder) sockets.Handler {
	return func(ctx context.Context, c *sockets.Conn) error {
		for request, err := range c.Messages() {
			if err != nil {
				return err
			}
			reply, err := r(ctx, request)
			if err != nil {
				return err
			}
			if reply == nil {
				continue
			}
			if err := c.WriteMessage(reply); err != nil {
				return err
			}
		}
		return nil
	}
}
