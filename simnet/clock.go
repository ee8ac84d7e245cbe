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
	armed  time.Time     // when timer fires, zero if it does not
	arrive func(*packet) // the network's
}

// event is something that happens at a time. Two events of one instant happen in
// the order of their flows and not in the order in which goroutines caused them;
// within one flow and direction the order is that of causing.
type event struct {
	at     time.Time
	path   *path
	serial uint64
	packet *packet // arrives, or nil
	run    func()  // happens otherwise
}

func (c *clock) lock() { c.mu.Lock() }

// unlock runs what is due and gives the lock back.
func (c *clock) unlock() {
	if len(c.events) > 0 {
		c.settle()
	}
	c.mu.Unlock()
}

// locker is the clock as a sync.Cond wants it. Wait registers the waiter before it
// calls Unlock, so nothing that runs there is missed by who begins to wait.
type locker clock

func (l *locker) Lock()   { (*clock)(l).lock() }
func (l *locker) Unlock() { (*clock)(l).unlock() }

// cond is what all waiting in the package is done on: a synctest bubble takes a
// goroutine in Cond.Wait for idle, and one that waits for a mutex not.
func (c *clock) cond() *sync.Cond { return sync.NewCond((*locker)(c)) }

// after arranges for run to happen on path p at a time, with the lock held.
func (c *clock) after(at time.Time, p *path, run func()) {
	c.push(event{at: at, path: p, run: run})
}

// settle runs what is due. What that causes at the same instant is due as well, so a
// whole exchange on a network without delays happens here.
func (c *clock) settle() {
	for len(c.events) > 0 && !c.events[0].at.After(time.Now()) {
		if e := c.pop(); e.packet != nil {
			c.arrive(e.packet)
		} else {
			e.run()
		}
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

// tick is the timer: unlock does the work.
func (c *clock) tick() {
	c.lock()
	c.armed = time.Time{}
	c.unlock()
}

// before is the order that the comment on event promises.
func (e event) before(o event) bool {
	if d := e.at.Compare(o.at); d != 0 {
		return d < 0
	}
	if d := e.path.compare(o.path); d != 0 {
		return d < 0
	}
	return e.serial < o.serial
}

// push and pop keep the heap. container/heap would box every event.
func (c *clock) push(e event) {
	c.serial++
	e.serial = c.serial
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
