package seed

// #include "bridge.h"
import "C"

// ClassLabels has a label for each image: the number of its class, which is the first folder of its name; −1 for an image outside
// of all folders. Classes are numbered by their names in order.
func (d *Dataset) ClassLabels() ([]int64, error) {
	object, err := d.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer d.handle.release()
	return fill(func(buffer *int64, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_dataset_class_labels(object, (*C.int64_t)(buffer), capacity, length)
	})
}

// Classes are the names of the classes that ClassLabels tells apart, their folders'.
func (d *Dataset) Classes() ([]string, error) {
	object, err := d.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer d.handle.release()
	var count C.size_t
	if err := check(C.seed_dataset_class_count(object, &count)); err != nil {
		return nil, err
	}
	return textsOf(count, func(index C.size_t, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_dataset_class_name(object, index, buffer, capacity, length)
	})
}

// textsOf asks for count texts by number.
func textsOf(count C.size_t, call func(index C.size_t, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error) ([]string, error) {
	lines := make([]string, int(count))
	for i := range lines {
		var err error
		lines[i], err = fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
			return call(C.size_t(i), buffer, capacity, length)
		})
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}
