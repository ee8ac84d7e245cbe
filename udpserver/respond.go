package udpserver

import (
	"context"
	"reflect"

	"example.com/sockets"
)

// Respond returns the Handler that answers each datagram by r: a nil reply sends
// nothing, an empty one an empty datagram. A truncated datagram is no request;
// its error is sockets.ErrTruncated.
//
//go:noinline
func Respond(r sockets.Responder) Handler {
	return func(ctx context.Context, d *Datagram) error {
		if d.Truncated {
			return sockets.ErrTruncated
		}
		reply, err := r(ctx, d.Data)
		if err != nil || reply == nil {
			return err
		}
		return d.Reply(reply)
	}
}

// responds reports whether h comes from Respond itself, and is not wrapped by
// somebody else. Then nobody outside of this package ever has the *Datagram, and
// one serves for all.
func responds(h Handler) bool {
	return reflect.ValueOf(h).Pointer() == reflect.ValueOf(Respond(nil)).Pointer()
}
