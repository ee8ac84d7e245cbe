package client

import (
	"context"
	"net"
	"sync"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
)

// Pipeline is many calls at once over one connection: a request does not wait for
// the replies to earlier ones. Replies come in the order of the requests, or, with
// Dialer.Match or Dialer.ID, in any. Its methods may be used by many goroutines at
// once. Close it when done.
//
// In order, a server that answers a request twice, or not at all, shifts the replies
// to those behind it, and nothing can tell; a reply that comes when no call waits for
// one ends the connection.
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
