package udpio

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// arena is how many bytes a batch collects. What is longer than a quarter of it
// is not worth the copy, and is sent by itself.
const arena = 64 << 10

// batch is a Batch that one system call sends.
type batch struct {
	m      *multi
	failed func(Route, error)
	data   []byte
	n      int // datagrams
	items  [most]item

	trains  [most]train
	headers [most]header // one for each train
	names   [most]unix.RawSockaddrInet6
	control [most][controlSize]byte
	vectors [most]unix.Iovec // those of one train are neighbours
	groups  int              // trains
	next    int              // the first train that was not sent
	errno   syscall.Errno
	try     func(fd uintptr)
	wait    func(fd uintptr) bool
}

// item is a datagram that was added.
type item struct {
	Route
	at, size int // its part of data
	train    int
}

// NewBatch implements Conn.
func (m *multi) NewBatch(failed func(Route, error)) Batch {
	b := &batch{m: m, failed: failed, data: make([]byte, 0, 4<<10)}
	b.try = b.send
	b.wait = func(fd uintptr) bool { b.send(fd); return b.errno != unix.EAGAIN }
	return b
}

// Len implements Batch.
func (b *batch) Len() int { return b.n }

// Add implements Batch. It refuses addresses of the wrong family: the call for
// single datagrams has the right error for them.
func (b *batch) Add(p []byte, r Route) bool {
	if b.n == most || len(p) > arena/4 || len(b.data)+len(p) > arena || !b.m.reaches(r.Peer.Addr()) {
		return false
	}
	b.items[b.n] = item{Route: r, at: len(b.data), size: len(p)}
	b.data = append(b.data, p...)
	b.n++
	return true
}

// Send implements Batch. The call says how many it has sent before the first
// that failed, and why that one did only if it is called again from there.
func (b *batch) Send() (sent, bytes int) {
	b.couple()
	b.fill()
	for b.next = 0; b.next < b.groups; {
		first := b.next
		err := b.call()
		for ; first < b.next; first++ {
			sent += b.trains[first].count
			bytes += b.trains[first].bytes
		}
		if err != nil {
			s, n := b.skip(err)
			sent, bytes = sent+s, bytes+n
		}
	}
	b.n, b.data = 0, b.data[:0]
	return sent, bytes
}

// call sends as many trains as the system takes. It waits for room only if there
// is none: the waiting call takes the socket's write lock, for which the other
// workers would queue.
func (b *batch) call() error {
	err := b.m.raw.Control(b.try)
	if err == nil && b.errno == unix.EAGAIN {
		began := b.m.patience.begin()
		defer b.m.patience.end()
		if err = b.m.raw.Write(b.wait); b.m.patience.stale(err, began) {
			err = b.m.raw.Write(b.wait)
		}
	}
	if err == nil && b.errno != 0 {
		err = os.NewSyscallError("sendmmsg", b.errno)
	}
	return err
}

func (b *batch) send(fd uintptr) {
	for {
		n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.headers[b.next])), uintptr(b.groups-b.next), unix.MSG_DONTWAIT, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if b.errno = e; e == 0 {
			b.next += int(n)
		}
		return
	}
}

// skip goes past the train that can't be sent. Its datagrams are sent one by one:
// the cause may be one that a single datagram does not have, as a source address
// that has gone, or one that is longer than what the path takes whole. If the
// socket itself is the matter, all the rest has failed.
func (b *batch) skip(err error) (sent, bytes int) {
	from := b.next
	b.next++
	useless := false
	switch Classify(err) {
	case Closed, Deadline, Dead:
		useless = true
		b.next = b.groups
	}
	if Errno(err) == unix.EIO { // the link can't do the checksums of a train
		b.m.coupling.Store(false)
	}
	for i := range b.items[:b.n] {
		it := &b.items[i]
		if it.train < from || it.train >= b.next {
			continue
		}
		if !useless {
			err = b.m.Write(b.data[it.at:it.at+it.size], it.Route)
		}
		if err != nil {
			b.failed(it.Route, err)
			continue
		}
		sent, bytes = sent+1, bytes+it.size
	}
	return sent, bytes
}
