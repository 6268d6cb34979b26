package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"image"
	"unsafe"
)

// Outcome says why a run returned.
type Outcome int32

// The outcomes of a run.
const (
	// Finished: the last step of the run was made.
	Finished Outcome = C.SEED_OUTCOME_FINISHED
	// Paused: the given number of steps was made; more are left.
	Paused Outcome = C.SEED_OUTCOME_PAUSED
	// Cancelled: the context, the callback or an error ended the call after a whole step.
	Cancelled Outcome = C.SEED_OUTCOME_CANCELLED
)

// String is "finished", "paused" or "cancelled".
func (o Outcome) String() string {
	switch o {
	case Finished:
		return "finished"
	case Paused:
		return "paused"
	}
	return "cancelled"
}

// Trainer is one distillation run. For one goroutine at a time; it holds what it was made of.
type Trainer struct {
	_      noCopy
	handle *handle[*C.seed_trainer]
}

// NewTrainer makes a run that distils teacher into student by "method". A nil teacher: a method that needs none ("moco_v2",
// "simclr", "swav"), by which the student becomes a teacher for another run. A nil queue: a new one of "queue_capacity". A nil dataset: the
// application brings its own batches by Step, and "steps" must be set; a stored teacher ([TeacherFromBank],
// [TeacherFromEmbeddings]) knows the images of a data set only, so it needs one.
//
// Errors: [ErrInvalidArgument] for a method that learns from a teacher without one, or the reverse; [ErrMismatch] when the widths of
// the embeddings or the devices differ; for a stored teacher, with the reason, when the
// bank is stale or not finished, or images have no row, listing their names.
func NewTrainer(config *Config, student *Student, teacher *Teacher, queue *Queue, dataset *Dataset) (*Trainer, error) {
	settings, err := config.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer config.handle.release()
	learner, err := student.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer student.handle.release()
	var master *C.seed_teacher
	if teacher != nil {
		if master, err = teacher.inner().acquire(); err != nil {
			return nil, err
		}
		defer teacher.handle.release()
	}
	var rows *C.seed_queue
	if queue != nil {
		if rows, err = queue.inner().acquire(); err != nil {
			return nil, err
		}
		defer queue.handle.release()
	}
	var images *C.seed_dataset
	if dataset != nil {
		if images, err = dataset.inner().acquire(); err != nil {
			return nil, err
		}
		defer dataset.handle.release()
	}
	h, err := create("Trainer", func(object *C.seed_trainer) { C.seed_trainer_free(object) },
		func(out **C.seed_trainer) *C.seed_error {
			return C.seed_trainer_new(settings, learner, master, rows, images, out)
		})
	if err != nil {
		return nil, err
	}
	return owned(&Trainer{handle: h}, h), nil
}

func (t *Trainer) inner() *handle[*C.seed_trainer] {
	if t == nil || t.handle == nil {
		return absent[*C.seed_trainer]("Trainer")
	}
	return t.handle
}

// Close releases the trainer; a run that is under way goes on to its end. The error is always nil.
func (t *Trainer) Close() error {
	t.inner().close()
	return nil
}

// Warnings is what you should know about the run although nothing failed, such as a student that has collapsed. Works while the run goes on, from its progress function too.
func (t *Trainer) Warnings() ([]string, error) {
	return warnings(t.inner(), func(object *C.seed_trainer, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_trainer_warnings(object, buffer, capacity, length)
	})
}

// Run distils until the end of the run, or for maxSteps more steps (0: no limit). With "checkpoint_path" set, the run is
// saved every "checkpoint_every" steps (0: every twentieth of the run), on cancel and at the end. After an error or a cancel another
// call goes on where this one ended.
//
// progress (may be nil) receives a report before the first step, after it and then every "progress_every" steps. The trainer itself is busy meanwhile; the student
// may be saved, and sessions may be made of it. An error from it ends the run after this step and is returned; [Stop] ends
// it without one. It runs on a goroutine of its own while Run waits for it; the package's comment tells about panics.
//
// A context of [WithPause] can pause the run. When ctx ends, the run ends after its current step with the outcome Cancelled and
// an error that matches [ErrCancelled] and the context's cause. With any other error too the outcome is Cancelled.
func (t *Trainer) Run(ctx context.Context, maxSteps uint64, progress func(Progress) error) (Outcome, error) {
	object, err := t.inner().acquire()
	if err != nil {
		return Cancelled, err
	}
	defer t.handle.release()
	observer := callback{report: progress}
	return observer.observe(ctx, func(handle C.uintptr_t, token *C.seed_cancel_token, outcome *C.int32_t) *C.seed_error {
		return C.seed_go_trainer_run(object, C.uint64_t(maxSteps), handle, token, outcome)
	})
}

// Step makes one step on images of the application's own, of any sizes; one augmented view of each is used. It gives the
// loss.
func (t *Trainer) Step(images ...image.Image) (float64, error) {
	frames, err := framesOf(images)
	if err != nil {
		return 0, err
	}
	return t.StepFrames(frames...)
}

// StepFrames is Step for raw pixels.
func (t *Trainer) StepFrames(frames ...Frame) (float64, error) {
	array, unpin, err := views(frames)
	if err != nil {
		return 0, err
	}
	defer unpin()
	var loss C.double
	err = with(t.inner(), func(object *C.seed_trainer) *C.seed_error {
		return C.seed_trainer_step(object, unsafe.SliceData(array), C.size_t(len(array)), &loss)
	})
	return float64(loss), err
}

// Position tells how many steps were made and how many the run has.
func (t *Trainer) Position() (step, total uint64, err error) {
	var made, all C.uint64_t
	err = with(t.inner(), func(object *C.seed_trainer) *C.seed_error {
		return C.seed_trainer_position(object, &made, &all)
	})
	return uint64(made), uint64(all), err
}

// Save writes everything that the run needs to go on to a folder, atomically: a kill at any moment leaves the old
// checkpoint or the new one.
func (t *Trainer) Save(folder string) error {
	return t.at(folder, func(object *C.seed_trainer, path *C.char) *C.seed_error {
		return C.seed_trainer_save(object, path)
	})
}

// Resume goes on where the checkpoint in a folder stopped: the same run, on the CPU bit for bit.
//
// Errors: [ErrFormat] for a damaged checkpoint, [ErrMismatch] when teacher, data set, architecture or a setting that shapes
// the numbers is another; the trainer is left as it was.
func (t *Trainer) Resume(folder string) error {
	return t.at(folder, func(object *C.seed_trainer, path *C.char) *C.seed_error {
		return C.seed_trainer_resume(object, path)
	})
}

func (t *Trainer) at(folder string, call func(*C.seed_trainer, *C.char) *C.seed_error) error {
	var copies texts
	defer copies.free()
	path := copies.add("folder", folder)
	if copies.err != nil {
		return copies.err
	}
	return with(t.inner(), func(object *C.seed_trainer) *C.seed_error { return call(object, path) })
}
