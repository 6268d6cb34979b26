package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"time"
)

// NightStage says what a night is doing.
type NightStage int32

// The stages of a night, in their order.
const (
	// NightDistil lets the student learn; Done and Total count steps.
	NightDistil NightStage = C.SEED_NIGHT_DISTIL
	// NightFinetune makes a classifier; Done and Total count as for [FitClassifier].
	NightFinetune NightStage = C.SEED_NIGHT_FINETUNE
	// NightEvaluate compares the students; Done and Total count images.
	NightEvaluate NightStage = C.SEED_NIGHT_EVALUATE
	// NightSwap exchanges files and session.
	NightSwap NightStage = C.SEED_NIGHT_SWAP
	// NightReport writes the report and the line of the history.
	NightReport NightStage = C.SEED_NIGHT_REPORT
)

// NightOutcome says how a night ended.
type NightOutcome int32

// How a night ends.
const (
	// NightNothingNew: there were too few new frames; nothing was changed.
	NightNothingNew NightOutcome = C.SEED_NIGHT_NOTHING_NEW
	// NightCancelled: the context or Progress ended the call; the same call goes on.
	NightCancelled NightOutcome = C.SEED_NIGHT_CANCELLED
	// NightKept: the night is done and the old student stays live.
	NightKept NightOutcome = C.SEED_NIGHT_KEPT
	// NightLive: the night is done and the new student is live.
	NightLive NightOutcome = C.SEED_NIGHT_LIVE
)

// NightProgress is one report of a night. Each stage begins with one whose Done and Total are 0.
type NightProgress struct {
	// Night is the number of the night, from 1 on.
	Night uint64
	// Stage is what is being done.
	Stage NightStage
	// Done is how much of it is done.
	Done uint64
	// Total is how much there is to do at most.
	Total uint64
	// Loss is the mean loss since the report before, of the stages that learn; NaN where there is none.
	Loss float64
	// ImagesPerSecond is the rate since the report before; 0 where nothing was measured.
	ImagesPerSecond float64
	// ETA is the estimated time to the end of the stage.
	ETA time.Duration
	// Elapsed is the time since the call began.
	Elapsed time.Duration
}

func nightProgressFrom(c *C.seed_night_progress) NightProgress {
	return NightProgress{
		Night:           uint64(c.night),
		Stage:           NightStage(c.stage),
		Done:            uint64(c.done),
		Total:           uint64(c.total),
		Loss:            float64(c.loss),
		ImagesPerSecond: float64(c.images_per_second),
		ETA:             seconds(float64(c.eta_seconds)),
		Elapsed:         seconds(float64(c.elapsed_seconds)),
	}
}

// NightOptions say how much of what a night takes; 0 is the default everywhere, [OptionZero] the value 0.
type NightOptions struct {
	// MinNewFrames are new frames without which there is nothing to do. Default: 64.
	MinNewFrames uint64
	// MaxCompared is the number of held-out frames that the students are compared on at most, from 12 on. Default: 500.
	MaxCompared uint64
	// MinLabels are the labelled frames that a class needs to be learned, at least 2. Default: 5.
	MinLabels uint64
	// MinReference are labelled frames of the reference below which kNN and the classifier decide nothing. Default: 100; 1 lets
	// them decide always.
	MinReference uint64
	// QueueFrames are the frames whose teacher embeddings are the queue of the KL. Default: 512.
	QueueFrames uint64
	// K is the number of neighbours of overlap and of kNN. Default: 10.
	K int
	// HeldOut is the share of frames that is held out of training. Default: .2.
	HeldOut float64
	// Replay is the share of older frames among those that are distilled on; [OptionZero]: none. Default: .5.
	Replay float64
	// KLMargin is the share of the old student's KL that the new one's may be above it. Default: 0.02.
	KLMargin float64
	// OverlapMargin is by how much the overlap may be below. Default: 0.02.
	OverlapMargin float64
	// RecallMargin is by how much the balanced recall of kNN and of the classifier may be below. Default: 0.02.
	RecallMargin float64
	// LatencyFactor is how many times the old latency is allowed. Default: 1.1.
	LatencyFactor float64
}

