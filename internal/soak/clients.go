package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// caller is one connection of one behaviour.
type caller struct {
	*rand.Rand
	net.Conn
	target
	tally *tally
}

// behaviour is what a client does with its connection, which is then closed. An error
// is one that no server may cause.
type behaviour struct {
	name string
	do   func(*caller) error
}

var behaviours = []behaviour{
	{"good", (*caller).dialogue},
	{"good", (*caller).dialogue},
	{"good", (*caller).dialogue},
	{"probe", func(*caller) error { return nil }},
	{"stall", (*caller).stall},
	{"reset", (*caller).reset},
	{"half-close", (*caller).halfClose},
	{"flood", (*caller).flood},
	{"no reader", (*caller).noReader},
	{"drip", (*caller).drip},
	{"garbage", (*caller).garbage},
	{"silent TLS", (*caller).halfHello},
	{"panic", func(c *caller) error { return c.say("panic\n") }},
	{"vanish", (*caller).vanish},
}

// staged is the number of the server that wants a header and TLS.
const staged = 1

const header = "PROXY\r\n"

// tcpAgent is one client of some behaviour.
func tcpAgent(ctx context.Context, r *rand.Rand, to target, t *tally) {
	b := behaviours[r.IntN(len(behaviours))]
	c := &caller{Rand: r, target: to, tally: t}
	c.run(ctx, b)
}

func (c *caller) run(ctx context.Context, b behaviour) {
	d := net.Dialer{Timeout: 2 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return // it is just starting again, or too busy
	}
	defer conn.Close()
	if conn.LocalAddr().String() == c.address {
		return // TCP can connect a socket to itself
	}
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return
	}
	c.Conn = conn
	c.tally.note(c.target, b.name, b.do(c))
}

// say sends text and does not care whether anybody takes it.
func (c *caller) say(text string) error {
	_, _ = io.WriteString(c, text)
	return nil
}

func (c *caller) wait(most time.Duration) {
	time.Sleep(time.Duration(c.Int64N(int64(most))))
}

// dialogue asks a few times, and checks that what is answered is right.
func (c *caller) dialogue() error {
	if c.server == staged {
		_ = c.say(header)
		c.Conn = tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
		defer c.Close()
	}
	in := bufio.NewReader(c)
	for i := range 1 + c.IntN(5) {
		question := fmt.Sprintf("question %d of %d\n", i, c.IntN(1000))
		if _, err := io.WriteString(c, question); err != nil {
			return nil // evicted, stopped
		}
		answer, err := in.ReadString('\n')
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			return errors.New("neither an answer nor an end")
		case err != nil || answer == refusal:
			return nil
		case answer != strings.ToUpper(question):
			return fmt.Errorf("asked %q, got %q", question, answer)
		}
		c.tally.answered(c.target)
		c.wait(20 * time.Millisecond)
	}
	return nil
}

// stall says a part, or nothing, and waits for the end.
func (c *caller) stall() error {
	_ = c.say("question"[:c.IntN(8)])
	_, _ = io.Copy(io.Discard, c)
	return nil
}

func (c *caller) reset() error {
	_ = c.say("question\n")
	c.wait(5 * time.Millisecond)
	return c.Conn.(*net.TCPConn).SetLinger(0)
}

func (c *caller) halfClose() error {
	_ = c.say("question\nhalf of one")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, c)
	return nil
}

func (c *caller) flood() error {
	line := strings.Repeat("x", 1000) + "\n"
	for range c.IntN(2000) {
		if _, err := io.WriteString(c, line); err != nil {
			break
		}
	}
	return nil
}

// noReader asks for more than the buffers hold.
func (c *caller) noReader() error {
	_ = c.say("big\n")
	c.wait(3 * time.Second)
	return nil
}

func (c *caller) drip() error {
	for range 200 {
		if _, err := c.Write([]byte{'x'}); err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func (c *caller) garbage() error {
	if c.server == staged && c.IntN(2) == 0 {
		_ = c.say(header)
	}
	noise := make([]byte, c.IntN(5000))
	for i := range noise {
		noise[i] = byte(c.Uint32())
	}
	_ = c.say(string(noise))
	c.wait(100 * time.Millisecond)
	return nil
}

// halfHello is a TLS client that loses interest.
func (c *caller) halfHello() error {
	_ = c.say(header + "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	c.wait(time.Second)
	return nil
}

// vanish closes without a word to the peer, as a host does that loses its power.
func (c *caller) vanish() error {
	_ = c.say("question\n")
	c.wait(20 * time.Millisecond)
	mute(c.Conn.(*net.TCPConn))
	return nil
}
