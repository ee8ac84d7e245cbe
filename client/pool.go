package client

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/backoff"
	"example.com/sockets/internal/connhook"
	"example.com/sockets/internal/operr"
)

// Pool calls over connections to one address that it dials when they are needed
// and keeps for the next call. Set Address and use it; Close it when done. Its
// methods may be used by many goroutines at once, its fields must not be changed,
// and it must not be copied, after the first use.
//
// With Conns 1 it is a connection that comes back: what was lost is dialled again
// between calls, and never by repeating one that may have been executed.
//
// An idle connection is watched: one that the peer ends, or sends something on
// that nobody asked for, is given up when that happens and not when it is needed.
// That makes a call over a dead connection rare; none can make it impossible.
type Pool struct {
	// Address is where to connect to, as for DialTCP.
	Address string
	// Dialer says how.
	Dialer Dialer
	// Conns is how many connections there are at most, those being dialled
	// included. 0 is 16, negative is no limit. Who needs one when all are in
	// use waits; the first to wait is the first to get one.
	Conns int
	// Idle is how long a connection may be unused before it is closed. 0 is
	// 1 min, negative is for ever. Choose less than the server does, or it
	// closes connections just when they are needed.
	Idle time.Duration
	// Lifetime is how long a connection is used, less up to a tenth at random,
	// so that those made together do not end together. A call is not cut off.
	// 0 and negative are for ever.
	Lifetime time.Duration
	// Restore, if not nil, is run on each new connection before it is used for
	// anything else: to read a greeting, to log in, to choose a database. An
	// error makes the connection one that failed. ctx ends after Dialer.Timeout and
	// with Close, and what Restore does on c ends with it.
	Restore func(ctx context.Context, c *sockets.Conn) error
	// Grace is how long Close waits for the calls in progress. 0 is 5 s,
	// negative is not at all.
	Grace time.Duration

	once sync.Once
	pool
}

// pool is the state of a Pool.
type pool struct {
	ctx    context.Context // of dialling: ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // dials and watchers

	mu        sync.Mutex
	closing   bool
	drained   chan struct{} // closed when it is closing and no connection is left
	closed    chan struct{} // closed when Close has returned
	members   map[*member]struct{}
	idle      []*member // the last used last
	waiters   []*waiter // the oldest first
	spare     []*waiter // to be used again
	dialing   int
	wait      backoff.Backoff // between dials that fail
	notBefore time.Time       // when the next dial may begin
	lastErr   error           // of the last dial, nil if it succeeded
	stats     PoolStats
	retired   [retirements]int64
}

const (
	defaultConns = 16
	defaultIdle  = time.Minute
	defaultGrace = 5 * time.Second // as the servers have
	abandon      = time.Second     // what an aborted call has to notice it
)

func (p *Pool) init() {
	p.once.Do(func() {
		p.ctx, p.cancel = context.WithCancel(context.Background())
		p.drained, p.closed = make(chan struct{}), make(chan struct{})
		p.members = make(map[*member]struct{})
		p.wait = p.Dialer.pauses()
	})
}

// Call sends a request over some connection and returns the reply, which is the
// caller's. It ends with ctx, or after Dialer.Timeout, waiting for a connection
// included, and with net.ErrClosed after Close.
//
// When sockets.NotSent(err) is true, nothing was executed: Call itself has then
// tried again already as long as the connection was an old one. Otherwise the
// request may have been executed, and it is for the caller to know whether it can
// be repeated.
func (p *Pool) Call(ctx context.Context, request []byte) (reply []byte, err error) {
	until := p.begin(ctx) // the wait and the call together
	for {
		m, err := p.take(ctx, until)
		if err != nil {
			return nil, p.end(err)
		}
		old := m.used
		reply, err := connhook.Call(ctx, m.conn, until, request)
		if err == nil {
			reply = append([]byte{}, reply...)
		}
		void := err != nil && (!sockets.NotSent(err) || isTransport(err))
		p.release(m, !void, err)
		if !void || !old || !sockets.NotSent(err) || ctx.Err() != nil {
			return reply, p.end(err)
		}
		p.count(func(s *PoolStats) { s.Repeated++ }) // until it is a new one
	}
}

