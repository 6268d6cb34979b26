package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"math"
	"unsafe"
)

// AUROC is how often a positive image scores higher than a negative one, ties counting half; there is a score for each of
// positives.
//
// Errors: [ErrInvalidArgument] when there is no positive or no negative, or a score is NaN.
func AUROC(scores []float32, positives []bool) (float64, error) {
	if len(scores) != len(positives) {
		return 0, invalid("%d scores and %d positives, expected as many", len(scores), len(positives))
	}
	if err := Init(); err != nil {
		return 0, err
	}
	var value C.double
	err := check(C.seed_auroc(floats(scores), flags(positives), C.size_t(len(scores)), &value))
	return float64(value), err
}

// DefectMap is a heat map with the truth.
type DefectMap struct {
	// Scores has one for each pixel, row after row.
	Scores []float32
	// Defect tells which pixels are of a defect.
	Defect []bool
	// Width is the number of pixels a row.
	Width int
	// Height is the number of rows.
	Height int
}

// RegionOverlap is PRO: how much of each defect heat maps cover, whatever the defect's size, as the normalised area under the curve
// over false-positive rates up to limit (usual: 0.3).
//
// Errors: [ErrInvalidArgument] when there is no defect or no good pixel, or a score is NaN.
func RegionOverlap(maps []DefectMap, limit float64) (float64, error) {
	if err := Init(); err != nil {
		return 0, err
	}
	var scores []float32
	var masks []bool
	widths, heights := make([]uint32, len(maps)), make([]uint32, len(maps))
	for i, m := range maps {
		pixels := uint64(len(m.Scores))
		if m.Width < 1 || m.Height < 1 || uint64(m.Width) > math.MaxUint32 || uint64(m.Height) > math.MaxUint32 ||
			len(m.Defect) != len(m.Scores) || pixels%uint64(m.Width) != 0 || pixels/uint64(m.Width) != uint64(m.Height) {
			return 0, invalid("map %d has %d scores and %d marks for %d × %d pixels, expected one of each a pixel", i, len(m.Scores),
				len(m.Defect), m.Width, m.Height)
		}
		scores, masks = append(scores, m.Scores...), append(masks, m.Defect...)
		widths[i], heights[i] = uint32(m.Width), uint32(m.Height)
	}
	var value C.double
	err := check(C.seed_region_overlap(floats(scores), flags(masks), indices(widths), indices(heights), C.size_t(len(maps)),
		C.double(limit), &value))
	return float64(value), err
}

// flags is the C view of a slice, 1 for true; the call must keep to its length.
func flags(values []bool) *C.uint8_t {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(values)))
}

// LinearOptions say how [Linear] judges.
type LinearOptions struct {
	// Splits is the number of random splits; 0: 5.
	Splits int
	// Seed makes the splits; they depend on it and the labels alone, so different networks are judged on the same ones.
	Seed uint64
	// LabelFraction is the share of the images that are not for testing which is learned from, at least one a class; 0: 1.
	LabelFraction float64
}

// LinearResult is what [Linear], [SemiSupervised] and [Transfer] found; shares are 0 to 1.
type LinearResult struct {
	// AccuracyMean is the share of test images with the right class, mean over the splits.
	AccuracyMean float64
	// AccuracyDeviation is its standard deviation.
	AccuracyDeviation float64
	// BalancedRecallMean is the mean of the classes' recalls, mean over the splits.
	BalancedRecallMean float64
	// BalancedRecallDeviation is its standard deviation.
	BalancedRecallDeviation float64
	// AUROCMean is the mean over classes of the AUROC against all others, mean over the splits.
	AUROCMean float64
	// AUROCDeviation is its standard deviation.
	AUROCDeviation float64
	// Recalls has the mean recall of each class.
	Recalls []float64
}

// Linear is the linear protocol: logistic regression on frozen features, over random splits. A third of each class is for testing.
// labels are class numbers from 0, −1 for a vector to be left out.
func Linear(ctx context.Context, features Embeddings, labels []int64, options LinearOptions) (LinearResult, error) {
	if err := features.check("features"); err != nil {
		return LinearResult{}, err
	}
	if len(labels) != features.Count() {
		return LinearResult{}, invalid("%d labels, expected one for each of %d features", len(labels), features.Count())
	}
	splits, share, classes := options.Splits, options.LabelFraction, 0
	if splits == 0 {
		splits = 5
	}
	if share == 0 {
		share = 1
	}
	if splits < 0 || int64(splits) > math.MaxUint32 {
		return LinearResult{}, invalid("splits is %d, expected at least 1", splits)
	}
	for _, label := range labels {
		// The library refuses what is far too many; a slice of them must not be made before.
		if int(label) >= len(labels) {
			return LinearResult{}, invalid("a label is %d, expected less than %d, the number of features", label, len(labels))
		}
		classes = max(classes, int(label)+1)
	}
	if err := Init(); err != nil {
		return LinearResult{}, err
	}
	recalls := make([]float64, classes)
	c := C.seed_linear_result{struct_size: C.sizeof_seed_linear_result}
	err := counted(ctx, nil, func(_ C.uintptr_t, token *C.seed_cancel_token) error {
		return check(C.seed_linear_evaluate(floats(features.Values), C.size_t(features.Count()), C.size_t(features.Dim),
			classNumbers(labels), C.uint32_t(splits), C.uint64_t(options.Seed), C.double(share), token, &c,
			(*C.double)(unsafe.Pointer(unsafe.SliceData(recalls))), C.size_t(classes)))
	})
	if err != nil {
		return LinearResult{}, err
	}
	return linearResultFrom(&c, recalls), nil
}

func linearResultFrom(c *C.seed_linear_result, recalls []float64) LinearResult {
	return LinearResult{
		AccuracyMean:            float64(c.accuracy_mean),
		AccuracyDeviation:       float64(c.accuracy_deviation),
		BalancedRecallMean:      float64(c.balanced_recall_mean),
		BalancedRecallDeviation: float64(c.balanced_recall_deviation),
		AUROCMean:               float64(c.auroc_mean),
		AUROCDeviation:          float64(c.auroc_deviation),
		Recalls:                 recalls,
	}
}
