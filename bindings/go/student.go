package seed

// #include "bridge.h"
import "C"

// Student is a compact network with a projection head. Trainers share it; sessions take a copy of its weights as they are
// when the session is made. Any number of goroutines may use it at once; they wait for a step that is writing the weights.
// LoadWeights wants it alone.
type Student struct {
	_      noCopy
	handle *handle[*C.seed_student]
}

// NewStudent makes a student with random weights, drawn from the configuration's "seed", of one of [Architectures].
// "embedding_dim", "projection_hidden", "device", image size, mean and std come from config. With "embedding_dim" 0, the default, its
// first trainer gives it a projection head of the teacher's width; until then its embedding is its features.
func NewStudent(architecture string, config *Config) (*Student, error) {
	return newStudent("architecture", architecture, config,
		func(name *C.char, settings *C.seed_config, out **C.seed_student) *C.seed_error {
			return C.seed_student_new(name, settings, out)
		})
}

// LoadStudent reads a student that Save wrote, to the configuration's "device". Image size, mean and std are the file's.
func LoadStudent(path string, config *Config) (*Student, error) {
	return newStudent("path", path, config,
		func(path *C.char, settings *C.seed_config, out **C.seed_student) *C.seed_error {
			return C.seed_student_load(path, settings, out)
		})
}

func newStudent(what, text string, config *Config,
	construct func(*C.char, *C.seed_config, **C.seed_student) *C.seed_error) (*Student, error) {
	var t texts
	defer t.free()
	copied := t.add(what, text)
	if t.err != nil {
		return nil, t.err
	}
	settings, err := config.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer config.handle.release()
	h, err := create("Student", func(object *C.seed_student) { C.seed_student_free(object) },
		func(out **C.seed_student) *C.seed_error { return construct(copied, settings, out) })
	if err != nil {
		return nil, err
	}
	return owned(&Student{handle: h}, h), nil
}

func (s *Student) inner() *handle[*C.seed_student] {
	if s == nil || s.handle == nil {
		return absent[*C.seed_student]("Student")
	}
	return s.handle
}

// Close releases the student. The error is always nil.
func (s *Student) Close() error {
	s.inner().close()
	return nil
}

// Warnings is what you should know about the student although nothing failed, such as tensors of a file of weights that were not understood.
func (s *Student) Warnings() ([]string, error) {
	return warnings(s.inner(), func(object *C.seed_student, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_student_warnings(object, buffer, capacity, length)
	})
}

// Save writes the student to a safetensors file with torchvision's key names, atomically.
func (s *Student) Save(path string) error {
	return save(s.inner(), path, func(object *C.seed_student, file *C.char) *C.seed_error { return C.seed_student_save(object, file) })
}

// Dim is the width of the embedding, C.
func (s *Student) Dim() (int, error) {
	var dim C.int64_t
	err := with(s.inner(), func(object *C.seed_student) *C.seed_error { return C.seed_student_dim(object, &dim) })
	return int(dim), err
}

// ParameterCount is the number of parameters, projection head included.
func (s *Student) ParameterCount() (int64, error) {
	var count C.int64_t
	err := with(s.inner(), func(object *C.seed_student) *C.seed_error {
		return C.seed_student_parameter_count(object, &count)
	})
	return int64(count), err
}
