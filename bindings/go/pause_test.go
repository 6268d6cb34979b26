package seed_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	seed "libseed/bindings/go"
)

// stands waits until the number no longer grows and tells what it is.
func stands(t *testing.T, number *atomic.Uint64) uint64 {
	t.Helper()
	for range 200 {
		before := number.Load()
		time.Sleep(300 * time.Millisecond)
		if number.Load() == before {
			return before
		}
	}
	t.Fatal("the call was not paused")
	return 0
}

func grows(t *testing.T, number *atomic.Uint64, from uint64) {
	t.Helper()
	for range 2000 {
		if number.Load() > from {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the call stands at %d", from)
}

func endlessTrainer(t *testing.T) *seed.Trainer {
	t.Helper()
	config := smallConfig(t)
	ok(t, config.SetInt("steps", 1_000_000))
	return newTrainer(t, config)
}

func TestPausedRunsWait(t *testing.T) {
	trainer := endlessTrainer(t)
	outer, cancel := context.WithCancel(t.Context())
	defer cancel()
	middle, station := seed.WithPause(outer)
	ctx, operator := seed.WithPause(middle)
	var steps atomic.Uint64
	ended := make(chan error)
	go func() {
		_, err := trainer.Run(ctx, 0, func(p seed.Progress) error {
			steps.Store(p.Step)
			return nil
		})
		ended <- err
	}()
	grows(t, &steps, 0)
	operator.Pause()
	step := stands(t, &steps)
	// Both want it to wait; one that goes on is not enough.
	station.Pause()
	operator.Resume()
	if now := stands(t, &steps); now != step {
		t.Errorf("step %d after %d, though one pauser is paused", now, step)
	}
	station.Resume()
	grows(t, &steps, step)
	station.Pause()
	stands(t, &steps)
	cancel()
	err := <-ended
	fails(t, seed.ErrCancelled, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestStartedRunsPause(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	run := endlessTrainer(t).Start(ctx, 0)
	<-run.Progress()
	run.Pause()
	quiet := time.After(300 * time.Millisecond)
	for waiting := true; waiting; {
		select {
		case <-run.Progress():
			quiet = time.After(300 * time.Millisecond)
		case <-quiet:
			waiting = false
		}
	}
	run.Resume()
	<-run.Progress()
	cancel()
	if outcome, err := run.Wait(); outcome != seed.Cancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", outcome, err)
	}
}

// A call that begins while its pauser is paused makes no step; contexts that never end can be paused too.
func TestPauseComesBeforeTheCall(t *testing.T) {
	trainer := newTrainer(t, smallConfig(t))
	ctx, pauser := seed.WithPause(context.Background())
	pauser.Pause()
	var steps atomic.Uint64
	ended := make(chan error)
	go func() {
		_, err := trainer.Run(ctx, 0, func(p seed.Progress) error {
			steps.Store(p.Step)
			return nil
		})
		ended <- err
	}()
	if step := stands(t, &steps); step != 0 {
		t.Errorf("%d steps were made", step)
	}
	pauser.Resume()
	ok(t, <-ended)
	if step := steps.Load(); step != 6 {
		t.Errorf("step %d", step)
	}
}

func TestPausedEmbeddingWaits(t *testing.T) {
	images := must[*seed.Dataset](t)(seed.NewDataset())
	defer images.Close()
	for range 200 {
		must[int](t)(images.Push(stripes(2, 16, 16), ""))
	}
	ctx, pauser := seed.WithPause(t.Context())
	var done atomic.Uint64
	ended := make(chan error)
	session := tellingSession(t)
	go func() {
		_, err := session.EmbedDataset(ctx, images, func(count, _ int) error {
			if done.Swap(uint64(count)) == 0 {
				pauser.Pause()
			}
			return nil
		})
		ended <- err
	}()
	grows(t, &done, 0)
	if count := stands(t, &done); count == 200 {
		t.Error("it did not wait")
	}
	pauser.Resume()
	ok(t, <-ended)
	if count := done.Load(); count != 200 {
		t.Errorf("%d images", count)
	}
}

// A run that rests between its steps takes longer: that is what "duty_cycle" is for.
func TestDutyCycleAndNice(t *testing.T) {
	config := smallConfig(t)
	ok(t, config.SetFloat("duty_cycle", .5))
	ok(t, config.SetInt("nice", 5))
	trainer := newTrainer(t, config)
	if outcome, err := trainer.Run(t.Context(), 0, nil); outcome != seed.Finished || err != nil {
		t.Errorf("%v, %v", outcome, err)
	}
	fails(t, seed.ErrConfig, config.SetFloat("duty_cycle", 0))
	fails(t, seed.ErrConfig, config.SetInt("nice", 20))
}
