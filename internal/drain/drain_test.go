package drain_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/sockets/internal/drain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// member ends when it is asked to, if it heeds that.
type member struct {
	entry           drain.Entry
	set             *drain.Set
	heedsDrain      bool
	heedsCut        bool
	late            time.Duration // between the asking and the end
	cutTakes        time.Duration
	drained, wasCut atomic.Int64
	leave           sync.Once
}

func (m *member) end() {
	m.leave.Do(func() {
		if m.late == 0 {
			m.set.Remove(&m.entry)
			return
		}
		time.AfterFunc(m.late, func() { m.set.Remove(&m.entry) })
	})
}

func (m *member) Drain() {
	m.drained.Add(1)
	if m.heedsDrain {
		m.end()
	}
}

func (m *member) Cut() {
	m.wasCut.Add(1)
	time.Sleep(m.cutTakes)
	if m.heedsCut {
		m.end()
	}
}

func (m *member) add(s *drain.Set) drain.Phase {
	m.set = s
	return s.Add(&m.entry, m)
}

func TestAddRemove(t *testing.T) {
	var s drain.Set
	if s.Len() != 0 || len(s.Members()) != 0 {
		t.Error("the zero Set is not empty")
	}
	a, b, c := &member{}, &member{}, &member{}
	for _, m := range []*member{a, b, c} {
		if p := m.add(&s); p != drain.Serving {
			t.Errorf("phase %v", p)
		}
	}
	want := func(all ...drain.Member) {
		t.Helper()
		if got := s.Members(); !slices.Equal(got, all) || s.Len() != len(all) {
			t.Errorf("members %v, Len %d, want %v", got, s.Len(), all)
		}
	}
	want(a, b, c)
	s.Remove(&b.entry)
	want(a, c)
	s.Add(&b.entry, b) // again: now it is the newest
	want(a, c, b)
	s.Remove(&a.entry)
	s.Remove(&b.entry)
	want(c)
	s.Remove(&c.entry)
	want()
}

func TestStop(t *testing.T) {
	const grace = 5 * time.Second
	tests := []struct {
		name           string
		members        []*member
		grace          time.Duration
		took           time.Duration
		cut, abandoned []int // by their place
	}{
		{"nobody", nil, grace, 0, nil, nil},
		{"nobody, no grace", nil, 0, 0, nil, nil},
		{"all end at once", []*member{{heedsDrain: true}, {heedsDrain: true}}, grace, 0, nil, nil},
		{"one takes its time", []*member{{heedsDrain: true, late: 3 * time.Second}, {heedsDrain: true}}, grace, 3 * time.Second, nil, nil},
		{"one is cut off", []*member{{heedsCut: true}, {heedsDrain: true}}, grace, grace, []int{0}, nil},
		{"it takes its time", []*member{{heedsCut: true, late: 900 * time.Millisecond}}, grace, grace + 900*time.Millisecond, []int{0}, nil},
		{"one never ends", []*member{{}, {heedsCut: true}, {heedsDrain: true}}, grace, grace + time.Second, []int{0, 1}, []int{0}},
		{"no grace", []*member{{heedsDrain: true, late: time.Second / 2}}, 0, time.Second / 2, []int{0}, nil},
		{"negative grace", []*member{{heedsCut: true}, {}}, -1, time.Second, []int{0, 1}, []int{1}},
		{"a Cut that blocks shields nobody", []*member{{cutTakes: time.Hour}, {heedsCut: true}, {heedsCut: true}}, grace, grace + time.Second, []int{0, 1, 2}, []int{0}},
		{"a Cut that takes its time", []*member{{heedsCut: true, cutTakes: time.Second / 2}}, grace, grace + time.Second/2, []int{0}, nil},
		{"the member ends, its Cut goes on", []*member{{heedsDrain: true, late: grace + time.Millisecond, cutTakes: time.Second / 2}}, grace, grace + time.Second/2, []int{0}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s drain.Set
				for _, m := range tt.members {
					m.add(&s)
				}
				start := time.Now()
				cut, abandoned := s.Stop(tt.grace)
				if d := time.Since(start); d != tt.took {
					t.Errorf("it took %v, want %v", d, tt.took)
				}
				same(t, "cut off", cut, tt.members, tt.cut)
				same(t, "abandoned", abandoned, tt.members, tt.abandoned)
				for i, m := range tt.members {
					if m.drained.Load() != 1 || m.wasCut.Load() > 1 || (m.wasCut.Load() == 1) != slices.Contains(tt.cut, i) {
						t.Errorf("member %d: drained %d times, cut %d times", i, m.drained.Load(), m.wasCut.Load())
					}
				}
				if s.Len() != len(tt.abandoned) {
					t.Errorf("%d are left, %d were abandoned", s.Len(), len(tt.abandoned))
				}
				if p := new(member).add(&s); tt.cut != nil && p != drain.Closed {
					t.Errorf("a newcomer is let in: %v", p)
				}
				time.Sleep(2 * time.Hour)
				for _, m := range s.Members() { // one that was abandoned may still end
					m.(*member).set.Remove(&m.(*member).entry)
				}
			})
		})
	}
}

