package udpserver_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/udpserver"
)

// A session lives for Idle after its last datagram in either direction, whether or
// not anybody reads.
func TestSessionIdle(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name     string
		idle     time.Duration
		arrivals []time.Duration // beside the first, at 0
		writes   []time.Duration
		ends     time.Duration // 0: never
	}{
		{"never read", 200 * ms, nil, nil, 200 * ms},
		{"arrivals", 200 * ms, []time.Duration{150 * ms, 300 * ms}, nil, 500 * ms},
		{"writes", 200 * ms, nil, []time.Duration{199 * ms, 398 * ms}, 598 * ms},
		{"both", 200 * ms, []time.Duration{150 * ms}, []time.Duration{100 * ms}, 350 * ms},
		{"default", 0, nil, nil, 2 * time.Minute},
		{"none", -1, nil, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inVirtualTime(t, udpserver.SessionConfig{Idle: tt.idle}, func(t *testing.T, ln *udpserver.SessionListener, peer func() net.Conn) {
				client := peer()
				send(t, client, "x")
				s := accept(t, ln)
				for _, at := range tt.arrivals {
					time.AfterFunc(at, func() { client.Write([]byte("y")) })
				}
				for _, at := range tt.writes {
					time.AfterFunc(at, func() { s.Write([]byte("z")) })
				}
				if tt.ends == 0 {
					time.Sleep(1000 * time.Hour)
					want(t, s, "x")
					return
				}
				time.Sleep(tt.ends - 1)
				synctest.Wait()
				if st := ln.Stats(); st.Sessions != 1 {
					t.Fatalf("it ended too early: %+v", st)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if st := sessionLedger(t, ln); st.Sessions != 0 || st.Idle != 1 || st.Dropped.Unread != uint64(1+len(tt.arrivals)) {
					t.Errorf("%+v", st)
				}
				for _, f := range []func([]byte) (int, error){s.Read, s.Write} {
					if _, err := f(make([]byte, 9)); !errors.Is(err, sockets.ErrIdle) || sockets.IsTimeout(err) {
						t.Errorf("after the end: %v", err)
					}
				}
				s.Close()
				if _, err := s.Write(nil); !errors.Is(err, net.ErrClosed) {
					t.Errorf("after Close: %v", err)
				}
			})
		})
	}
}

// Each session has its own end, and one timer measures all.
func TestSessionIdleOfMany(t *testing.T) {
	inVirtualTime(t, udpserver.SessionConfig{Idle: time.Second}, func(t *testing.T, ln *udpserver.SessionListener, peer func() net.Conn) {
		for range 10 {
			send(t, peer(), "x")
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(499 * time.Millisecond)
		for left := 10; left >= 0; left-- {
			synctest.Wait()
			if st := ln.Stats(); st.Sessions != uint64(left) || st.Pending != st.Sessions {
				t.Errorf("%d sessions, %d pending, want %d", st.Sessions, st.Pending, left)
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}

// A deadline ends a Read that waits, also one that is set meanwhile. It takes
// nothing, and hides what is there until it is taken back.
func TestSessionReadDeadline(t *testing.T) {
	inVirtualTime(t, udpserver.SessionConfig{}, func(t *testing.T, ln *udpserver.SessionListener, peer func() net.Conn) {
		client := peer()
		send(t, client, "x")
		s := accept(t, ln)
		want(t, s, "x")
		tests := []struct{ set, move, ends time.Duration }{
			{time.Second, 0, time.Second},
			{time.Hour, time.Minute, time.Minute},
			{-time.Hour, 0, 0},
			{time.Second, time.Minute, time.Minute},
		}
		for _, tt := range tests {
			begin := time.Now()
			s.SetDeadline(begin.Add(tt.set))
			if tt.move > 0 {
				time.AfterFunc(time.Millisecond, func() { s.SetReadDeadline(begin.Add(tt.move)) })
			}
			_, err := s.Read(make([]byte, 9))
			if d := time.Since(begin); d != tt.ends || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v: %v after %v", tt, err, d)
			}
			if _, err := s.Write(nil); errors.Is(err, os.ErrDeadlineExceeded) != (tt.set <= tt.ends) {
				t.Errorf("%v: Write: %v", tt, err)
			}
		}
		send(t, client, "y")
		synctest.Wait()
		if _, err := s.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("behind a deadline: %v", err)
		}
		s.SetDeadline(time.Time{})
		want(t, s, "y")
	})
}

// Close, and the end of the socket, wake a Read that waits.
func TestSessionCloseWakesRead(t *testing.T) {
	inVirtualTime(t, udpserver.SessionConfig{}, func(t *testing.T, ln *udpserver.SessionListener, peer func() net.Conn) {
		send(t, peer(), "x")
		s := accept(t, ln)
		want(t, s, "x")
		time.AfterFunc(time.Minute, func() { s.Close() })
		begin := time.Now()
		if _, err := s.Read(make([]byte, 9)); !errors.Is(err, net.ErrClosed) || time.Since(begin) != time.Minute {
			t.Errorf("Read: %v after %v", err, time.Since(begin))
		}
	})
}

func TestSessionsAcceptDeadline(t *testing.T) {
	inVirtualTime(t, udpserver.SessionConfig{}, func(t *testing.T, ln *udpserver.SessionListener, peer func() net.Conn) {
		begin := time.Now()
		ln.SetDeadline(begin.Add(time.Second))
		if _, err := ln.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("Accept: %v after %v", err, time.Since(begin))
		}
		send(t, peer(), "x")
		ln.SetDeadline(time.Time{})
		want(t, accept(t, ln), "x")
		time.AfterFunc(time.Second, func() { ln.Close() })
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		if err := ln.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetDeadline: %v", err)
		}
	})
}

// Nobody accepts: what waits is bounded, counted, and ends with the listener or when
// it is idle.
func TestSessionsNobodyAccepts(t *testing.T) {
	inVirtualTime(t, udpserver.SessionConfig{Backlog: 3, Idle: time.Minute}, func(t *testing.T, ln *udpserver.SessionListener, peer func() net.Conn) {
		for range 5 {
			send(t, peer(), "x")
		}
		synctest.Wait()
		if st := sessionLedger(t, ln); st.Pending != 3 || st.Dropped.Backlog != 2 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := ln.Stats(); st.Pending != 0 || st.Idle != 3 {
			t.Errorf("%+v", st)
		}
		send(t, peer(), "x")
		synctest.Wait()
		begin := time.Now()
		ln.Close()
		if st := sessionLedger(t, ln); time.Since(begin) != 0 || st.Sessions != 0 || st.Dropped.Unread != 4 {
			t.Errorf("after %v: %+v", time.Since(begin), st)
		}
	})
}
