package client

import (
	"context"
	"errors"
	"net"
	"time"

	"example.com/sockets/internal/operr"
)

// errLost is what becomes of an attempt when another one wins.
var errLost = errors.New("another address was faster")

// race is one round of attempts, one for each target (RFC 8305, 5). It belongs to
// one goroutine; each attempt has one of its own, which hands in its outcome.
type race struct {
	d        *Dialer
	all      []target
	report   *Report
	outcomes chan outcome
	running  int
	winner   net.Conn
	failures failures
}

// outcome is how the attempt, the i-th of the report, ended.
type outcome struct {
	i   int
	nc  net.Conn
	err error
}

// race returns the first connection, when all attempts have ended, or the errors
// of them all.
func (d *Dialer) race(ctx context.Context, all []target, report *Report) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &race{d: d, all: all, report: report, outcomes: make(chan outcome, len(all))}
	next := time.NewTimer(stagger)
	defer next.Stop()
	for r.start(ctx); r.running > 0; {
		select {
		case <-next.C:
		case o := <-r.outcomes:
			if r.end(o) {
				cancel() // the losers need not go on
				continue
			}
		}
		r.start(ctx)
		next.Reset(stagger)
	}
	switch {
	case r.winner != nil:
		return r.winner, nil
	case len(r.failures) == 0:
		return nil, operr.OfContext(ctx) // before the first began
	}
	return nil, r.failures
}

// start begins with the next target, if there is one and it is still needed.
func (r *race) start(ctx context.Context) {
	if r.winner != nil || len(r.all) == 0 || ctx.Err() != nil {
		return
	}
	t := r.all[0]
	r.all = r.all[1:]
	i := len(r.report.Attempts)
	r.report.Attempts = append(r.report.Attempts, Attempt{To: t.to, Address: t.address, Start: time.Now()})
	r.running++
	go r.try(ctx, i, t)
}

func (r *race) try(ctx context.Context, i int, t target) {
	nc, err := r.d.reach(ctx, t)
	r.outcomes <- outcome{i, nc, err}
}

// end takes in an outcome and reports whether the race is won.
func (r *race) end(o outcome) bool {
	r.running--
	a := &r.report.Attempts[o.i]
	a.Took = time.Since(a.Start)
	switch {
	case r.winner != nil:
		a.Err = a.fail(errLost)
		if o.nc != nil {
			o.nc.Close()
		}
	case o.err == nil:
		r.winner = o.nc
	default:
		a.Err = a.fail(o.err)
		r.failures = append(r.failures, a.Err)
	}
	return r.winner != nil
}
