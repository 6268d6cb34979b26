package seed

import "context"

// Running is a run on a goroutine of its own, made by [Trainer.Start].
type Running struct {
	pauser  *Pauser
	reports chan Progress
	done    chan struct{}
	outcome Outcome
	err     error
}

// Start is [Trainer.Run] on a goroutine of its own, with a channel in place of the callback. The goroutine lives until the
// run ends; end it by ctx.
func (t *Trainer) Start(ctx context.Context, maxSteps uint64) *Running {
	if ctx == nil {
		// What Run would say; a nil context cannot be wrapped.
		r := &Running{pauser: &Pauser{}, reports: make(chan Progress), done: make(chan struct{})}
		r.outcome, r.err = t.Run(nil, maxSteps, nil) //nolint:staticcheck // it refuses it
		close(r.reports)
		close(r.done)
		return r
	}
	ctx, pauser := WithPause(ctx)
	r := &Running{pauser: pauser, reports: make(chan Progress, 1), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer close(r.reports)
		r.outcome, r.err = t.Run(ctx, maxSteps, r.send)
	}()
	return r
}

// send never waits: where the last report was not read yet, the new one takes its place.
func (r *Running) send(report Progress) error {
	select {
	case <-r.reports:
	default:
	}
	// The run is the only sender, so there is room.
	r.reports <- report
	return nil
}

// Progress gives the reports and is closed when the run ends. A slow reader misses reports, never the newest; none need be
// read.
func (r *Running) Progress() <-chan Progress {
	return r.reports
}

// Pause makes the run wait at its next step, idle, until Resume or the end of the context.
func (r *Running) Pause() { r.pauser.Pause() }

// Resume lets a paused run go on.
func (r *Running) Resume() { r.pauser.Resume() }

// Wait waits for the end of the run and gives what [Trainer.Run] gives. It may be called by several goroutines.
func (r *Running) Wait() (Outcome, error) {
	<-r.done
	return r.outcome, r.err
}
