package seed

// #include "bridge.h"
import "C"

// Teacher is a frozen network. Any number of goroutines may use it at once.
type Teacher struct {
	_      noCopy
	handle *handle[*C.seed_teacher]
}

// LoadTeacher reads a teacher's weights from a safetensors file or a torch checkpoint (.pt, .pth, .pth.tar; zip or legacy
// format), which is read as data: nothing in it is executed. Without a projection head in the file the embedding is the
// backbone's features. The architecture is named as for [NewStudent]; "device" comes from config.
//
// Errors: [ErrIO], [ErrFormat] for a damaged or hostile file, [ErrMismatch] listing missing, unexpected and misshapen keys.
func LoadTeacher(path, architecture string, config *Config) (*Teacher, error) {
	var t texts
	defer t.free()
	file, name := t.add("path", path), t.add("architecture", architecture)
	if t.err != nil {
		return nil, t.err
	}
	settings, err := config.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer config.handle.release()
	h, err := create("Teacher", func(object *C.seed_teacher) { C.seed_teacher_free(object) },
		func(out **C.seed_teacher) *C.seed_error { return C.seed_teacher_load(file, name, settings, out) })
	if err != nil {
		return nil, err
	}
	return owned(&Teacher{handle: h}, h), nil
}

func (t *Teacher) inner() *handle[*C.seed_teacher] {
	if t == nil || t.handle == nil {
		return absent[*C.seed_teacher]("Teacher")
	}
	return t.handle
}

// Close releases the teacher. The error is always nil.
func (t *Teacher) Close() error {
	t.inner().close()
	return nil
}

// Dim is the width of the teacher's embedding; set "embedding_dim" to it before making the student.
func (t *Teacher) Dim() (int, error) {
	var dim C.int64_t
	err := with(t.inner(), func(object *C.seed_teacher) *C.seed_error { return C.seed_teacher_dim(object, &dim) })
	return int(dim), err
}

// ParameterCount is the number of parameters.
func (t *Teacher) ParameterCount() (int64, error) {
	var count C.int64_t
	err := with(t.inner(), func(object *C.seed_teacher) *C.seed_error {
		return C.seed_teacher_parameter_count(object, &count)
	})
	return int64(count), err
}
