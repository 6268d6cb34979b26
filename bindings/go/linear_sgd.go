package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"unsafe"
)

// LinearSGDResult is what [LinearSGD] found; shares are 0 to 1.
type LinearSGDResult struct {
	// Images counts the labelled images that were learned from.
	Images int
	// TestImages counts the labelled images that were tested on; broken ones are left out.
	TestImages int
	// Accuracy is the share of the test images whose class is the most probable one (top-1).
	Accuracy float64
	// Top5Accuracy is the share of the test images whose class is among the five most probable ones (top-5).
	Top5Accuracy float64
	// BalancedRecall is the mean recall of the classes that have a test image.
	BalancedRecall float64
	// Loss is the mean −log of the probability that the test images' classes were given.
	Loss float64
	// TrainLoss is the mean loss of the last pass over the images that were learned from.
	TrainLoss float64
	// Recalls has the recall of each class, NaN for one without a test image.
	Recalls []float64
}

// LinearSGD is the paper's linear protocol: a linear classifier learns by SGD on the frozen features of student, by the settings
// "linear.…", from learned, and is tested once on test. Memory does not grow with the number of images. progress may be nil; an error
// from it ends the call and is returned.
//
// Errors: [ErrInvalidArgument] for labels that do not fit or are of fewer than two classes; [ErrMismatch] for a student that gives NaN; [ErrTorch] where the classifier diverges; the
// context's, when it ended the call.
func LinearSGD(ctx context.Context, config *Config, student *Student, learned, test Classed, progress func(FitProgress) error) (LinearSGDResult, error) {
	classes := 0
	for _, labels := range [][]int64{learned.Labels, test.Labels} {
		for _, label := range labels {
			// The library refuses what is far too many; a slice of them must not be made before.
			if label >= 1<<16 {
				return LinearSGDResult{}, invalid("a label is %d, expected less than %d", label, 1<<16)
			}
			classes = max(classes, int(label)+1)
		}
	}
	settings, err := config.inner().acquire()
	if err != nil {
		return LinearSGDResult{}, err
	}
	defer config.handle.release()
	network, err := student.inner().acquire()
	if err != nil {
		return LinearSGDResult{}, err
	}
	defer student.handle.release()
	images, err := learned.Images.inner().acquire()
	if err != nil {
		return LinearSGDResult{}, err
	}
	defer learned.Images.handle.release()
	others, err := test.Images.inner().acquire()
	if err != nil {
		return LinearSGDResult{}, err
	}
	defer test.Images.handle.release()
	recalls := make([]float64, classes)
	c := C.seed_linear_sgd_result{struct_size: C.sizeof_seed_linear_sgd_result}

	cancel, err := cancelBy(ctx)
	if err != nil {
		return LinearSGDResult{}, err
	}
	defer cancel.free()
	observer := callback{fit: progress}
	handle := observer.register()
	defer unregister(handle)
	err = check(C.seed_go_linear_sgd_evaluate(settings, network, images, classNumbers(learned.Labels), C.size_t(len(learned.Labels)),
		others, classNumbers(test.Labels), C.size_t(len(test.Labels)), handle, cancel.token, &c,
		(*C.double)(unsafe.Pointer(unsafe.SliceData(recalls))), C.size_t(classes)))
	observer.raise()
	if _, reason := observer.stopped(); reason != nil {
		return LinearSGDResult{}, reason
	}
	if errors.Is(err, ErrCancelled) && observer.err == nil {
		return LinearSGDResult{}, cancelled(ctx)
	}
	if err != nil {
		return LinearSGDResult{}, err
	}
	return LinearSGDResult{
		Images:         int(c.images),
		TestImages:     int(c.test_images),
		Accuracy:       float64(c.accuracy),
		Top5Accuracy:   float64(c.top5_accuracy),
		BalancedRecall: float64(c.balanced_recall),
		Loss:           float64(c.loss),
		TrainLoss:      float64(c.train_loss),
		Recalls:        recalls,
	}, nil
}