// Do runs f with a connection of its own, for what takes more than one request:
// f may read and write as it likes, must leave the framing as it was and must not
// keep c. ctx bounds the wait for
// the connection, as does Dialer.Timeout if ctx has no deadline; beyond that it is
// for f to heed. The connection is used again if f returns nil, has not closed it
// and has read all that came; otherwise it is closed. Do returns what f does, and
// runs nothing twice.
func (p *Pool) Do(ctx context.Context, f func(ctx context.Context, c *sockets.Conn) error) error {
	m, err := p.take(ctx, p.begin(ctx))
	if err != nil {
		return p.end(err)
	}
	ok := false
	defer func() { p.release(m, ok, err) }() // f may panic
	err = f(ctx, m.conn)
	ok = err == nil
	return p.end(err)
}

// begin counts a call, and returns when it has to end if ctx does not say.
func (p *Pool) begin(ctx context.Context) (until time.Time) {
	p.init()
	p.count(func(s *PoolStats) { s.Calls++ })
	return p.Dialer.limit(ctx, time.Now())
}

func (p *Pool) end(err error) error {
	if err != nil {
		p.count(func(s *PoolStats) { s.Failed++ })
	}
	return err
}

// failure is the error of a call that got no connection.
func (p *Pool) failure(err error) error {
	return &operr.Error{Op: "call " + shown(p.Address), Unsent: true, Err: err}
}

// Close ends the pool: who waits for a connection gets net.ErrClosed, idle
// connections close, and Close returns when the others have been given back. Those
// that are still in use after Grace are aborted, and users that do not notice
// within another second are named in a *sockets.DrainError. Closing again waits
// for the same, and returns nil.
func (p *Pool) Close() error {
	p.init()
	p.mu.Lock()
	first := !p.closing
	p.closing = true
	p.cancel()
	p.refuseLocked(net.ErrClosed)
	rested := p.idle
	p.idle = nil
	for _, m := range rested {
		p.retireLocked(m, retiredClosed, false)
	}
	p.settleLocked()
	p.mu.Unlock()
	for _, m := range rested {
		m.conn.SetReadDeadline(past) // its watcher notices, and closes it
	}
	if !first {
		<-p.closed
		return nil
	}
	defer close(p.closed)
	return p.drain()
}

// drain waits for the connections in use, for as long as Grace grants.
func (p *Pool) drain() error {
	start, grace := time.Now(), orDefault(p.Grace, defaultGrace)
	if within(p.drained, grace) {
		p.work.Wait()
		return nil
	}
	cut := p.abortAll()
	if within(p.drained, abandon) {
		p.work.Wait()
		return &sockets.DrainError{Grace: grace, CutOff: stragglers(cut, start)}
	}
	p.mu.Lock()
	left := slices.Collect(maps.Keys(p.members))
	p.mu.Unlock()
	return &sockets.DrainError{Grace: grace, Abandoned: stragglers(left, start)}
}

// within reports whether c is closed, or is before d has passed.
func within(c <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-t.C:
		return false
	}
}

// abortAll closes what is in use under its users' hands, and returns it.
func (p *Pool) abortAll() []*member {
	p.mu.Lock()
	all := slices.Collect(maps.Keys(p.members))
	p.mu.Unlock()
	for _, m := range all {
		m.conn.Abort(net.ErrClosed)
	}
	return all
}

func stragglers(all []*member, since time.Time) []sockets.Straggler {
	var list []sockets.Straggler
	for _, m := range all {
		list = append(list, sockets.Straggler{ID: m.conn.ID(), Remote: m.conn.Remote(), Phase: "call", Age: time.Since(since)})
	}
	return list
}
