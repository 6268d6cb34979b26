package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"math"
	"unsafe"
)

// ProtocolOptions are what [SemiSupervised] and [Transfer] may have besides.
type ProtocolOptions struct {
	// Splits is the number of splits, each a run; 0: 5. Split i is that of the seed "seed" + i.
	Splits int
	// Progress is told how much of the work is done; nil: nobody is. An error from it ends the call and is returned.
	Progress func(done, total int) error
}

// Classed are images with a class number for each, or −1 for none.
type Classed struct {
	// Images are the images.
	Images *Dataset
	// Labels has one number for each image.
	Labels []int64
}

// SemiSupervised is the semi-supervised protocol: all layers of a copy of student are fine-tuned on few labels
// ("finetune.label_fraction" or "finetune.labels_per_class" of two thirds of each class), and tested on the other third.
//
// Errors: [ErrInvalidArgument] for labels that do not fit or are of fewer than two classes; the context's, when it ended the call.
func SemiSupervised(ctx context.Context, config *Config, student *Student, classed Classed, options ProtocolOptions) (LinearResult, error) {
	return protocol(ctx, config, student, classed, nil, options)
}

// Transfer is the transfer protocol: student is judged on other images than it was distilled on, by a linear classifier on frozen
// features ("finetune.mode" linear) or with all layers fine-tuned (full). It is tested on test, or where that is nil on a third of
// each class.
//
// Errors: as for [SemiSupervised].
func Transfer(ctx context.Context, config *Config, student *Student, classed Classed, test *Classed, options ProtocolOptions) (LinearResult, error) {
	if test == nil {
		test = &Classed{}
	}
	return protocol(ctx, config, student, classed, test, options)
}

// protocol is Transfer, or SemiSupervised where test is nil.
func protocol(ctx context.Context, config *Config, student *Student, classed Classed, test *Classed, options ProtocolOptions) (LinearResult, error) {
	splits, classes := options.Splits, 0
	if splits == 0 {
		splits = 5
	}
	if splits < 0 || int64(splits) > math.MaxUint32 {
		return LinearResult{}, invalid("splits is %d, expected at least 1", splits)
	}
	all := [][]int64{classed.Labels}
	if test != nil {
		all = append(all, test.Labels)
	}
	for _, labels := range all {
		for _, label := range labels {
			// The library refuses what is far too many; a slice of them must not be made before.
			if int(label) >= 1<<16 {
				return LinearResult{}, invalid("a label is %d, expected less than %d", label, 1<<16)
			}
			classes = max(classes, int(label)+1)
		}
	}
	settings, err := config.inner().acquire()
	if err != nil {
		return LinearResult{}, err
	}
	defer config.handle.release()
	network, err := student.inner().acquire()
	if err != nil {
		return LinearResult{}, err
	}
	defer student.handle.release()
	images, err := classed.Images.inner().acquire()
	if err != nil {
		return LinearResult{}, err
	}
	defer classed.Images.handle.release()
	var others *C.seed_dataset
	if test != nil && test.Images != nil {
		if others, err = test.Images.inner().acquire(); err != nil {
			return LinearResult{}, err
		}
		defer test.Images.handle.release()
	}
	recalls := make([]float64, classes)
	means := (*C.double)(unsafe.Pointer(unsafe.SliceData(recalls)))
	c := C.seed_linear_result{struct_size: C.sizeof_seed_linear_result}
	err = counted(ctx, options.Progress, func(handle C.uintptr_t, token *C.seed_cancel_token) error {
		labels, count := classNumbers(classed.Labels), C.size_t(len(classed.Labels))
		if test == nil {
			return check(C.seed_go_semi_supervised_evaluate(settings, network, images, labels, count, C.uint32_t(splits),
				handle, token, &c, means, C.size_t(classes)))
		}
		return check(C.seed_go_transfer_evaluate(settings, network, images, labels, count, others, classNumbers(test.Labels),
			C.size_t(len(test.Labels)), C.uint32_t(splits), handle, token, &c, means, C.size_t(classes)))
	})
	if err != nil {
		return LinearResult{}, err
	}
	return linearResultFrom(&c, recalls), nil
}
