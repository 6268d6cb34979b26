package seed

// #include "bridge.h"
import "C"

import (
	"math"
	"unsafe"
)

// ClassSheet says what a sheet of pictures of each class shows besides the classes.
type ClassSheet struct {
	// Embeddings has one row for each image: the most typical and the most unusual images are shown. Empty: some at even distances.
	Embeddings Embeddings
	// Answers are a classifier's, −1 for none: what it took for another class is shown. Empty: none.
	Answers []int64
	// Confidences are the answers' probabilities: the surest mistakes come first. May be empty.
	Confidences []float32
	// PerClass is the number of pictures in each column; 0: 6.
	PerClass int
}

// AddClassSheet adds a sheet of pictures of each class. Broken images are passed over.
//
// Errors: [ErrInvalidArgument] when there are not as many labels as images or the sheet would hold more than 3000 pictures.
func (r *Report) AddClassSheet(title string, labelled Labelled, sheet ClassSheet) error {
	count := len(labelled.Labels)
	for name, found := range map[string]int{"answers": len(sheet.Answers), "confidences": len(sheet.Confidences),
		"numbers of embeddings": len(sheet.Embeddings.Values)} {
		expected := count
		if name == "numbers of embeddings" {
			expected *= max(sheet.Embeddings.Dim, 1)
		}
		if found != 0 && found != expected {
			return invalid("%d %s for %d labels", found, name, count)
		}
	}
	perClass := sheet.PerClass
	if perClass == 0 {
		perClass = 6
	}
	if perClass < 0 {
		return invalid("PerClass is %d, expected at least 1, or 0 for the default", perClass)
	}
	var t texts
	defer t.free()
	head, names := t.add("title", title), t.array("classes", labelled.Classes)
	if t.err != nil {
		return t.err
	}
	images, err := labelled.Images.inner().acquire()
	if err != nil {
		return err
	}
	defer labelled.Images.handle.release()
	return with(r.inner(), func(object *C.seed_report) *C.seed_error {
		return C.seed_report_add_class_sheet(object, head, images, classes(labelled.Labels), C.size_t(count), names,
			C.size_t(len(labelled.Classes)), floats(given(sheet.Embeddings.Values)), C.size_t(sheet.Embeddings.Dim),
			classes(sheet.Answers), floats(given(sheet.Confidences)), C.size_t(perClass))
	})
}

// AddConfusionOf adds the confusion matrix of any answers: labels are the true classes, answers what was said, −1 for none in both.
func (r *Report) AddConfusionOf(title string, labels, answers []int64, names []string) error {
	if len(labels) != len(answers) {
		return invalid("%d answers for %d labels", len(answers), len(labels))
	}
	var t texts
	defer t.free()
	head, known := t.add("title", title), t.array("names", names)
	if t.err != nil {
		return t.err
	}
	return with(r.inner(), func(object *C.seed_report) *C.seed_error {
		return C.seed_report_add_confusion_of(object, head, classes(labels), classes(answers), C.size_t(len(labels)), known,
			C.size_t(len(names)))
	})
}

// MapMethod is how embeddings come onto a plane.
type MapMethod int32

// The methods of a map.
const (
	// MapTSNE is t-SNE: who is near whom.
	MapTSNE MapMethod = C.SEED_MAP_TSNE
	// MapPCA are the two principal components.
	MapPCA MapMethod = C.SEED_MAP_PCA
)

// MapOptions say how embeddings come onto a plane; 0 is the default everywhere.
type MapOptions struct {
	// MaxPoints are drawn, at most 5000; of more embeddings a random part, of the largest classes least. Default: 2000.
	MaxPoints int
	// Perplexity is about how many neighbours count, of t-SNE, 1 to 1000. Default: 30.
	Perplexity float64
	// Seed is that of the random part.
	Seed uint64
	// Method is how. Default: [MapTSNE].
	Method MapMethod
}

// AddMap adds a map of embeddings: a point for each image, coloured by its class, with its name where the pointer rests. Of labelled,
// Images (whose names are shown) and Labels may be left out. The same embeddings give the same map.
func (r *Report) AddMap(title string, embeddings Embeddings, labelled Labelled, options MapOptions) error {
	if err := embeddings.check("embeddings"); err != nil {
		return err
	}
	if len(labelled.Labels) != 0 && len(labelled.Labels) != embeddings.Count() {
		return invalid("%d labels for %d embeddings", len(labelled.Labels), embeddings.Count())
	}
	if options.MaxPoints < 0 {
		return invalid("MaxPoints is %d, expected at least 1, or 0 for the default", options.MaxPoints)
	}
	var t texts
	defer t.free()
	head, names := t.add("title", title), t.array("classes", labelled.Classes)
	if t.err != nil {
		return t.err
	}
	var images *C.seed_dataset
	if labelled.Images != nil {
		object, err := labelled.Images.inner().acquire()
		if err != nil {
			return err
		}
		defer labelled.Images.handle.release()
		images = object
	}
	o := C.seed_map_options{
		struct_size: C.sizeof_seed_map_options,
		max_points:  C.size_t(options.MaxPoints),
		perplexity:  C.double(options.Perplexity),
		seed:        C.uint64_t(options.Seed),
		method:      C.int32_t(options.Method),
	}
	return with(r.inner(), func(object *C.seed_report) *C.seed_error {
		return C.seed_report_add_map(object, head, floats(embeddings.Values), C.size_t(embeddings.Count()), C.size_t(embeddings.Dim),
			classes(labelled.Labels), names, C.size_t(len(labelled.Classes)), images, &o)
	})
}

// HeatFigure is a frame and its heat map.
type HeatFigure struct {
	// Caption stands below.
	Caption string
	// Frame is the image.
	Frame Frame
	// Map is that of [Anomaly.MapFrame] for the frame.
	Map AnomalyMap
	// Threshold is the detector's ([Anomaly.Threshold]); 0: none.
	Threshold float32
	// Mask has a number other than 0 for each pixel where the defect really is; empty: not known.
	Mask []uint8
}

// AddHeatMap adds a frame and its heat map to the sheet of that title, which stands where it was first named; all of a sheet share
// one scale of colours.
func (r *Report) AddHeatMap(sheet string, figure HeatFigure) error {
	if len(figure.Mask) != 0 && len(figure.Mask) != len(figure.Map.Distances) {
		return invalid("a mask of %d pixels for a map of %d", len(figure.Mask), len(figure.Map.Distances))
	}
	var t texts
	defer t.free()
	title, caption := t.add("sheet", sheet), t.add("caption", figure.Caption)
	if t.err != nil {
		return t.err
	}
	array, unpin, err := views([]Frame{figure.Frame})
	if err != nil {
		return err
	}
	defer unpin()
	threshold := float64(figure.Threshold)
	if threshold == 0 {
		threshold = math.NaN()
	}
	return with(r.inner(), func(object *C.seed_report) *C.seed_error {
		return C.seed_report_add_heat_map(object, title, caption, unsafe.SliceData(array), floats(figure.Map.Distances),
			(*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(given(figure.Mask)))), C.size_t(len(figure.Map.Distances)),
			C.double(figure.Map.Score), C.double(threshold))
	})
}

// classes is the C view of a slice; the call must keep to its length. NULL for none.
func classes(values []int64) *C.int64_t {
	return (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(given(values))))
}

// given is the slice, or nil where it has no element: what is not NULL is read.
func given[T any](values []T) []T {
	if len(values) == 0 {
		return nil
	}
	return values
}
