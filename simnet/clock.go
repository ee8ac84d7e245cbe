package simnet

import (
	"sync"
	"time"
)

// clock is the one lock of a network and its one queue of events. What is due
// runs when the lock is given back, in the goroutine that held it, so a network
// without delays needs neither a timer nor a goroutine; what is due later runs
// in the timer. Nothing else makes time pass.
type clock struct {
	mu     sync.Mutex
	events []event // a heap
	serial uint64
	timer  *time.Timer
	armed  time.Time // when timer fires, zero if it does not
}

// event is something that happens at a time. Two events of one instant happen in
// the order of their flows and not in the order in which goroutines caused them;
// within one flow and direction the order is that of causing.
type event struct {
	at     time.Time
	path   *path
	serial uint64
	run    func()
}

// Lock takes the network's lock.
func (c *clock) Lock() { c.mu.Lock() }

// Unlock runs what is due and gives the lock back. A sync.Cond on the clock
// calls it after it has registered the waiter, so nothing that runs here can be
// missed by whoever begins to wait.
func (c *clock) Unlock() {
	if len(c.events) > 0 {
		c.settle()
	}
	c.mu.Unlock()
}

// after arranges for run to happen on path p at a time, with the lock held.
func (c *clock) after(at time.Time, p *path, run func()) {
	c.serial++
	c.push(event{at: at, path: p, serial: c.serial, run: run})
}

func (c *clock) settle() {
	for len(c.events) > 0 && !c.events[0].at.After(time.Now()) {
		c.pop().run()
	}
	if len(c.events) == 0 || c.events[0].at.Equal(c.armed) {
		return
	}
	c.armed = c.events[0].at
	if c.timer == nil {
		c.timer = time.AfterFunc(time.Until(c.armed), c.tick)
		return
	}
	c.timer.Reset(time.Until(c.armed))
}

func (c *clock) tick() {
	c.Lock()
	c.armed = time.Time{}
	c.Unlock()
}

func (e event) before(o event) bool {
	if d := e.at.Compare(o.at); d != 0 {
		return d < 0
	}
	if d := e.path.compare(o.path); d != 0 {
		return d < 0
	}
	return e.serial < o.serial
}

func (c *clock) push(e event) {
	h := append(c.events, e)
	i := len(h) - 1
	for i > 0 && e.before(h[(i-1)/2]) {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = e
	c.events = h
}

func (c *clock) pop() event {
	h := c.events
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	c.events = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if child >= len(h) || !h[child].before(last) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
	return first
}
