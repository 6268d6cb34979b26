package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"time"
)

// DistilStage says what [Distil] is doing.
type DistilStage int32

// The stages of [Distil], in their order.
const (
	// DistilPlan measures both networks and decides on the settings.
	DistilPlan DistilStage = C.SEED_DISTIL_PLAN
	// DistilBank lets the teacher see the views that the student will learn from; Done and Total count views.
	DistilBank DistilStage = C.SEED_DISTIL_BANK
	// DistilRun lets the student learn; Done and Total count steps.
	DistilRun DistilStage = C.SEED_DISTIL_RUN
	// DistilReport judges the student and writes the report.
	DistilReport DistilStage = C.SEED_DISTIL_REPORT
)

// String is "plan", "bank", "run" or "report".
func (s DistilStage) String() string {
	switch s {
	case DistilPlan:
		return "plan"
	case DistilBank:
		return "bank"
	case DistilRun:
		return "run"
	}
	return "report"
}

// DistilProgress is one report of [Distil].
type DistilProgress struct {
	// Stage is what is being done.
	Stage DistilStage
	// Done counts views that the teacher has seen, or steps that were made; 0 in the other stages.
	Done uint64
	// Total is how many there are; 0 where that is not known.
	Total uint64
	// Elapsed is the time since the call began.
	Elapsed time.Duration
	// ETA is the estimated time to the end of the stage; the longest that there is where it is not known.
	ETA time.Duration
	// ImagesPerSecond is 0 where it is not known.
	ImagesPerSecond float64
	// Loss is the mean since the report before; NaN outside of DistilRun and before the first step.
	Loss float64
	// ProbeAgreement is the share of the teacher's ten nearest frames that are the student's too, at the last look; NaN before the
	// first.
	ProbeAgreement float64
	// ProbeRecall is the balanced 10-NN recall by the classes of the frames' folders, at the last look; NaN without classes.
	ProbeRecall float64
}

func distilProgressFrom(c *C.seed_distil_progress) DistilProgress {
	return DistilProgress{
		Stage:           DistilStage(c.stage),
		Done:            uint64(c.done),
		Total:           uint64(c.total),
		Elapsed:         seconds(float64(c.elapsed_seconds)),
		ETA:             seconds(float64(c.eta_seconds)),
		ImagesPerSecond: float64(c.images_per_second),
		Loss:            float64(c.loss),
		ProbeAgreement:  float64(c.probe_agreement),
		ProbeRecall:     float64(c.probe_recall),
	}
}

// DistilSummary says how good a student is. Figures that are not known are NaN: those by labels without classes of folders, all of a
// call that was cancelled.
type DistilSummary struct {
	// Outcome is Finished or Cancelled.
	Outcome Outcome
	// Images are the frames that the figures are of.
	Images uint64
	// Classes of folders among them; 0 without.
	Classes uint64
	// Steps that were made.
	Steps uint64
	// Duration is the time that the call took.
	Duration time.Duration
	// AgreementBefore and AgreementAfter are the share of the teacher's ten nearest frames that are the student's too, before the
	// run and after it; AgreementChance is what two spaces share that have nothing to do with each other.
	AgreementBefore, AgreementAfter, AgreementChance float64
	// RecallBefore, RecallAfter and RecallTeacher are the mean balanced recall of 10-NN over five splits, of the student before the
	// run and after it, and of the teacher; RecallChance is 1 / Classes.
	RecallBefore, RecallAfter, RecallTeacher, RecallChance float64
	// RecallAfterDeviation is the sample deviation of the five splits after the run.
	RecallAfterDeviation float64
}

// Distilled is what [Distil] made. Any number of goroutines may use it at once.
type Distilled struct {
	_      noCopy
	handle *handle[*C.seed_distilled]
}

// DistilOption is something that [Distil] may be given besides.
type DistilOption func(*distilOptions)

type distilOptions struct {
	weights  *string
	config   *Config
	settings bool
	progress func(DistilProgress) error
}

// DistilFrom lets the student start from a file of weights, as for [Student.LoadWeights]; without it the weights are random.
func DistilFrom(weights string) DistilOption {
	return func(o *distilOptions) { o.weights = &weights }
}

// DistilWith keeps what is set in a configuration by its key; the plan chooses the rest.
func DistilWith(config *Config) DistilOption {
	return func(o *distilOptions) { o.config, o.settings = config, true }
}

// DistilReporting sends reports to a function. An error from it ends the call and is returned; [Stop] ends it without one.
func DistilReporting(progress func(DistilProgress) error) DistilOption {
	return func(o *distilOptions) { o.progress = progress }
}

