package seed_test

import (
	"context"
	"errors"
	"testing"

	seed "libseed/bindings/go"
)

func TestProgressByChannel(t *testing.T) {
	run := newTrainer(t, smallConfig(t)).Start(t.Context(), 0)
	last := seed.Progress{}
	for report := range run.Progress() {
		if last.TotalSteps > 0 && report.Step <= last.Step { // the first is of step 0
			t.Errorf("step %d after %d", report.Step, last.Step)
		}
		last = report
	}
	if outcome, err := run.Wait(); outcome != seed.Finished || err != nil || last.Step != 6 {
		t.Errorf("%v, %v at step %d", outcome, err, last.Step)
	}
}

func TestProgressNeedNotBeRead(t *testing.T) {
	config := smallConfig(t)
	run := newTrainer(t, config).Start(t.Context(), 0)
	if outcome, err := run.Wait(); outcome != seed.Finished || err != nil {
		t.Errorf("%v, %v", outcome, err)
	}
	if report := <-run.Progress(); report.Step != 6 {
		t.Errorf("the newest report is of step %d", report.Step)
	}
}

func TestContextEndsStartedRun(t *testing.T) {
	config := smallConfig(t)
	ok(t, config.SetInt("steps", 1_000_000))
	ctx, cancel := context.WithCancel(t.Context())
	run := newTrainer(t, config).Start(ctx, 0)
	<-run.Progress()
	cancel()
	if outcome, err := run.Wait(); outcome != seed.Cancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", outcome, err)
	}
}
