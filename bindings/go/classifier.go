package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"image"
	"unsafe"
)

// Classifier is a network that says which class an image is of, how sure it is, and when it is not. It never changes; any number
// of goroutines may use it at once.
type Classifier struct {
	_      noCopy
	handle *handle[*C.seed_classifier]
}

// Verdict is what a classifier says about an image.
type Verdict struct {
	// Class is the number of the class; −1 for a broken image.
	Class int
	// Confidence is its probability, 0 to 1.
	Confidence float32
	// Unsure tells that Confidence lies below the classifier's threshold.
	Unsure bool
	// Probabilities are those of all classes.
	Probabilities []float32
}

func freeClassifier(object *C.seed_classifier) { C.seed_classifier_free(object) }

func ownClassifier(h *handle[*C.seed_classifier]) *Classifier {
	return owned(&Classifier{handle: h}, h)
}

// OpenClassifier opens a file of [Classifier.Save]. "device" and "precision" come from config.
//
// Errors: [ErrIO], [ErrFormat] for a file that is damaged, hostile or no classifier's.
func OpenClassifier(path string, config *Config) (*Classifier, error) {
	construct := func(file *C.char, settings *C.seed_config, out **C.seed_classifier) *C.seed_error {
		return C.seed_classifier_open(file, settings, out)
	}
	h, err := openFile("Classifier", freeClassifier, path, config, construct)
	if err != nil {
		return nil, err
	}
	return ownClassifier(h), nil
}

func (c *Classifier) inner() *handle[*C.seed_classifier] {
	if c == nil || c.handle == nil {
		return absent[*C.seed_classifier]("Classifier")
	}
	return c.handle
}

// Close releases the classifier once the calls that use it have ended. The error is always nil.
func (c *Classifier) Close() error {
	c.inner().close()
	return nil
}

// Warnings is what you should know about the classifier although nothing failed, such as probabilities that nothing was held out to calibrate.
func (c *Classifier) Warnings() ([]string, error) {
	return warnings(c.inner(), func(object *C.seed_classifier, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_classifier_warnings(object, buffer, capacity, length)
	})
}

// Save writes the classifier to one safetensors file, atomically: network with torchvision's key names, classes, temperature,
// threshold and what the held-out images said.
func (c *Classifier) Save(path string) error {
	return save(c.inner(), path, func(object *C.seed_classifier, file *C.char) *C.seed_error {
		return C.seed_classifier_save(object, file)
	})
}

// Classes are the names of the classes; a class's number is its place.
func (c *Classifier) Classes() ([]string, error) {
	object, err := c.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer c.handle.release()
	var count C.size_t
	if err := check(C.seed_classifier_class_count(object, &count)); err != nil {
		return nil, err
	}
	return textsOf(count, func(index C.size_t, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_classifier_class_name(object, index, buffer, capacity, length)
	})
}

// Describe is what is known about the classifier, a JSON object: "names", "temperature", "threshold", "held_out" (accuracy,
// recalls, AUROC, calibration error, coverage and risk of the threshold, confusion matrix; null where no image was held out) and
// "training".
func (c *Classifier) Describe() (string, error) {
	return c.text(func(object *C.seed_classifier, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_classifier_describe(object, buffer, capacity, length)
	})
}

// Confusion is the confusion matrix of the held-out images: true class by row, answered class by column. It has no rows where no
// image was held out.
func (c *Classifier) Confusion() ([][]uint64, error) {
	object, err := c.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer c.handle.release()
	var count C.size_t
	if err := check(C.seed_classifier_class_count(object, &count)); err != nil {
		return nil, err
	}
	counts, err := fill(func(buffer *uint64, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_classifier_confusion(object, (*C.uint64_t)(buffer), capacity, length)
	})
	if err != nil || len(counts) == 0 {
		return nil, err
	}
	return inRows(counts, int(count), int(count)), nil
}

// ConfusionCSV is Confusion as a table of comma-separated values with the classes' names.
func (c *Classifier) ConfusionCSV() (string, error) {
	return c.text(func(object *C.seed_classifier, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_classifier_confusion_csv(object, buffer, capacity, length)
	})
}

func (c *Classifier) text(call func(*C.seed_classifier, *C.char, C.size_t, *C.size_t) *C.seed_error) (string, error) {
	object, err := c.inner().acquire()
	if err != nil {
		return "", err
	}
	defer c.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return call(object, buffer, capacity, length)
	})
}

