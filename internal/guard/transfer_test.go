package guard_test

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/internal/guard"
	"example.com/sockets/simnet"
)

// writes are the ways to write a piece.
var writes = map[string]func(*guard.Guard, []byte) error{
	"Write": func(g *guard.Guard, p []byte) error { _, _, err := g.Write(p); return err },
	"Pass":  func(g *guard.Guard, p []byte) error { _, err := g.Pass(p); return err },
	"Transfer": func(g *guard.Guard, p []byte) error {
		_, err := g.Transfer(func(c net.Conn) (int64, error) {
			n, err := c.Write(p)
			p = p[n:]
			return int64(n), err
		})
		return err
	},
}

// A peer that is too slow is found out also if each piece that is written takes it
// less than what it has for free; one that is fast enough is not, whatever pauses
// there are between the pieces.
func TestRateGoesOnFromPieceToPiece(t *testing.T) {
	const minimum = 1000
	for name, write := range writes {
		for rate, want := range map[int]error{minimum / 2: guard.ErrMinRate, 2 * minimum: nil} {
			for _, pause := range []time.Duration{0, time.Second, time.Minute} {
				if pause > 0 && want != nil {
					continue // it catches up in the pauses
				}
				synctest.Test(t, func(t *testing.T) {
					g, there := watch(t, simnet.Options{ReadBuffer: 1000, WriteBuffer: 1000}, guard.Limits{MinRate: minimum})
					go func() {
						for p := make([]byte, rate/10); ; time.Sleep(100 * time.Millisecond) {
							if _, err := there.Read(p); err != nil {
								return
							}
						}
					}()
					start := time.Now()
					var err error
					for range 100 {
						if err = write(g, make([]byte, 1000)); err != nil {
							break
						}
						time.Sleep(pause)
					}
					if d := time.Since(start); err != want || want != nil && (d < 5*time.Second || d > 20*time.Second) {
						t.Errorf("%s to one that takes %d a second, pausing %v: %v after %v", name, rate, pause, err, d)
					}
					g.End(io.EOF)
					time.Sleep(time.Minute) // the peer reads to the end
				})
			}
		}
	}
}

// A side that has ended its sending can still be found idle, be drained and evicted.
func TestWatch(t *testing.T) {
	tests := []struct {
		name string
		do   func(g *guard.Guard, done chan struct{})
		took time.Duration
		want error
	}{
		{"idle", func(*guard.Guard, chan struct{}) {}, time.Hour, guard.ErrIdle},
		{"done", func(_ *guard.Guard, done chan struct{}) { close(done) }, time.Minute, nil},
		{"a stop", func(g *guard.Guard, _ chan struct{}) { g.Drain(0) }, time.Minute, guard.ErrDraining},
		{"a stop, and a byte moves", func(g *guard.Guard, _ chan struct{}) {
			_, _ = g.Pass([]byte("x"))
			g.Drain(0)
		}, time.Minute + 100*time.Millisecond, guard.ErrDraining},
		{"the end of its lifetime", func(g *guard.Guard, _ chan struct{}) { g.Retire(guard.ErrLifetime) }, time.Minute, guard.ErrLifetime},
		{"cut off", func(g *guard.Guard, _ chan struct{}) { g.End(guard.ErrCutOff) }, time.Minute, guard.ErrCutOff},
		{"evicted", func(g *guard.Guard, _ chan struct{}) {
			since, ok := g.IdleSince()
			if !ok || !g.Evict(since) {
				panic("it is not idle")
			}
		}, time.Minute, guard.ErrEvicted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, there := watch(t, simnet.Options{}, guard.Limits{Idle: time.Hour})
				g.BeginRelay()
				there.Close()
				if _, err := g.Read(make([]byte, 1), guard.Own); err != io.EOF {
					t.Fatal(err)
				}
				done, start := make(chan struct{}), time.Now()
				time.AfterFunc(time.Minute, func() { tt.do(g, done) })
				if err := g.Watch(done); err != tt.want || time.Since(start) != tt.took {
					t.Errorf("%v after %v, want %v after %v", err, time.Since(start), tt.want, tt.took)
				}
				if _, ok := g.IdleSince(); ok {
					t.Error("it is still watched")
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

// While something is being written a relay is not idle, however long that takes.
func TestPassingIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, there := watch(t, simnet.Options{ReadBuffer: 1000, WriteBuffer: 1000}, guard.Limits{Idle: time.Minute})
		start := time.Now()
		go func() {
			if _, err := g.Pass(make([]byte, 3000)); err != nil {
				t.Error(err)
			}
		}()
		go func() {
			time.Sleep(time.Hour)
			if _, ok := g.IdleSince(); ok {
				t.Error("idle while it writes")
			}
			_, _ = io.ReadFull(there, make([]byte, 3000))
		}()
		synctest.Wait()
		if _, err := g.Read(make([]byte, 1), guard.Own); err != guard.ErrIdle || time.Since(start) != time.Hour+time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// What a peer has yet to acknowledge is waited for, but not for ever.
func TestSettle(t *testing.T) {
	for read, want := range map[bool]time.Duration{true: 10 * time.Millisecond, false: 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			g, there := watch(t, simnet.Options{ReadBuffer: 1000}, guard.Limits{})
			_, _, _ = g.Write(make([]byte, 3000))
			if read {
				time.AfterFunc(10*time.Millisecond, func() { _, _ = io.ReadFull(there, make([]byte, 3000)) })
			}
			start := time.Now()
			g.Settle(2 * time.Second)
			if d := time.Since(start); d < want || d > want+10*time.Millisecond {
				t.Errorf("it took %v, want %v", d, want)
			}
		})
	}
}
