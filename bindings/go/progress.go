package seed

// #include "bridge.h"
import "C"

import (
	"math"
	"time"
)

// Progress is one report of a run.
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
	}
}

// seconds as a duration; more than 292 years become 292 years.
func seconds(value float64) time.Duration {
	if nanoseconds := value * float64(time.Second); nanoseconds < math.MaxInt64 {
		return time.Duration(nanoseconds)
	}
	return math.MaxInt64
}