// NightResult is how a night ended. Figures that were not measured are NaN; [DescribeNight] has their intervals.
type NightResult struct {
	// Outcome is how it ended.
	Outcome NightOutcome
	// Reason is why there was nothing to do or the old student stays; else empty.
	Reason string
	// Night is the number of the night, from 1 on.
	Night uint64
	// NewFrames were in the store.
	NewFrames uint64
	// LearnedFrames were distilled on, older ones included.
	LearnedFrames uint64
	// OlderFrames are those of them that are older.
	OlderFrames uint64
	// LabelledFrames are what a classifier was fitted to.
	LabelledFrames uint64
	// ComparedFrames are the held-out frames that the students were compared on.
	ComparedFrames uint64
	// ReferenceFrames are the labelled frames that were judged.
	ReferenceFrames uint64
	// Duration is the time from the night's beginning to its end, interruptions included.
	Duration time.Duration
	// Loss is that of the distillation at its end.
	Loss float64
	// KLOld and KLNew are the mean KL of the student that was live and of the new one, in nats.
	KLOld, KLNew float64
	// OverlapOld and OverlapNew are the overlap with the teacher's neighbours.
	OverlapOld, OverlapNew float64
	// RecallOld and RecallNew are the balanced recall of kNN on the reference.
	RecallOld, RecallNew float64
	// ClassifierRecall is the balanced recall of the new classifier on the reference.
	ClassifierRecall float64
	// LatencyOld and LatencyNew are the median milliseconds of one frame.
	LatencyOld, LatencyNew float64
}

func nightResultFrom(c *C.seed_night_result) NightResult {
	return NightResult{
		Outcome:          NightOutcome(c.outcome),
		Reason:           C.GoString(&c.reason[0]),
		Night:            uint64(c.night),
		NewFrames:        uint64(c.new_frames),
		LearnedFrames:    uint64(c.learned_frames),
		OlderFrames:      uint64(c.older_frames),
		LabelledFrames:   uint64(c.labelled_frames),
		ComparedFrames:   uint64(c.compared_frames),
		ReferenceFrames:  uint64(c.reference_frames),
		Duration:         seconds(float64(c.seconds)),
		Loss:             float64(c.loss),
		KLOld:            float64(c.kl_old),
		KLNew:            float64(c.kl_new),
		OverlapOld:       float64(c.overlap_old),
		OverlapNew:       float64(c.overlap_new),
		RecallOld:        float64(c.recall_old),
		RecallNew:        float64(c.recall_new),
		ClassifierRecall: float64(c.classifier_recall),
		LatencyOld:       float64(c.latency_old),
		LatencyNew:       float64(c.latency_new),
	}
}

// Night is what a station's night is made of.
type Night struct {
	// Config has the settings of distillation and fine-tuning; image size, mean and std must be the student's.
	Config *Config
	// Store is where frames and labels are. The line may go on pushing.
	Store *Store
	// Teacher is whom the student follows.
	Teacher *Teacher
	// Folder is the station's; it is made where there is none.
	Folder string
	// First is the student that the first night starts from; nil where the folder has one.
	First *Student
	// Session is one of the live student, which the new one is put into; nil: only the folder changes.
	Session *Session
	// Options say how much of what.
	Options NightOptions
	// Progress receives reports; nil: nobody does. An error from it ends the call and is returned, [Stop] ends it without one.
	Progress func(NightProgress) error
}

