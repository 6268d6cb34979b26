package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"time"
	"unsafe"
)

// FitStage says what the fit of a classifier, or [LinearSGD], is doing.
type FitStage int32

// The stages of a fit.
const (
	// StageEmbedding embeds the labelled images; Done and Total count images.
	StageEmbedding FitStage = C.SEED_STAGE_EMBEDDING
	// StageLinear fits the linear classifier; Done and Total count values of the penalty.
	StageLinear FitStage = C.SEED_STAGE_LINEAR
	// StageFull lets all layers learn; Done and Total count steps.
	StageFull FitStage = C.SEED_STAGE_FULL
	// StageSGD lets a linear classifier learn by SGD on frozen features ([LinearSGD]); Done and Total count steps.
	StageSGD FitStage = C.SEED_STAGE_SGD
	// StageTest tests what has learned ([LinearSGD]); Done and Total count images.
	StageTest FitStage = C.SEED_STAGE_TEST
)

// FitProgress is one report of the fit of a classifier, or of [LinearSGD]. What there is not yet is NaN.
type FitProgress struct {
	// Stage is what is being done.
	Stage FitStage
	// Done is how much of it is done.
	Done uint64
	// Total is how much there is to do at most.
	Total uint64
	// Epoch counts the passes over the images so far (StageFull, StageSGD).
	Epoch uint64
	// Loss is the mean loss of the last pass (StageFull), or since the report before (StageSGD).
	Loss float64
	// HeldOutLoss is the calibrated loss on the held-out images, the last that was measured.
	HeldOutLoss float64
	// HeldOutAccuracy is the share of the held-out images that got their class then, 0 to 1.
	HeldOutAccuracy float64
	// ETA is the estimated time to the end of this stage.
	ETA time.Duration
	// Elapsed is the time since the call began.
	Elapsed time.Duration
}

func fitProgressFrom(c *C.seed_finetune_progress) FitProgress {
	return FitProgress{
		Stage:           FitStage(c.stage),
		Done:            uint64(c.done),
		Total:           uint64(c.total),
		Epoch:           uint64(c.epoch),
		Loss:            float64(c.loss),
		HeldOutLoss:     float64(c.held_out_loss),
		HeldOutAccuracy: float64(c.held_out_accuracy),
		ETA:             seconds(float64(c.eta_seconds)),
		Elapsed:         seconds(float64(c.elapsed_seconds)),
	}
}

// Labelled are images with their classes, for the fit of a classifier.
type Labelled struct {
	// Images are the images.
	Images *Dataset
	// Labels has one number for each image: its class, or −1 for none. [Dataset.ClassLabels] makes them of folders.
	Labels []int64
	// Classes are the classes' names, all different; [Dataset.Classes] has those of folders.
	Classes []string
}

// FitOptions are what a fit may have besides.
type FitOptions struct {
	// Teacher is what "finetune.anchor" draws the student to; nil: the student as it was.
	Teacher *Teacher
	// TaughtBy is the classifier of a teacher, whose logits are distilled in the "finetune.mode" full, on images without a label as
	// well; nil: none. It needs the classes and the image size of the fit.
	TaughtBy *Classifier
	// Progress receives reports; nil: nobody does. An error from it ends the fit and is returned, [Stop] ends it without one.
	Progress func(FitProgress) error
}

// FitClassifier makes a classifier of a copy of student (its features and their backbone) and labelled images, by the settings
// "finetune.…" of config; docs/finetune.md says how. A context of [WithPause] can pause it.
//
// When ctx or Progress ends it, the best classifier so far is given beside the error, or nil where there was none yet.
//
// Errors: [ErrCancelled], with the context's cause; [ErrInvalidArgument] for labels or names that do not fit, or images of fewer
// than two classes; [ErrMismatch] for a teacher or a checkpoint ("finetune.checkpoint_path") that does not fit.
func FitClassifier(ctx context.Context, config *Config, student *Student, labelled Labelled, options FitOptions) (*Classifier, error) {
	object, err := student.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer student.handle.release()
	return fit(ctx, config, object, nil, labelled, options)
}

// ExtendClassifier is [FitClassifier] from the backbone and classes of an earlier classifier, which is left as it is. The names of
// its classes must come first in labelled.Classes; new ones follow.
//
// Errors: also [ErrMismatch] for an earlier classifier that does not fit.
func ExtendClassifier(ctx context.Context, config *Config, earlier *Classifier, labelled Labelled, options FitOptions) (*Classifier, error) {
	object, err := earlier.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer earlier.handle.release()
	return fit(ctx, config, nil, object, labelled, options)
}

func fit(ctx context.Context, config *Config, student *C.seed_student, earlier *C.seed_classifier, labelled Labelled,
	options FitOptions) (*Classifier, error) {
	settings, err := config.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer config.handle.release()
	images, err := labelled.Images.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer labelled.Images.handle.release()
	var master *C.seed_teacher
	if options.Teacher != nil {
		if master, err = options.Teacher.inner().acquire(); err != nil {
			return nil, err
		}
		defer options.Teacher.handle.release()
	}
	var tutor *C.seed_classifier
	if options.TaughtBy != nil {
		if tutor, err = options.TaughtBy.inner().acquire(); err != nil {
			return nil, err
		}
		defer options.TaughtBy.handle.release()
	}
	var t texts
	defer t.free()
	names := t.array("classes", labelled.Classes)
	if t.err != nil {
		return nil, t.err
	}

	var made *C.seed_classifier
	var classifier *Classifier
	defer func() {
		// A panic of the callback goes on through here.
		if classifier == nil && made != nil {
			C.seed_classifier_free(made)
		}
	}()
	observer := callback{fit: options.Progress}
	_, err = observer.observe(ctx, func(handle C.uintptr_t, token *C.seed_cancel_token, outcome *C.int32_t) *C.seed_error {
		if tutor != nil {
			return C.seed_go_classifier_distil(settings, student, earlier, master, tutor, images, classNumbers(labelled.Labels),
				C.size_t(len(labelled.Labels)), names, C.size_t(len(labelled.Classes)), handle, token, outcome, &made)
		}
		return C.seed_go_classifier_fit(settings, student, earlier, master, images, classNumbers(labelled.Labels),
			C.size_t(len(labelled.Labels)), names, C.size_t(len(labelled.Classes)), handle, token, outcome, &made)
	})
	if made != nil {
		classifier = ownClassifier(adopt("Classifier", freeClassifier, made))
		return classifier, err
	}
	if errors.Is(err, ErrCancelled) && observer.err == nil {
		// It was too early for a classifier.
		return nil, cancelled(ctx)
	}
	return nil, err
}

// classNumbers is the C view of a slice; the call must keep to its length.
func classNumbers(values []int64) *C.int64_t {
	return (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(values)))
}
