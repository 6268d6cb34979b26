package seed

// #include "bridge.h"
import "C"

// EventFile is a file of scalars that TensorBoard reads, for what the application measures. Distillation and full fine-tuning
// write their own where "tensorboard_folder" is set. For one goroutine at a time.
type EventFile struct {
	_      noCopy
	handle *handle[*C.seed_event_file]
}

// NewEventFile begins a new file in folder, which is made where it is absent and may hold earlier ones: what they say about firstStep
// and later steps is dropped.
func NewEventFile(folder string, firstStep uint64) (*EventFile, error) {
	var t texts
	defer t.free()
	place := t.add("folder", folder)
	if t.err != nil {
		return nil, t.err
	}
	h, err := create("EventFile", func(object *C.seed_event_file) { C.seed_event_file_free(object) },
		func(out **C.seed_event_file) *C.seed_error {
			return C.seed_event_file_new(place, C.uint64_t(firstStep), out)
		})
	if err != nil {
		return nil, err
	}
	return owned(&EventFile{handle: h}, h), nil
}

func (e *EventFile) inner() *handle[*C.seed_event_file] {
	if e == nil || e.handle == nil {
		return absent[*C.seed_event_file]("EventFile")
	}
	return e.handle
}

// AddScalar writes a value of tag at step; a tag "a/b" is shown in group a.
func (e *EventFile) AddScalar(tag string, step uint64, value float64) error {
	var t texts
	defer t.free()
	name := t.add("tag", tag)
	if t.err != nil {
		return t.err
	}
	return with(e.inner(), func(object *C.seed_event_file) *C.seed_error {
		return C.seed_event_file_add_scalar(object, name, C.uint64_t(step), C.double(value))
	})
}

// Close closes the file. The error is always nil.
func (e *EventFile) Close() error {
	e.inner().close()
	return nil
}
