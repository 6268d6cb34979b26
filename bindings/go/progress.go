package seed

// #include "bridge.h"
import "C"

import (
	"math"
	"time"
)

// Progress is one report of a run. The first comes before the first step: its Loss is NaN and its ETA the longest that there is.
type Progress struct {
	// Step counts the steps since the very first start, resumed runs included.
	Step uint64
	// TotalSteps is the number of steps of the whole run.
	TotalSteps uint64
	// Epoch is that of the next image, from 0.
	Epoch uint64
	// SkippedImages counts the images that could not be read so far.
	SkippedImages uint64
	// Loss is the mean since the report before.
	Loss float64
	// LearningRate is that of the last step: the setting learning_rate·batch_size/256 at its highest.
	LearningRate float64
	// ImagesPerSecond is the rate since the report before.
	ImagesPerSecond float64
	// ETA is the estimated time to the last step of the whole run.
	ETA time.Duration
	// Elapsed is the time since the call began.
	Elapsed time.Duration
	// WaitingShare is the share of the time since the report before in which the step waited for images, 0 to 1.
	WaitingShare float64
	// ProbeAgreement is the share of the teacher's ten nearest frames that are the student's too, over the frames of the run's probe
	// ("probe.images"), at the last look. NaN where the run is not probed.
	ProbeAgreement float64
	// ProbeAgreementStart is the same at the first look.
	ProbeAgreementStart float64
	// ProbeAgreementBest is the same of the best look so far.
	ProbeAgreementBest float64
	// ProbeRecall is the balanced 10-NN recall over these frames by the classes of their folders, at the last look. NaN without
	// classes.
	ProbeRecall float64
	// ProbeStep counts the steps that were made before the last look.
	ProbeStep uint64
}

func progressFrom(c *C.seed_progress) Progress {
	return Progress{
		Step:            uint64(c.step),
		TotalSteps:      uint64(c.total_steps),
		Epoch:           uint64(c.epoch),
		SkippedImages:   uint64(c.skipped_images),
		Loss:            float64(c.loss),
		LearningRate:    float64(c.learning_rate),
		ImagesPerSecond: float64(c.images_per_second),
		ETA:             seconds(float64(c.eta_seconds)),
		Elapsed:         seconds(float64(c.elapsed_seconds)),
		WaitingShare:    float64(c.waiting_share),

		ProbeAgreement:      float64(c.probe_agreement),
		ProbeAgreementStart: float64(c.probe_agreement_start),
		ProbeAgreementBest:  float64(c.probe_agreement_best),
		ProbeRecall:         float64(c.probe_recall),
		ProbeStep:           uint64(c.probe_step),
	}
}

// seconds as a duration; more than 292 years, and what is not known (NaN), become 292 years.
func seconds(value float64) time.Duration {
	if nanoseconds := value * float64(time.Second); nanoseconds < math.MaxInt64 {
		return time.Duration(nanoseconds)
	}
	return math.MaxInt64
}
