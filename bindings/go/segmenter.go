package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"image"
	"math"
	"unsafe"
)

// MaskIgnored is the class of a mask's pixel that is ignored.
const MaskIgnored = C.SEED_MASK_IGNORED

// Segmenter is a linear layer on a student's feature maps that says which class each pixel of an image has. It never changes; any
// number of goroutines may use it at once.
type Segmenter struct {
	_      noCopy
	handle *handle[*C.seed_segmenter]
}

// Segmented has the classes of an image's pixels.
type Segmented struct {
	// Classes has a class number for each of the image's own pixels, row after row.
	Classes []byte
	// Confidences has the probabilities of these classes.
	Confidences []float32
	// Width is the number of pixels a row.
	Width int
	// Height is the number of rows.
	Height int
}

// SegmentationResult is what [EvaluateSegmentation] found; shares are 0 to 1.
type SegmentationResult struct {
	// MeanIoUMean is the mean IoU over the classes that occur, mean over the splits.
	MeanIoUMean float64
	// MeanIoUDeviation is its standard deviation.
	MeanIoUDeviation float64
	// AccuracyMean is the share of the test frames' pixels that got their class, mean over the splits.
	AccuracyMean float64
	// AccuracyDeviation is its standard deviation.
	AccuracyDeviation float64
	// IoUs has the mean IoU of each class, NaN for one that neither masks nor predictions have.
	IoUs []float64
}

func freeSegmenter(object *C.seed_segmenter) { C.seed_segmenter_free(object) }

// maskViews views masks; nil is none.
func maskViews(masks []*image.Gray) ([]C.seed_image, func(), error) {
	frames, places := make([]Frame, 0, len(masks)), make([]int, 0, len(masks))
	for i, mask := range masks {
		if mask == nil {
			continue
		}
		frame, err := FrameOf(mask)
		if err != nil {
			return nil, nil, placed(i, err)
		}
		frames, places = append(frames, frame), append(places, i)
	}
	array, unpin, err := views(frames)
	if err != nil {
		return nil, nil, err
	}
	all := make([]C.seed_image, len(masks))
	for i, place := range places {
		all[place] = array[i]
	}
	return all, unpin, nil
}

// FitSegmenter learns from the images that have a mask, on the feature maps of a copy of student's backbone, by the settings "segment.…",
// "seed", "device" and "precision" of config; docs/segment.md says how. masks has one for each image, of its size, with a class number or
// [MaskIgnored] a pixel, or nil. Class 0 of names is the background. progress (may be nil) and ctx are as for
// [Session.EmbedDataset].
//
// Errors: [ErrCancelled] when ctx or progress ended it; [ErrInvalidArgument] for masks or names that do not fit, masks of one class, or an
// unknown feature map; [ErrUnsupported] when the backbone has none; [ErrMismatch] for a student that gives NaN.
func FitSegmenter(ctx context.Context, config *Config, student *Student, images *Dataset, masks []*image.Gray, names []string,
	progress func(done, total int) error) (*Segmenter, error) {
	settings, err := config.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer config.handle.release()
	network, err := student.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer student.handle.release()
	frames, err := images.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer images.handle.release()
	array, unpin, err := maskViews(masks)
	if err != nil {
		return nil, err
	}
	defer unpin()
	var t texts
	defer t.free()
	classes := t.array("names", names)
	if t.err != nil {
		return nil, t.err
	}

	var made *C.seed_segmenter
	var segmenter *Segmenter
	defer func() {
		// A callback may have failed, or its panic goes on through here, when C was through.
		if segmenter == nil && made != nil {
			freeSegmenter(made)
		}
	}()
	err = counted(ctx, progress, func(handle C.uintptr_t, token *C.seed_cancel_token) error {
		return check(C.seed_go_segmenter_fit(settings, network, frames, unsafe.SliceData(array), C.size_t(len(array)), classes,
			C.size_t(len(names)), handle, token, &made))
	})
	if err != nil {
		return nil, err
	}
	h := adopt("Segmenter", freeSegmenter, made)
	segmenter = owned(&Segmenter{handle: h}, h)
	return segmenter, nil
}

// EvaluateSegmentation is how good a student's feature maps are for segmentation: a segmenter learns from a part of the masks, at most
// "segment.masks_per_class" of a class, and is judged on the others, over options.Splits splits. The masks, as for [FitSegmenter], have
// classes classes.
//
// Errors: as for [FitSegmenter].
func EvaluateSegmentation(ctx context.Context, config *Config, student *Student, images *Dataset, masks []*image.Gray, classes int,
	options ProtocolOptions) (SegmentationResult, error) {
	splits := options.Splits
	if splits == 0 {
		splits = 5
	}
	if splits < 0 || int64(splits) > math.MaxUint32 || classes < 1 || classes > 255 {
		return SegmentationResult{}, invalid("%d splits with %d classes, expected at least 1 split and 1 to 255 classes", splits, classes)
	}
	settings, err := config.inner().acquire()
	if err != nil {
		return SegmentationResult{}, err
	}
	defer config.handle.release()
	network, err := student.inner().acquire()
	if err != nil {
		return SegmentationResult{}, err
	}
	defer student.handle.release()
	frames, err := images.inner().acquire()
	if err != nil {
		return SegmentationResult{}, err
	}
	defer images.handle.release()
	array, unpin, err := maskViews(masks)
	if err != nil {
		return SegmentationResult{}, err
	}
	defer unpin()
	ious := make([]float64, classes)
	c := C.seed_segmentation_result{struct_size: C.sizeof_seed_segmentation_result}
	err = counted(ctx, options.Progress, func(handle C.uintptr_t, token *C.seed_cancel_token) error {
		return check(C.seed_go_segmentation_evaluate(settings, network, frames, unsafe.SliceData(array), C.size_t(len(array)),
			C.size_t(classes), C.uint32_t(splits), handle, token, &c, (*C.double)(unsafe.Pointer(unsafe.SliceData(ious)))))
	})
	if err != nil {
		return SegmentationResult{}, err
	}
	return SegmentationResult{
		MeanIoUMean:       float64(c.mean_iou_mean),
		MeanIoUDeviation:  float64(c.mean_iou_deviation),
		AccuracyMean:      float64(c.accuracy_mean),
		AccuracyDeviation: float64(c.accuracy_deviation),
		IoUs:              ious,
	}, nil
}