// Run runs a night, or goes on with the one that was interrupted, whatever interrupted it; docs/night.md says how. A context of
// [WithPause] can pause it. When ctx ends the call, the outcome is NightCancelled and the error matches [ErrCancelled] and the
// context's cause.
//
// Errors: [ErrBusy] when another call works in the folder; [ErrMismatch] when the folder is another teacher's, or student, session
// and configuration do not fit together; [ErrInvalidArgument] for options out of bounds and where there is no student to start
// from.
func (n Night) Run(ctx context.Context) (NightResult, error) {
	stopped := NightResult{Outcome: NightCancelled}
	if n.Options.K < 0 {
		return stopped, invalid("K is %d, expected at least 1, or 0 for the default", n.Options.K)
	}
	settings, err := n.Config.inner().acquire()
	if err != nil {
		return stopped, err
	}
	defer n.Config.handle.release()
	frames, err := n.Store.inner().acquire()
	if err != nil {
		return stopped, err
	}
	defer n.Store.handle.release()
	master, err := n.Teacher.inner().acquire()
	if err != nil {
		return stopped, err
	}
	defer n.Teacher.handle.release()
	var first *C.seed_student
	if n.First != nil {
		if first, err = n.First.inner().acquire(); err != nil {
			return stopped, err
		}
		defer n.First.handle.release()
	}
	var live *C.seed_session
	if n.Session != nil {
		if live, err = n.Session.inner().acquire(); err != nil {
			return stopped, err
		}
		defer n.Session.handle.release()
	}
	var t texts
	defer t.free()
	folder := t.add("folder", n.Folder)
	if t.err != nil {
		return stopped, t.err
	}
	o := n.Options
	options := C.seed_night_options{
		struct_size:    C.sizeof_seed_night_options,
		min_new_frames: C.uint64_t(o.MinNewFrames),
		max_compared:   C.uint64_t(o.MaxCompared),
		min_labels:     C.uint64_t(o.MinLabels),
		min_reference:  C.uint64_t(o.MinReference),
		queue_frames:   C.uint64_t(o.QueueFrames),
		k:              C.size_t(o.K),
		held_out:       C.double(o.HeldOut),
		replay:         C.double(o.Replay),
		kl_margin:      C.double(o.KLMargin),
		overlap_margin: C.double(o.OverlapMargin),
		recall_margin:  C.double(o.RecallMargin),
		latency_factor: C.double(o.LatencyFactor),
	}
	c := C.seed_night_result{struct_size: C.sizeof_seed_night_result}
	observer := callback{night: n.Progress}
	_, err = observer.observe(ctx, func(handle C.uintptr_t, token *C.seed_cancel_token, outcome *C.int32_t) *C.seed_error {
		failed := C.seed_go_night_run(settings, frames, master, folder, first, &options, live, handle, token, &c)
		if failed == nil && NightOutcome(c.outcome) == NightCancelled {
			*outcome = C.int32_t(Cancelled)
		}
		return failed
	})
	if err != nil {
		return stopped, err
	}
	return nightResultFrom(&c), nil
}

// RestoreNight exchanges the live student of a station's folder, with its classifier, and the one before; session (may be nil) gets
// the one that is live then. The same call again goes forward. A night that was begun is dropped, its frames are new again.
//
// Errors: [ErrInvalidArgument] when no student has been replaced so far, [ErrBusy] while a night runs there.
func RestoreNight(folder string, config *Config, session *Session) error {
	settings, err := config.inner().acquire()
	if err != nil {
		return err
	}
	defer config.handle.release()
	var live *C.seed_session
	if session != nil {
		if live, err = session.inner().acquire(); err != nil {
			return err
		}
		defer session.handle.release()
	}
	var t texts
	defer t.free()
	place := t.add("folder", folder)
	if t.err != nil {
		return t.err
	}
	return check(C.seed_night_restore(place, settings, live))
}

// DescribeNight says how things stand in a station's folder, as JSON: "nights", "live", "previous", "begun" and "last". At any time,
// also while a night runs.
//
// Errors: [ErrIO], [ErrInvalidArgument] when the folder is no station's.
func DescribeNight(folder string) (string, error) {
	var t texts
	defer t.free()
	place := t.add("folder", folder)
	if t.err != nil {
		return "", t.err
	}
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_night_describe(place, buffer, capacity, length)
	})
}