func same(t *testing.T, what string, got []drain.Member, all []*member, want []int) {
	t.Helper()
	var places []int
	for _, m := range got {
		places = append(places, slices.Index(all, m.(*member)))
	}
	if !slices.Equal(places, want) {
		t.Errorf("%s: %v, want %v", what, places, want)
	}
}

func TestStopManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s drain.Set
		for range 2000 {
			(&member{heedsDrain: true, late: time.Millisecond}).add(&s)
		}
		start := time.Now()
		if cut, abandoned := s.Stop(time.Minute); cut != nil || abandoned != nil {
			t.Errorf("%d cut, %d abandoned", len(cut), len(abandoned))
		}
		if d := time.Since(start); d != time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}

// A member that is asked may bring in another, and the stop waits for that.
func TestAddWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s drain.Set
		late := &member{}
		var phase drain.Phase
		first := &member{heedsDrain: true, late: time.Second}
		first.add(&s)
		time.AfterFunc(time.Second/2, func() {
			phase = late.add(&s)
			time.AfterFunc(2*time.Second, late.end)
		})
		start := time.Now()
		cut, _ := s.Stop(time.Minute)
		if d := time.Since(start); d != 2500*time.Millisecond || cut != nil {
			t.Errorf("it took %v, cut %v", d, cut)
		}
		if phase != drain.Draining || late.drained.Load() != 0 {
			t.Errorf("phase %v; it was asked %d times, which is for the adder to do", phase, late.drained.Load())
		}
	})
}

func TestAddWhenClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s drain.Set
		(&member{heedsCut: true, late: time.Second / 2}).add(&s)
		late := &member{}
		time.AfterFunc(1100*time.Millisecond, func() {
			if p := late.add(&s); p != drain.Closed {
				t.Errorf("phase %v", p)
			}
		})
		if _, abandoned := s.Stop(time.Second); abandoned != nil {
			t.Errorf("abandoned %v", abandoned)
		}
		if s.Len() != 0 || late.wasCut.Load() != 0 {
			t.Error("it was let in")
		}
	})
}

// The end of the last member at the very end of the grace period is in time or
// not, but never both.
func TestEndAtGrace(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			var s drain.Set
			m := &member{heedsDrain: true, late: time.Second}
			m.add(&s)
			start := time.Now()
			cut, abandoned := s.Stop(time.Second)
			if d := time.Since(start); d != time.Second || len(cut) > 1 || len(abandoned) > 0 || s.Len() != 0 {
				t.Errorf("%v, cut %d, abandoned %d", d, len(cut), len(abandoned))
			}
		})
	}
}

// Members that come and go while the stop begins, under the race detector: none
// is lost, and none is left.
func TestHammer(t *testing.T) {
	for range 50 {
		var s drain.Set
		var running atomic.Int64
		var loop drain.Entry
		s.Add(&loop, nobody{}) // a loop that adds: it is a member itself
		stop := make(chan struct{})
		var adders sync.WaitGroup
		for range 4 {
			adders.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					m := &member{heedsDrain: true, heedsCut: true}
					running.Add(1)
					phase := m.add(&s)
					if phase == drain.Closed {
						running.Add(-1)
						return
					}
					go func() {
						defer running.Add(-1)
						if phase == drain.Draining {
							m.Drain()
						}
						m.end()
					}()
					_, _ = s.Members(), s.Len()
				}
			})
		}
		go func() {
			time.Sleep(time.Millisecond)
			close(stop)
			adders.Wait()
			s.Remove(&loop)
		}()
		if cut, abandoned := s.Stop(10 * time.Second); len(cut)+len(abandoned) > 0 {
			t.Fatalf("%d cut, %d abandoned", len(cut), len(abandoned))
		}
		if n := s.Len(); n != 0 {
			t.Fatalf("%d are left", n)
		}
		for running.Load() != 0 {
			time.Sleep(time.Millisecond) // they have left the Set, not yet their goroutines
		}
	}
}

type nobody struct{}

func (nobody) Drain() {}
func (nobody) Cut()   {}

func TestAddAllocatesNothing(t *testing.T) {
	var s drain.Set
	m := &member{}
	if n := testing.AllocsPerRun(100, func() {
		m.add(&s)
		s.Remove(&m.entry)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
