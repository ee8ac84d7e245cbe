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
	"sync"
	"time"
)

// client is one connection of one behaviour.
type client struct {
	*rand.Rand
	net.Conn
	server int // its number
	tally  *tally
}

// behaviour is what a client does with its connection, which is then closed. An error
// is one that no server may cause.
type behaviour struct {
	name string
	do   func(*client) error
}

var behaviours = []behaviour{
	{"good", (*client).dialogue},
	{"good", (*client).dialogue},
	{"good", (*client).dialogue},
	{"probe", func(*client) error { return nil }},
	{"stall", (*client).stall},
	{"reset", (*client).reset},
	{"half-close", (*client).halfClose},
	{"flood", (*client).flood},
	{"no reader", (*client).noReader},
	{"drip", (*client).drip},
	{"garbage", (*client).garbage},
	{"silent TLS", (*client).halfHello},
	{"panic", func(c *client) error { return c.say("panic\n") }},
	{"vanish", (*client).vanish},
}

// staged is the number of the server that wants a header and TLS.
const staged = 1

const header = "PROXY\r\n"

func (c *client) run(ctx context.Context, b behaviour, address string) {
	d := net.Dialer{Timeout: 2 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return // it is just starting again, or too busy
	}
	defer conn.Close()
	if conn.LocalAddr().String() == address {
		return // TCP can connect a socket to itself
	}
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return
	}
	c.Conn = conn
	c.tally.note(c.server, b.name, b.do(c))
}

// say sends text and does not care whether anybody takes it.
func (c *client) say(text string) error {
	_, _ = io.WriteString(c, text)
	return nil
}

func (c *client) wait(most time.Duration) {
	time.Sleep(time.Duration(c.Int64N(int64(most))))
}

// dialogue asks a few times, and checks that what is answered is right.
func (c *client) dialogue() error {
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
		c.tally.answered(c.server)
		c.wait(20 * time.Millisecond)
	}
	return nil
}

// stall says a part, or nothing, and waits for the end.
func (c *client) stall() error {
	_ = c.say("question"[:c.IntN(8)])
	_, _ = io.Copy(io.Discard, c)
	return nil
}

func (c *client) reset() error {
	_ = c.say("question\n")
	c.wait(5 * time.Millisecond)
	return c.Conn.(*net.TCPConn).SetLinger(0)
}

func (c *client) halfClose() error {
	_ = c.say("question\nhalf of one")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, c)
	return nil
}

func (c *client) flood() error {
	line := strings.Repeat("x", 1000) + "\n"
	for range c.IntN(2000) {
		if _, err := io.WriteString(c, line); err != nil {
			break
		}
	}
	return nil
}

// noReader asks for more than the buffers hold.
func (c *client) noReader() error {
	_ = c.say("big\n")
	c.wait(3 * time.Second)
	return nil
}

func (c *client) drip() error {
	for range 200 {
		if _, err := c.Write([]byte{'x'}); err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func (c *client) garbage() error {
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
func (c *client) halfHello() error {
	_ = c.say(header + "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	c.wait(time.Second)
	return nil
}

// vanish closes without a word to the peer, as a host does that loses its power.
func (c *client) vanish() error {
	_ = c.say("question\n")
	c.wait(20 * time.Millisecond)
	mute(c.Conn.(*net.TCPConn))
	return nil
}

// tally is what came of all clients.
type tally struct {
	mu      sync.Mutex
	done    map[string]int
	answers map[int]int
	wrong   []error
}

func (t *tally) note(server int, name string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done == nil {
		t.done = map[string]int{}
	}
	t.done[name]++
	if err != nil {
		t.wrong = append(t.wrong, fmt.Errorf("server %d, %s client: %w", server, name, err))
	}
}

func (t *tally) answered(server int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.answers == nil {
		t.answers = map[int]int{}
	}
	t.answers[server]++
}

// report prints the tally. Servers that answered nobody would pass any test.
func (t *tally) report(servers int) error {
	fmt.Printf("clients: %v\nanswers by server: %v\n", t.done, t.answers)
	for i := range servers {
		if t.answers[i] == 0 {
			t.wrong = append(t.wrong, fmt.Errorf("server %d answered nobody", i))
		}
	}
	if n := len(t.wrong); n > 10 {
		t.wrong = append(t.wrong[:10], fmt.Errorf("and %d more", n-10))
	}
	return errors.Join(t.wrong...)
}
