package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/operr"
)

// enter waits for a slot.
func (p *Pipeline) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return operr.OfContext(ctx)
	}
	if p.slots == nil {
		return nil
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return operr.OfContext(ctx)
	case <-p.ended:
		return p.why()
	}
}

// free gives a slot back.
func (p *Pipeline) free() {
	if p.slots != nil {
		<-p.slots
	}
}

// send puts c in flight and writes the request, one at a time, so that the order
// of the calls is that of the requests on the wire.
func (p *Pipeline) send(ctx context.Context, c *call, request []byte) (sent bool, err error) {
	select {
	case p.sending <- struct{}{}:
		defer func() { <-p.sending }()
	case <-ctx.Done():
		err = operr.OfContext(ctx)
	case <-p.ended:
		err = p.why()
	}
	if err == nil {
		err = p.register(c)
	}
	if err != nil {
		p.drop(c)
		return false, err
	}
	if err = p.write(ctx, request); err == nil {
		return true, nil
	}
	p.drop(c)
	switch {
	case p.broken() == nil:
		return false, err // refused, or not begun
	case ctx.Err() != nil:
		p.end(errCut)
	default:
		p.end(err)
	}
	return true, err
}

var (
	errCut       = errors.New("another call ended in the middle of its request")
	errPeerEnded = fmt.Errorf("the peer has ended the connection: %w", io.ErrUnexpectedEOF)
)

// write writes a request, at most until ctx ends.
func (p *Pipeline) write(ctx context.Context, request []byte) error {
	late := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(late)
		p.conn.SetWriteDeadline(past)
	})
	err := p.conn.WriteMessage(request)
	if stop() {
		return err
	}
	<-late // or the deadline would hit the next request
	p.conn.SetWriteDeadline(time.Time{})
	if err != nil {
		return operr.OfContext(ctx)
	}
	return nil
}

func (p *Pipeline) register(c *call) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != nil {
		return p.cause
	}
	return p.addLocked(c)
}

// drop forgets a call that was not sent.
func (p *Pipeline) drop(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeLocked(c)
	c.left = true
	p.recycleLocked(c)
	p.free()
}

// leave returns how c ended. In a protocol that keeps the order a call without a
// reply stays in its place, and keeps its slot, until the reply has come.
func (p *Pipeline) leave(c *call, err error) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reply := c.reply
	if c.done {
		err = c.err
	} else if err == nil {
		err = p.cause
	}
	c.left = true
	if c.done || p.concurrent() || p.cause != nil {
		p.removeLocked(c)
		p.free()
		p.recycleLocked(c)
	}
	if err != nil {
		return nil, p.failure(err, false)
	}
	return reply, nil
}

// read hands out the replies until the connection ends.
func (p *Pipeline) read() {
	var scan []*call
	for {
		message, err := p.conn.ReadMessage()
		switch {
		case err == nil:
			err = p.deliver(&scan, message)
		case errors.Is(err, sockets.ErrTooLong) && !p.concurrent():
			// It is the answer to one call, and the framing may be able to
			// go on behind it; otherwise the others end like this one.
			err = p.answer(nil, err)
		case errors.Is(err, io.EOF):
			err = errPeerEnded
		case operr.IsTimeout(err):
			err = errCut // a write's: reading has no deadline
		}
		if err != nil {
			p.end(err)
			return
		}
	}
}

// deliver gives a message to its call.
func (p *Pipeline) deliver(scan *[]*call, message []byte) error {
	if !p.concurrent() {
		return p.answer(append([]byte{}, message...), nil)
	}
	n := p.nameOf(message)
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.findLocked(scan, message, n); c != nil { // otherwise late, or strange
		p.finishLocked(c, append([]byte{}, message...), nil)
	}
	return nil
}

// answer ends the oldest call.
func (p *Pipeline) answer(reply []byte, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.inFlight) == 0 {
		if err == nil {
			err = errUnasked
		}
		return err
	}
	c := p.inFlight[0]
	if c.left { // and has waited here for this
		p.removeLocked(c)
		p.free()
		p.recycleLocked(c)
		return nil
	}
	p.finishLocked(c, reply, err)
	return nil
}

// finishLocked lets the caller take over.
func (p *Pipeline) finishLocked(c *call, reply []byte, err error) {
	p.removeLocked(c)
	c.done, c.reply, c.err = true, reply, err
	c.signal()
}

// end lets everybody know that the connection has ended.
func (p *Pipeline) end(err error) {
	p.mu.Lock()
	first := p.cause == nil
	if first {
		p.cause = err
		close(p.ended)
	}
	p.mu.Unlock()
	if first {
		p.conn.Abort(net.ErrClosed)
	}
}

// why is what ended the connection.
func (p *Pipeline) why() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause
}
