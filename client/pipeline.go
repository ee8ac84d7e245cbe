package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
)

// Pipeline is many calls at once over one connection: a request does not wait for
// the replies to earlier ones. Replies come in the order of the requests, or, with
// Dialer.Match or Dialer.ID, in any. Its methods may be used by many goroutines at
// once. Close it when done.
//
// A connection that fails takes all its calls with it, and is not replaced: dial
// another Pipeline.
type Pipeline struct {
	d       Dialer
	conn    *sockets.Conn
	broken  func() error
	slots   chan struct{} // one for each request that has no reply yet
	sending chan struct{} // one slot: who writes; the order of requests
	reader  sync.WaitGroup
	ended   chan struct{} // closed when the connection has

	flight       // and its mu, which guards the rest
	cause  error // why it ended
}

// DialPipeline is DialTCP for a Pipeline with at most depth requests that have no
// reply yet; who calls beyond that waits. 0 is 64, negative is no limit.
func (d *Dialer) DialPipeline(ctx context.Context, address string, depth int) (*Pipeline, error) {
	conn, broken, err := d.dialTCP(ctx, address)
	if err != nil {
		return nil, err
	}
	p := &Pipeline{
		d: *d, conn: conn, broken: broken,
		sending: make(chan struct{}, 1),
		ended:   make(chan struct{}),
	}
	if depth == 0 {
		depth = defaultDepth
	}
	if depth > 0 {
		p.slots = make(chan struct{}, depth)
	}
	p.flight.init(d)
	p.reader.Go(p.read)
	return p, nil
}

const defaultDepth = 64

// Local is this end's address, and Remote the peer's; see sockets.Conn.
func (p *Pipeline) Local() addr.Endpoint { return p.conn.Local() }

// Remote is the peer's address.
func (p *Pipeline) Remote() addr.Endpoint { return p.conn.Remote() }

// Call sends request and returns the reply, which is the caller's. It ends with
// ctx, or after Dialer.Timeout if ctx has no deadline, waiting for its turn
// included: that ends this call alone, whose reply is then dropped when it comes,
// unless it happens in the middle of writing, which ends the connection. The end
// of the connection ends every call, with what ended it; with net.ErrClosed after
// Close.
//
// When sockets.NotSent(err) is true the request was not sent. Otherwise it may
// have been executed.
func (p *Pipeline) Call(ctx context.Context, request []byte) (reply []byte, err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = p.d.withTimeout(ctx)
		defer cancel()
	}
	if err := p.enter(ctx); err != nil {
		return nil, p.failure(err, true)
	}
	c := p.begin(request)
	if sent, err := p.send(ctx, c, request); err != nil {
		return nil, p.failure(err, !sent)
	}
	select {
	case <-c.wake:
	case <-ctx.Done():
		err = operr.OfContext(ctx)
	case <-p.ended:
	}
	return p.leave(c, err)
}

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

func (p *Pipeline) failure(err error, unsent bool) error {
	return &operr.Error{Op: "call", Local: p.Local(), Remote: p.Remote(), Unsent: unsent, Err: err}
}

// Close closes the connection, and returns when its reader has ended. Every call
// ends with net.ErrClosed. Closing again is nil.
func (p *Pipeline) Close() error {
	p.end(net.ErrClosed)
	p.reader.Wait()
	return p.conn.Close()
}