// Classify classifies images of any sizes.
func (c *Classifier) Classify(images ...image.Image) ([]Verdict, error) {
	frames, err := framesOf(images)
	if err != nil {
		return nil, err
	}
	return c.ClassifyFrames(frames...)
}

// ClassifyFrames is Classify for raw pixels.
func (c *Classifier) ClassifyFrames(frames ...Frame) ([]Verdict, error) {
	array, unpin, err := views(frames)
	if err != nil {
		return nil, err
	}
	defer unpin()
	object, err := c.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer c.handle.release()
	return verdicts(object, len(frames), func(classes *C.int64_t, confidences *C.float, unsure *C.uint8_t, probabilities *C.float) error {
		return check(C.seed_classifier_classify(object, unsafe.SliceData(array), C.size_t(len(array)), classes, confidences, unsure,
			probabilities))
	})
}

// ClassifyDataset classifies all images of a data set, in order; a broken one has the class −1, is unsure, and its numbers are 0.
// progress (may be nil) and ctx are as for [Session.EmbedDataset].
//
// Errors: [ErrCancelled] when ctx or progress ended it.
func (c *Classifier) ClassifyDataset(ctx context.Context, dataset *Dataset, progress func(done, total int) error) ([]Verdict, error) {
	object, err := c.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer c.handle.release()
	images, err := dataset.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer dataset.handle.release()
	for {
		var count C.size_t
		if err := check(C.seed_dataset_count(images, &count)); err != nil {
			return nil, err
		}
		answers, err := verdicts(object, int(count), func(classes *C.int64_t, confidences *C.float, unsure *C.uint8_t, probabilities *C.float) error {
			return counted(ctx, progress, func(handle C.uintptr_t, token *C.seed_cancel_token) error {
				return check(C.seed_go_classifier_classify_dataset(object, images, handle, token, classes, confidences, unsure,
					probabilities, count))
			})
		})
		// Images that were pushed in between are asked for again.
		if !errors.Is(err, ErrBufferTooSmall) {
			return answers, err
		}
	}
}

// verdicts makes a call that fills four arrays for count images.
func verdicts(object *C.seed_classifier, count int, call func(*C.int64_t, *C.float, *C.uint8_t, *C.float) error) ([]Verdict, error) {
	var width C.size_t
	if err := check(C.seed_classifier_class_count(object, &width)); err != nil {
		return nil, err
	}
	classes, confidences, unsure := make([]int64, count), make([]float32, count), make([]byte, count)
	probabilities := make([]float32, count*int(width))
	if err := call(classNumbers(classes), floats(confidences), octets(unsure), floats(probabilities)); err != nil {
		return nil, err
	}
	answers := make([]Verdict, count)
	for i, row := range inRows(probabilities, count, int(width)) {
		answers[i] = Verdict{Class: int(classes[i]), Confidence: confidences[i], Unsure: unsure[i] != 0, Probabilities: row}
	}
	return answers, nil
}

// Judge tells how well the classifier does on labelled images that it has not learned from, a JSON object with "images",
// "accuracy", "balanced_recall", "recalls", "auroc", "nll", "calibration_error", "selected" (coverage and risk of the threshold)
// and "confusion". labels are as in [Labelled]; broken images are left out. progress (may be nil) and ctx are as for
// [Session.EmbedDataset].
//
// Errors: [ErrCancelled] when ctx or progress ended it.
func (c *Classifier) Judge(ctx context.Context, dataset *Dataset, labels []int64, progress func(done, total int) error) (string, error) {
	object, err := c.inner().acquire()
	if err != nil {
		return "", err
	}
	defer c.handle.release()
	images, err := dataset.inner().acquire()
	if err != nil {
		return "", err
	}
	defer dataset.handle.release()
	// Each call embeds the images, so it is not asked for the size first.
	buffer := make([]byte, 1<<16)
	for {
		var length C.size_t
		err := counted(ctx, progress, func(handle C.uintptr_t, token *C.seed_cancel_token) error {
			return check(C.seed_go_classifier_judge(object, images, classNumbers(labels), C.size_t(len(labels)), handle, token,
				(*C.char)(unsafe.Pointer(unsafe.SliceData(buffer))), C.size_t(len(buffer)), &length))
		})
		switch {
		case err == nil:
			return string(buffer[:length-1]), nil
		case !errors.Is(err, ErrBufferTooSmall) || uint64(length) <= uint64(len(buffer)):
			return "", err
		}
		if err := fits(length, 1); err != nil {
			return "", err
		}
		buffer = make([]byte, int(length))
	}
}