// Distil makes a student of architecture from teacher on the frames of dataset, in about the given time, and writes
// student.safetensors and report.html to folder. No setting is needed: both networks are measured for a moment, and size of the
// images, views, batch, learning rate, queue and epochs follow from the frames, this machine and the time. No label is used to
// learn; where the frames lie in folders of classes, these tell how good the student is. docs/distil.md has the details.
//
// A call that ctx or the callback ended, or that was killed, left its work in folder, and the same call goes on with it. When ctx ends
// the call, the error matches [ErrCancelled] and the context's cause; after [Stop] there is a result whose Outcome is Cancelled. A
// context of [WithPause] can pause it.
//
// Errors: [ErrInvalidArgument] for an empty dataset or a time below a second, [ErrBusy] where another call works in the folder,
// [ErrMismatch] where it holds unfinished work of another run, [ErrIO]; those of [Student.LoadWeights].
func Distil(ctx context.Context, dataset *Dataset, teacher *Teacher, architecture string, duration time.Duration, folder string,
	options ...DistilOption) (*Distilled, error) {
	var o distilOptions
	for _, option := range options {
		option(&o)
	}
	images, err := dataset.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer dataset.handle.release()
	master, err := teacher.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer teacher.handle.release()
	var settings *C.seed_config
	if o.settings {
		if settings, err = o.config.inner().acquire(); err != nil {
			return nil, err
		}
		defer o.config.handle.release()
	}
	var t texts
	defer t.free()
	name, place := t.add("architecture", architecture), t.add("folder", folder)
	var weights *C.char
	if o.weights != nil {
		weights = t.add("weights", *o.weights)
	}
	if t.err != nil {
		return nil, t.err
	}
	var made *C.seed_distilled
	observer := callback{distil: o.progress}
	_, err = observer.observe(ctx, func(handle C.uintptr_t, token *C.seed_cancel_token, outcome *C.int32_t) *C.seed_error {
		failed := C.seed_go_distil(images, master, name, weights, C.double(duration.Seconds()), place, settings, handle, token, &made)
		if failed != nil {
			return failed
		}
		summary := C.seed_distil_summary{struct_size: C.sizeof_seed_distil_summary}
		failed = C.seed_distilled_summary(made, &summary)
		*outcome = summary.outcome
		return failed
	})
	if err != nil {
		C.seed_distilled_free(made)
		return nil, err
	}
	h := adopt("Distilled", func(object *C.seed_distilled) { C.seed_distilled_free(object) }, made)
	return owned(&Distilled{handle: h}, h), nil
}

func (d *Distilled) inner() *handle[*C.seed_distilled] {
	if d == nil || d.handle == nil {
		return absent[*C.seed_distilled]("Distilled")
	}
	return d.handle
}

// Close releases the result; a student that it gave stays. The error is always nil.
func (d *Distilled) Close() error {
	d.inner().close()
	return nil
}

// Student gives the student that was made; of a call that was cancelled, as far as it is. Close it when it is not needed any more.
func (d *Distilled) Student() (*Student, error) {
	object, err := d.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer d.handle.release()
	h, err := create("Student", func(student *C.seed_student) { C.seed_student_free(student) },
		func(out **C.seed_student) *C.seed_error { return C.seed_distilled_student(object, out) })
	if err != nil {
		return nil, err
	}
	return owned(&Student{handle: h}, h), nil
}

// Summary says how good the student is.
func (d *Distilled) Summary() (DistilSummary, error) {
	c := C.seed_distil_summary{struct_size: C.sizeof_seed_distil_summary}
	err := with(d.inner(), func(object *C.seed_distilled) *C.seed_error { return C.seed_distilled_summary(object, &c) })
	if err != nil {
		return DistilSummary{Outcome: Cancelled}, err
	}
	return DistilSummary{
		Outcome:              Outcome(c.outcome),
		Images:               uint64(c.images),
		Classes:              uint64(c.classes),
		Steps:                uint64(c.steps),
		Duration:             seconds(float64(c.seconds)),
		AgreementBefore:      float64(c.agreement_before),
		AgreementAfter:       float64(c.agreement_after),
		AgreementChance:      float64(c.agreement_chance),
		RecallBefore:         float64(c.recall_before),
		RecallAfter:          float64(c.recall_after),
		RecallTeacher:        float64(c.recall_teacher),
		RecallChance:         float64(c.recall_chance),
		RecallAfterDeviation: float64(c.recall_after_deviation),
	}, nil
}

// Warnings is what you should know although nothing failed, such as a student that is no better than chance.
func (d *Distilled) Warnings() ([]string, error) {
	return warnings(d.inner(), func(object *C.seed_distilled, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_distilled_warnings(object, buffer, capacity, length)
	})
}

// Settings are those of the run, as [Config.JSON] writes them.
func (d *Distilled) Settings() (string, error) {
	object, err := d.inner().acquire()
	if err != nil {
		return "", err
	}
	defer d.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_distilled_settings(object, buffer, capacity, length)
	})
}
