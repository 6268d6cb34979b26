package seed

// #include "bridge.h"
import "C"

// HeadKind is what follows the features of a network.
type HeadKind int32

// The library's heads.
const (
	// HeadNone: nothing follows the features.
	HeadNone HeadKind = C.SEED_HEAD_NONE
	// HeadProjection: linear, ReLU, linear.
	HeadProjection HeadKind = C.SEED_HEAD_PROJECTION
	// HeadNormedProjection: linear, batch norm, ReLU, linear.
	HeadNormedProjection HeadKind = C.SEED_HEAD_NORMED_PROJECTION
	// HeadClassifier: a linear layer to classes.
	HeadClassifier HeadKind = C.SEED_HEAD_CLASSIFIER
	// HeadLinearProjection: one linear layer to the embedding, as MoCo-v1's.
	HeadLinearProjection HeadKind = C.SEED_HEAD_LINEAR_PROJECTION
)

// ResizeKind is how a frame becomes the network's image.
type ResizeKind int32

// The values of the setting "resize".
const (
	// ResizeWhole: all of a frame, each side resized to the network's.
	ResizeWhole ResizeKind = C.SEED_RESIZE_WHOLE
	// ResizeLetterbox: all of a frame with its aspect ratio, padded by the mean colour.
	ResizeLetterbox ResizeKind = C.SEED_RESIZE_LETTERBOX
	// ResizeCentre: the shorter side resized to size · 256/224 and the middle cut out.
	ResizeCentre ResizeKind = C.SEED_RESIZE_CENTRE
)

// ModelInfo is a network in figures.
type ModelInfo struct {
	// Parameters counts the numbers that a run learns, head included, running statistics not.
	Parameters int64
	// MultiplyAdds counts the multiplications with addition for one image of this size, head included, as torchvision counts
	// them (GMac times 10⁹); 0 where the network has an operation that cannot be counted.
	MultiplyAdds uint64
	// FeatureDim is the width of the features before the head.
	FeatureDim int
	// EmbeddingDim is the width of the embedding; with a classifier the number of classes, without a head FeatureDim.
	EmbeddingDim int
	// Mean is subtracted from red, green and blue in [0, 1].
	Mean [3]float64
	// Std divides red, green and blue afterwards.
	Std [3]float64
	// InputWidth is the number of pixels in a row of the network's images; others are resized to this size.
	InputWidth int
	// InputHeight is the number of rows of the network's images.
	InputHeight int
	// InputChannels is the number of channels of the network's images.
	InputChannels int
	// Head is what follows the features.
	Head HeadKind
	// Resize is how a frame becomes the network's image.
	Resize ResizeKind
}

// Model is what a network is, as it was when this was made. Any number of goroutines may use it at once.
type Model struct {
	_      noCopy
	handle *handle[*C.seed_model]
}

// Architectures are the names that [NewStudent] and [LoadTeacher] know.
func Architectures() ([]string, error) {
	if err := Init(); err != nil {
		return nil, err
	}
	var count C.size_t
	if err := check(C.seed_architecture_count(&count)); err != nil {
		return nil, err
	}
	names := make([]string, count)
	for i := range names {
		var err error
		names[i], err = fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
			return C.seed_architecture_name(C.size_t(i), buffer, capacity, length)
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}

// ModelOfArchitecture describes the student that [NewStudent] would make, without making it: image size, "embedding_dim",
// "projection_hidden", mean and std come from config. It takes milliseconds and hardly any memory.
func ModelOfArchitecture(architecture string, config *Config) (*Model, error) {
	var t texts
	defer t.free()
	name := t.add("architecture", architecture)
	if t.err != nil {
		return nil, t.err
	}
	settings, err := config.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer config.handle.release()
	return newModel(func(out **C.seed_model) *C.seed_error { return C.seed_model_new(name, settings, out) })
}

// OpenModel describes the network in a file without reading its weights: one of [Student.Save], or of [Student.Export] in any
// format. Nothing in the file is executed.
//
// Errors: [ErrIO], [ErrFormat] for a file that the library did not write or that is damaged.
func OpenModel(path string) (*Model, error) {
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return nil, t.err
	}
	return newModel(func(out **C.seed_model) *C.seed_error { return C.seed_model_open(file, out) })
}

// ModelOfStudent describes a student, its provenance as it is now.
func ModelOfStudent(student *Student) (*Model, error) {
	object, err := student.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer student.handle.release()
	return newModel(func(out **C.seed_model) *C.seed_error { return C.seed_model_from_student(object, out) })
}

// ModelOfTeacher describes a teacher for images of the configuration's size, mean and std, which a teacher itself does not
// have.
func ModelOfTeacher(teacher *Teacher, config *Config) (*Model, error) {
	object, err := teacher.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer teacher.handle.release()
	settings, err := config.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer config.handle.release()
	return newModel(func(out **C.seed_model) *C.seed_error { return C.seed_model_from_teacher(object, settings, out) })
}

// ModelOfSession describes the network that a session runs now.
func ModelOfSession(session *Session) (*Model, error) {
	object, err := session.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer session.handle.release()
	return newModel(func(out **C.seed_model) *C.seed_error { return C.seed_model_from_session(object, out) })
}

func newModel(construct func(**C.seed_model) *C.seed_error) (*Model, error) {
	h, err := create("Model", func(object *C.seed_model) { C.seed_model_free(object) }, construct)
	if err != nil {
		return nil, err
	}
	return owned(&Model{handle: h}, h), nil
}

func (m *Model) inner() *handle[*C.seed_model] {
	if m == nil || m.handle == nil {
		return absent[*C.seed_model]("Model")
	}
	return m.handle
}

// Close releases the model. The error is always nil.
func (m *Model) Close() error {
	m.inner().close()
	return nil
}

// Info is the network in figures.
func (m *Model) Info() (ModelInfo, error) {
	info := C.seed_model_info{struct_size: C.sizeof_seed_model_info}
	err := with(m.inner(), func(object *C.seed_model) *C.seed_error { return C.seed_model_get_info(object, &info) })
	if err != nil {
		return ModelInfo{}, err
	}
	found := ModelInfo{
		Parameters:    int64(info.parameters),
		MultiplyAdds:  uint64(info.multiply_adds),
		FeatureDim:    int(info.feature_dim),
		EmbeddingDim:  int(info.embedding_dim),
		InputWidth:    int(info.input_width),
		InputHeight:   int(info.input_height),
		InputChannels: int(info.input_channels),
		Head:          HeadKind(info.head),
		Resize:        ResizeKind(info.resize),
	}
	for i := range found.Mean {
		found.Mean[i], found.Std[i] = float64(info.mean[i]), float64(info.std[i])
	}
	return found, nil
}

// Architecture is the name of the architecture, such as "resnet18".
func (m *Model) Architecture() (string, error) {
	object, err := m.inner().acquire()
	if err != nil {
		return "", err
	}
	defer m.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_model_architecture(object, buffer, capacity, length)
	})
}

// Range says which samples of a frame become which of 256 levels, as pairs that [Config.Parse] takes.
func (m *Model) Range() (string, error) {
	object, err := m.inner().acquire()
	if err != nil {
		return "", err
	}
	defer m.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_model_range(object, buffer, capacity, length)
	})
}

// Provenance is where the network comes from, a JSON object: "library", "distillation" (teacher, images, steps, loss,
// settings) and what the application set by [Student.SetProvenance]. "{}" where nothing is known.
func (m *Model) Provenance() (string, error) {
	object, err := m.inner().acquire()
	if err != nil {
		return "", err
	}
	defer m.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_model_provenance(object, buffer, capacity, length)
	})
}
