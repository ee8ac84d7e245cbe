package tcpserver

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	"example.com/sockets"
)

// Group is a set of connections that get the same messages, such as those in one
// room of a chat. Broadcast puts a message into a queue of each member and never
// waits for one: a peer that does not read delays nobody but itself, and Slow says
// what becomes of it. The zero Group works; it must not be copied after its first
// use, and its methods are safe for concurrent use.
type Group struct {
	// Queue is how many messages may wait for one member; 0 means 64, and a
	// negative value 1. It is not changed after the first Add.
	Queue int
	// Slow is what happens when a member's queue is full.
	Slow Policy

	mu      sync.Mutex
	members map[*sockets.Conn]*member
	stats   GroupStats
}

// Policy says what becomes of a member of a Group that does not keep up.
type Policy uint8

// The policies.
const (
	// Disconnect closes the connection, with ErrSlow as the cause that its
	// handler is given.
	Disconnect Policy = iota
	// DropNewest leaves out the message for which there is no room.
	DropNewest
	// DropOldest makes room by leaving out the one that has waited longest.
	DropOldest
)

// ErrSlow is why a Group has closed the connection of a member.
var ErrSlow = errors.New("the peer does not read fast enough for what is broadcast to it")

// GroupStats are a Group's numbers at one moment.
type GroupStats struct {
	// Members are in the group now.
	Members int
	// Queued messages, counted once for each member, were taken for writing.
	Queued int64
	// Dropped messages were left out for a slow member, or were still in the
	// queue of one that left.
	Dropped int64
	// Disconnected members were closed for being slow.
	Disconnected int64
}

// member is a connection in a group, with the writer that empties its queue.
type member struct {
	conn  *sockets.Conn
	queue chan []byte
	gone  chan struct{} // closed when it is taken out of the group
	done  chan struct{} // closed when its writer has ended
}

// Add makes c a member, until Remove or until a write to it fails. Messages are
// written to c with WriteMessage, by a goroutine that Remove waits for; its handler
// may write as well. The handler is the one to add its connection and, before it
// returns, to remove it:
//
//	group.Add(c)
//	defer group.Remove(c)
//
// Adding a member again does nothing.
func (g *Group) Add(c *sockets.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.members[c] != nil {
		return
	}
	if g.members == nil {
		g.members = map[*sockets.Conn]*member{}
	}
	m := &member{c, make(chan []byte, g.size()), make(chan struct{}), make(chan struct{})}
	g.members[c] = m
	go g.write(m)
}

func (g *Group) size() int {
	if g.Queue == 0 {
		return 64
	}
	return max(g.Queue, 1)
}

// Remove ends the membership of c and returns when the group no longer writes to
// it: if a message is just being written, when that has left, which Timeouts.Write
// bounds. What is still in its queue is dropped. If c is no member it does nothing.
func (g *Group) Remove(c *sockets.Conn) {
	g.mu.Lock()
	m := g.members[c]
	if m != nil {
		g.takeOutLocked(m)
	}
	g.mu.Unlock()
	if m != nil {
		<-m.done
	}
}

// Broadcast queues a copy of message for every member except those named, and
// returns for how many. It does not wait; members get the messages of concurrent
// calls in one and the same order. That a message was queued does not mean that it
// will arrive: a member may leave, or turn out to be slow.
func (g *Group) Broadcast(message []byte, except ...*sockets.Conn) (queued int) {
	message = bytes.Clone(message)
	var slow []*sockets.Conn
	g.mu.Lock()
	for c, m := range g.members {
		switch {
		case slices.Contains(except, c):
		case g.queueLocked(m, message):
			queued++
		case g.Slow == Disconnect:
			g.takeOutLocked(m)
			g.stats.Disconnected++
			slow = append(slow, c)
		}
	}
	g.stats.Queued += int64(queued)
	g.mu.Unlock()
	for _, c := range slow {
		c.Abort(ErrSlow)
	}
	return queued
}

// queueLocked puts a message into the queue of m, if there is room or room can be
// made.
func (g *Group) queueLocked(m *member, message []byte) bool {
	select {
	case m.queue <- message:
		return true
	default:
	}
	g.stats.Dropped++
	if g.Slow != DropOldest {
		return false
	}
	select {
	case <-m.queue:
	default: // its writer was faster: the count is one too many
		g.stats.Dropped--
	}
	m.queue <- message // nobody else fills it
	return true
}

func (g *Group) takeOutLocked(m *member) {
	delete(g.members, m.conn)
	close(m.gone)
}

// Stats returns the numbers of this moment.
func (g *Group) Stats() GroupStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	st := g.stats
	st.Members = len(g.members)
	return st
}

// write is the life of a member's writer. A write that fails ends the membership:
// the handler learns of it by its own reads and writes.
func (g *Group) write(m *member) {
	defer close(m.done)
	for {
		select {
		case <-m.gone:
			g.drop(m)
			return
		case message := <-m.queue:
			if m.conn.WriteMessage(message) == nil {
				continue
			}
			g.mu.Lock()
			if g.members[m.conn] == m {
				g.takeOutLocked(m)
			}
			g.mu.Unlock()
		}
	}
}

// drop counts what is left in the queue of m, which nobody fills any more.
func (g *Group) drop(m *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.Dropped += int64(len(m.queue))
}
