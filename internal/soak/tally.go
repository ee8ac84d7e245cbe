package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// tally is what came of all clients.
type tally struct {
	began   time.Time
	mu      sync.Mutex
	done    map[string]int
	answers map[target]int
	wrong   []error
}

func newTally() *tally {
	return &tally{began: time.Now(), done: map[string]int{}, answers: map[target]int{}}
}

func (t *tally) note(to target, name string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done[name]++
	if err != nil {
		t.wrong = append(t.wrong, fmt.Errorf("server %v, %s client, after %v: %w", to, name, time.Since(t.began), err))
	}
}

func (t *tally) answered(by target) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers[by]++
}

// report prints the tally. Servers that answered nobody would pass any test.
func (t *tally) report(targets []target) error {
	fmt.Print("clients:")
	for _, name := range slices.Sorted(maps.Keys(t.done)) {
		fmt.Printf(" %s %d", name, t.done[name])
	}
	fmt.Println()
	for _, to := range targets {
		fmt.Printf("server %v: %d answers\n", to, t.answers[to])
		if t.answers[to] == 0 {
			t.wrong = append(t.wrong, fmt.Errorf("server %v answered nobody", to))
		}
	}
	if n := len(t.wrong); n > 10 {
		t.wrong = append(t.wrong[:10], fmt.Errorf("and %d more", n-10))
	}
	return errors.Join(t.wrong...)
}