// OpenSegmenter opens a file of [Segmenter.Save]. "device" and "precision" come from config.
//
// Errors: [ErrIO], [ErrFormat] for a file that is damaged, hostile or no segmenter's.
func OpenSegmenter(path string, config *Config) (*Segmenter, error) {
	construct := func(file *C.char, settings *C.seed_config, out **C.seed_segmenter) *C.seed_error {
		return C.seed_segmenter_open(file, settings, out)
	}
	h, err := openFile("Segmenter", freeSegmenter, path, config, construct)
	if err != nil {
		return nil, err
	}
	return owned(&Segmenter{handle: h}, h), nil
}

func (s *Segmenter) inner() *handle[*C.seed_segmenter] {
	if s == nil || s.handle == nil {
		return absent[*C.seed_segmenter]("Segmenter")
	}
	return s.handle
}

// Close releases the segmenter once the calls that use it have ended. The error is always nil.
func (s *Segmenter) Close() error {
	s.inner().close()
	return nil
}

// Warnings is what you should know about the segmenter although nothing failed, such as classes without a pixel to learn from.
func (s *Segmenter) Warnings() ([]string, error) {
	return warnings(s.inner(), func(object *C.seed_segmenter, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_segmenter_warnings(object, buffer, capacity, length)
	})
}

// Save writes the segmenter to one safetensors file, atomically.
func (s *Segmenter) Save(path string) error {
	return save(s.inner(), path, func(object *C.seed_segmenter, file *C.char) *C.seed_error { return C.seed_segmenter_save(object, file) })
}

// ClassCount is the number of classes, including the background.
func (s *Segmenter) ClassCount() (int, error) {
	var count C.size_t
	err := with(s.inner(), func(object *C.seed_segmenter) *C.seed_error { return C.seed_segmenter_class_count(object, &count) })
	return int(count), err
}

// Describe is what is known about the segmenter, a JSON object: "names", "layers", "training", "provenance" and "computes".
func (s *Segmenter) Describe() (string, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return "", err
	}
	defer s.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_segmenter_describe(object, buffer, capacity, length)
	})
}

// Segment gives the class of each pixel of an image.
func (s *Segmenter) Segment(img image.Image) (Segmented, error) {
	frame, err := FrameOf(img)
	if err != nil {
		return Segmented{}, err
	}
	return s.SegmentFrame(frame)
}

// SegmentFrame is Segment for raw pixels.
func (s *Segmenter) SegmentFrame(frame Frame) (Segmented, error) {
	array, unpin, err := views([]Frame{frame})
	if err != nil {
		return Segmented{}, err
	}
	defer unpin()
	// Each call computes, so it is not asked for the size, which is known.
	classes, confidences := make([]byte, frame.Width*frame.Height), make([]float32, frame.Width*frame.Height)
	var length C.size_t
	err = with(s.inner(), func(object *C.seed_segmenter) *C.seed_error {
		return C.seed_segmenter_segment(object, unsafe.SliceData(array), octets(classes), C.size_t(len(classes)), &length, floats(confidences))
	})
	if err != nil {
		return Segmented{}, err
	}
	return Segmented{Classes: classes[:int(length)], Confidences: confidences[:int(length)], Width: frame.Width, Height: frame.Height}, nil
}

// MaskOverlap is the intersection over union of pixels with classes below classes: the mean over the classes that occur, and that of each
// class, NaN for one that neither has. True pixels of [MaskIgnored] count for nothing.
func MaskOverlap(predicted, truth []byte, classes int) (mean float64, ious []float64, err error) {
	if len(predicted) != len(truth) || classes < 1 || classes > 255 {
		return 0, nil, invalid("%d predicted pixels for %d true ones of %d classes, expected as many of 1 to 255 classes", len(predicted), len(truth), classes)
	}
	if err := Init(); err != nil {
		return 0, nil, err
	}
	ious = make([]float64, classes)
	var c C.double
	err = check(C.seed_mask_overlap(octets(predicted), octets(truth), C.size_t(len(truth)), C.size_t(classes),
		(*C.double)(unsafe.Pointer(unsafe.SliceData(ious))), &c))
	if err != nil {
		return 0, nil, err
	}
	return float64(c), ious, nil
}
