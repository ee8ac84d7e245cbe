package udpserver_test

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/udpserver"
)

// scriptedSessions runs f in virtual time with sessions of a scripted socket.
func scriptedSessions(t *testing.T, local string, c udpserver.SessionConfig, f func(t *testing.T, pc *script, ln *udpserver.SessionListener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		pc := newScript(local)
		f(t, pc, sessions(t, pc, c))
	})
}

// A flood of senders, each with an address of its own, takes no more memory than the
// limits say, and does not touch a session that is in use.
func TestSessionFlood(t *testing.T) {
	const senders, limit = 100_000, 1000
	scriptedSessions(t, "10.0.0.1:1", udpserver.SessionConfig{Sessions: limit}, func(t *testing.T, pc *script, ln *udpserver.SessionListener) {
		pc.arrives("192.0.2.1:1", "good")
		good := accept(t, ln)
		want(t, good, "good")
		var before, after runtime.MemStats
		for i := range senders {
			if i == limit {
				runtime.GC()
				runtime.ReadMemStats(&before)
			}
			pc.arrives(fmt.Sprintf("127.%d.%d.%d:9", i>>16, i>>8&255, i&255), "flood")
			if i%500 == 0 { // it is in use
				pc.arrives("192.0.2.1:1", "good")
				want(t, good, "good")
			}
			if c, err := ln.Accept(); err != nil {
				t.Fatal(err)
			} else if i%1000 == 0 {
				c.Close()
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
			t.Errorf("the heap grew by %d bytes", grown)
		}
		st := sessionLedger(t, ln)
		if st.Sessions > limit || st.Evicted < senders-limit-senders/1000-1 || st.Queued > 16<<20 {
			t.Errorf("%+v", st)
		}
		pc.arrives("192.0.2.1:1", "still")
		want(t, good, "still")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if st := sessionLedger(t, ln); st.Sessions != 0 {
			t.Errorf("%d sessions are left", st.Sessions)
		}
	})
}

// At the limit the longest idle goes, whatever kept the others from being idle.
func TestSessionEviction(t *testing.T) {
	scriptedSessions(t, "10.0.0.1:1", udpserver.SessionConfig{Sessions: 3}, func(t *testing.T, pc *script, ln *udpserver.SessionListener) {
		var all []net.Conn
		for i := range 3 {
			pc.arrives(fmt.Sprintf("10.0.0.2:%d", i+1), "x")
			all = append(all, accept(t, ln))
			time.Sleep(time.Second)
		}
		all[0].Write([]byte("busy"))
		pc.arrives("10.0.0.2:2", "busy")
		pc.arrives("10.0.0.2:4", "x")
		want(t, accept(t, ln), "x")
		for i, evicted := range []bool{false, false, true} {
			if _, err := all[i].Read(make([]byte, 9)); errors.Is(err, sockets.ErrEvicted) != evicted || errors.Is(err, net.ErrClosed) {
				t.Errorf("session %d: %v", i, err)
			}
		}
		if st := sessionLedger(t, ln); st.Evicted != 1 || st.Dropped.Unread != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// What is dropped, and as what it counts.
func TestSessionDrops(t *testing.T) {
	big := strings.Repeat("x", 3000)
	tests := []struct {
		name   string
		local  string
		config udpserver.SessionConfig
		from   []string
		data   string
		want   udpserver.SessionDrops
	}{
		{"port 0", "10.0.0.1:1", udpserver.SessionConfig{}, []string{"10.0.0.2:0"}, "", udpserver.SessionDrops{PortZero: 1}},
		{"no address", "10.0.0.1:1", udpserver.SessionConfig{}, []string{"none"}, "", udpserver.SessionDrops{NoAddress: 1}},
		{"itself", "10.0.0.1:1", udpserver.SessionConfig{}, []string{"10.0.0.1:1", "10.0.0.2:1"}, "", udpserver.SessionDrops{Self: 1}},
		{"itself, wildcard", "0.0.0.0:1", udpserver.SessionConfig{}, []string{"127.0.0.1:1", "10.0.0.2:1"}, "", udpserver.SessionDrops{Self: 1}},
		{"too long", "10.0.0.1:1", udpserver.SessionConfig{MaxSize: 2999}, []string{"10.0.0.2:1"}, big, udpserver.SessionDrops{Truncated: 1}},
		{"not too long", "10.0.0.1:1", udpserver.SessionConfig{MaxSize: 3000}, []string{"10.0.0.2:1"}, big, udpserver.SessionDrops{}},
		{"per source", "10.0.0.1:1", udpserver.SessionConfig{PerSource: 2},
			[]string{"10.0.0.2:1", "10.0.0.2:2", "10.0.0.2:3", "10.0.0.3:1", "10.0.0.2:1"}, "", udpserver.SessionDrops{PerSource: 1}},
		{"per network", "[fd00::1]:1", udpserver.SessionConfig{PerSource: 2},
			[]string{"[fd00::2]:1", "[fd00::3]:1", "[fd00::4:5:6:7]:1", "[fd00:0:0:1::2]:1"}, "", udpserver.SessionDrops{PerSource: 1}},
		{"queue", "10.0.0.1:1", udpserver.SessionConfig{QueueBytes: 8192},
			[]string{"10.0.0.2:1", "10.0.0.2:1", "10.0.0.2:1", "10.0.0.3:1"}, big, udpserver.SessionDrops{Queue: 1}},
		{"queues", "10.0.0.1:1", udpserver.SessionConfig{TotalBytes: 8192},
			[]string{"10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1", "10.0.0.3:1"}, big, udpserver.SessionDrops{Queue: 2}},
		{"no limit", "10.0.0.1:1", udpserver.SessionConfig{Sessions: -1, PerSource: -1, Backlog: -1, QueueBytes: -1, TotalBytes: -1},
			[]string{"10.0.0.2:1", "10.0.0.2:2", "10.0.0.2:2"}, big, udpserver.SessionDrops{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scriptedSessions(t, tt.local, tt.config, func(t *testing.T, pc *script, ln *udpserver.SessionListener) {
				for _, from := range tt.from {
					if from == "none" {
						pc.in <- scripted{data: tt.data}
						continue
					}
					pc.arrives(from, tt.data)
				}
				synctest.Wait()
				st := sessionLedger(t, ln)
				if st.Dropped != tt.want || st.Received != uint64(len(tt.from)) || st.BytesIn > uint64(len(tt.from)*len(tt.data)) {
					t.Errorf("%+v, want dropped %+v", st, tt.want)
				}
			})
		})
	}
}

// A source that has ended sessions may begin others.
func TestSessionPerSourceIsGivenBack(t *testing.T) {
	scriptedSessions(t, "10.0.0.1:1", udpserver.SessionConfig{PerSource: 1}, func(t *testing.T, pc *script, ln *udpserver.SessionListener) {
		for i := range 3 {
			pc.arrives(fmt.Sprintf("10.0.0.2:%d", i+1), "x")
			s := accept(t, ln)
			want(t, s, "x")
			s.Close()
		}
	})
}

// The reader survives what passes, without spinning, and what ends it is told to
// Accept and to every session, behind what is there.
func TestSessionReadErrors(t *testing.T) {
	unknown := errors.New("something foreign")
	read := func(errno syscall.Errno) error { return &net.OpError{Op: "read", Net: "udp", Err: errno} }
	tests := []struct {
		name  string
		err   error
		times int
		ends  bool
		least time.Duration // that it takes
	}{
		{"ICMP", read(syscall.ECONNREFUSED), 10, false, 0},
		{"ICMP for ever", read(syscall.ECONNREFUSED), 1000, false, 15 * time.Minute},
		{"no memory", read(syscall.ENOMEM), 5, false, 31 * time.Millisecond},
		{"unknown", unknown, 5, false, 31 * time.Millisecond},
		{"no socket, passing", read(syscall.EBADF), 2, false, 0},
		{"no socket", read(syscall.EBADF), 3, true, 0},
		{"closed", net.ErrClosed, 1, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scriptedSessions(t, "10.0.0.1:1", udpserver.SessionConfig{Idle: -1}, func(t *testing.T, pc *script, ln *udpserver.SessionListener) {
				pc.arrives("10.0.0.2:1", "before")
				pc.arrives("10.0.0.3:1", "not accepted yet")
				s := accept(t, ln)
				begin := time.Now()
				for range tt.times {
					pc.in <- scripted{err: tt.err}
				}
				if !tt.ends {
					pc.arrives("10.0.0.2:1", "after")
				}
				if d := time.Since(begin); d < tt.least {
					t.Errorf("%d errors in %v", tt.times, d)
				}
				want(t, s, "before")
				want(t, accept(t, ln), "not accepted yet")
				if !tt.ends {
					want(t, s, "after")
					if st := ln.Stats(); st.ReadErrors != uint64(tt.times) {
						t.Errorf("%d read errors", st.ReadErrors)
					}
					return
				}
				if _, err := s.Read(make([]byte, 9)); !errors.Is(err, tt.err) {
					t.Errorf("Read: %v", err)
				}
				if _, err := ln.Accept(); !errors.Is(err, tt.err) || !strings.Contains(err.Error(), "accept 10.0.0.1:1/udp") {
					t.Errorf("Accept: %v", err)
				}
			})
		})
	}
}

// Close interrupts the pause behind an error.
func TestSessionsCloseInterruptsPause(t *testing.T) {
	scriptedSessions(t, "10.0.0.1:1", udpserver.SessionConfig{}, func(t *testing.T, pc *script, ln *udpserver.SessionListener) {
		for range 20 {
			pc.in <- scripted{err: syscall.ENOMEM}
		}
		begin := time.Now()
		if err := ln.Close(); err != nil || time.Since(begin) != 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}
