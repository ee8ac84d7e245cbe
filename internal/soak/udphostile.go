package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

// answers reads for so long what comes to c, which has asked questions, and checks
// that it answers them, each once.
func (a *asker) answers(c net.Conn, asked [][]byte, wait time.Duration) error {
	byID := map[string][]byte{}
	for _, q := range asked {
		byID[string(q[:idLength])] = q
	}
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for bounces := 0; bounces <= len(asked); { // each datagram can come back
		n, err := c.Read(buf)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			return nil
		case err != nil:
			bounces++
			continue
		}
		id := string(buf[:min(n, idLength)])
		q, ok := byID[id]
		if !ok {
			return fmt.Errorf("received %s, which answers nothing, or twice", short(buf[:n]))
		}
		if err := a.is(q, buf[:n]); err != nil {
			return err
		}
		if !a.doubles {
			delete(byID, id)
		}
	}
	return nil
}

// burst asks much at once, so that the server reads and replies in batches.
func (a *asker) burst() error {
	c, err := a.open()
	if err != nil {
		return err
	}
	defer c.Close()
	var asked [][]byte
	for range 1 + a.IntN(64) {
		asked = append(asked, newQuestion(a.Rand, "ask", 40+a.IntN(2)*a.IntN(100)))
		_, _ = c.Write(asked[len(asked)-1])
	}
	return a.answers(c, asked, 200*time.Millisecond)
}

// train asks in one call, as one long datagram that the system cuts into equal pieces,
// at the latest where it is read.
func (a *asker) train() error {
	c, err := a.open()
	if err != nil {
		return err
	}
	defer c.Close()
	size := 40 + a.IntN(1400)
	if !cutEvery(c.(*net.UDPConn), size) {
		return nil
	}
	var asked [][]byte
	var all []byte
	for n := 1 + a.IntN(min(64, largest/size)); n > 0; n-- {
		if n == 1 {
			size = 40 + a.IntN(size-39) // the last may be shorter
		}
		asked = append(asked, newQuestion(a.Rand, "ask", size))
		all = append(all, asked[len(asked)-1]...)
	}
	_, _ = c.Write(all)
	return a.answers(c, asked, 200*time.Millisecond)
}

// flood asks more than anybody answers, and looks at none of it.
func (a *asker) flood() error {
	c, err := a.open()
	if err != nil {
		return err
	}
	defer c.Close()
	q := newQuestion(a.Rand, []string{"ask", "slow"}[a.IntN(2)], 1000)
	for range a.IntN(500) {
		_, _ = c.Write(q)
	}
	return nil
}

// empty sends empty datagrams, which are answered by such.
func (a *asker) empty() error {
	c, err := a.open()
	if err != nil {
		return err
	}
	defer c.Close()
	for range 1 + a.IntN(20) {
		_, _ = c.Write(nil)
	}
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		return err
	}
	buf := make([]byte, 100)
	for range 20 {
		if n, err := c.Read(buf); err == nil && n > 0 {
			return fmt.Errorf("an empty datagram was answered by %q", buf[:n])
		}
	}
	return nil
}

// largest asks in datagrams that come in more than forty pieces.
func (a *asker) largest() error {
	c, err := a.open()
	if err != nil {
		return err
	}
	defer c.Close()
	var asked [][]byte
	for range 1 + a.IntN(3) {
		asked = append(asked, newQuestion(a.Rand, "ask", largest))
		_, _ = c.Write(asked[len(asked)-1])
	}
	return a.answers(c, asked, 200*time.Millisecond)
}

// garbage is nothing that can be answered.
func (a *asker) garbage() error {
	c, err := a.open()
	if err != nil {
		return err
	}
	defer c.Close()
	for range a.IntN(100) {
		noise := make([]byte, 1+a.IntN(100))
		for i := range noise {
			noise[i] = byte(a.Uint32())
		}
		_, _ = c.Write(noise)
	}
	return a.answers(c, nil, 20*time.Millisecond)
}

// goneAtOnce asks and does not wait: the answers come back, as unreachable.
func (a *asker) goneAtOnce() error {
	c, err := a.open()
	if err != nil {
		return err
	}
	defer c.Close()
	for range 1 + a.IntN(50) {
		_, _ = c.Write(newQuestion(a.Rand, []string{"ask", "slow", "later", "large"}[a.IntN(4)], 40))
	}
	return nil
}

// manyPorts are as many senders as ports. As sessions they are never heard of again.
func (a *asker) manyPorts() error {
	for range 1 + a.IntN(30) {
		c, err := a.open()
		if err != nil {
			return err
		}
		defer c.Close()
		_, _ = c.Write(newQuestion(a.Rand, "ask", 40))
	}
	pause(a.ctx, 20*time.Millisecond)
	return nil
}

// oddWishes are fulfilled, and do harm to nobody else.
func (a *asker) oddWishes() error {
	c, err := a.open()
	if err != nil {
		return err
	}
	defer c.Close()
	odd := []string{"panic", "exit", "fail", "stuck", "nobody", "longer", "stale", "self", "valid"}
	var asked [][]byte
	for range 1 + a.IntN(10) {
		asked = append(asked, newQuestion(a.Rand, odd[a.IntN(len(odd))], 40))
		_, _ = c.Write(asked[len(asked)-1])
	}
	return a.answers(c, asked, 100*time.Millisecond)
}

// fromPortZero asks from where no answer can go. Only root can do that, over IPv4,
// whose datagrams need no checksum.
func (a *asker) fromPortZero() error {
	c, err := net.Dial("ip4:udp", a.at.Addr().String())
	if err != nil {
		return nil //nolint:nilerr // neither root nor IPv4
	}
	defer c.Close()
	q := newQuestion(a.Rand, "ask", 40)
	datagram := make([]byte, 8, 8+len(q)) // RFC 768: ports, length, checksum
	binary.BigEndian.PutUint16(datagram[2:], a.at.Port())
	binary.BigEndian.PutUint16(datagram[4:], uint16(8+len(q)))
	_, _ = c.Write(append(datagram, q...))
	return nil
}
