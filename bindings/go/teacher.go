package seed

// #include "bridge.h"
import "C"

// Teacher is what is learned from: a frozen network, a TorchScript file, an engine of the application, or what a teacher said before
// and that was stored ([TeacherFromBank], [TeacherFromEmbeddings]). A stored one serves [NewTrainer]; what has to show a teacher images
// refuses it with [ErrUnsupported]. Any number of goroutines may use it at once.
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
	return newTeacher(config, func(settings *C.seed_config, out **C.seed_teacher) *C.seed_error {
		return C.seed_teacher_load(file, name, settings, out)
	})
}

// LoadTorchScript makes a teacher of a TorchScript file, written by torch.jit.save: any PyTorch network that takes float
// images (B, 3, H, W), normalised by "mean" and "std" of the run, and gives floating-point rows (B, D), or (B, D, 1, 1).
// Where it gives a tuple, a list or a dict, output says which tensor to take, by its key, field or number from 0; "" takes
// the first. It is put into eval mode, frozen, moved to the "device" of config and tried on images of "image_width" and
// "image_height", which tells D. It computes in the type of its weights, whatever "precision" says.
//
// A TorchScript file is a program, unlike a file of weights: what it contains is run in this process, with all rights of this
// process. Load only what you would also run.
//
// Errors: [ErrIO], [ErrFormat] when the file is no TorchScript module, [ErrMismatch] when it refuses such images or gives
// something else, with what it gave.
func LoadTorchScript(path, output string, config *Config) (*Teacher, error) {
	var t texts
	defer t.free()
	file := t.add("path", path)
	var tensor *C.char
	if output != "" {
		tensor = t.add("output", output)
	}
	if t.err != nil {
		return nil, t.err
	}
	return newTeacher(config, func(settings *C.seed_config, out **C.seed_teacher) *C.seed_error {
		return C.seed_teacher_load_torchscript(file, tensor, settings, out)
	})
}

// TeacherFromBank makes a teacher of a bank: a run over it has the loss of the run with the teacher in the loop, to float16
// rounding, and no network of the teacher is needed. [NewTrainer] wants a finished bank that holds the views that its config asks
// for ("view_count", "seed" and the settings of the views) of its dataset, which is not nil then. [Trainer.Step] is refused.
func TeacherFromBank(bank *Bank) (*Teacher, error) {
	object, err := bank.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer bank.handle.release()
	return adoptTeacher(func(out **C.seed_teacher) *C.seed_error { return C.seed_teacher_from_bank(object, out) })
}

// TeacherFromEmbeddings makes a teacher of a table: every view of an image has one target, the image's own row. Rows are found by
// the names of the images where the table has names, else row i is image i's, when [NewTrainer] is given the dataset, which is not
// nil then. An image may lack a row, or have one of zeros, only where it cannot be read. [Trainer.Step] is refused.
//
// The target does not follow the crop, as it does with a network or a bank, so keep the views mild ("view.crop_scale_min"
// near 1); where the teacher can be run here, [FillBank] learns more from it.
func TeacherFromEmbeddings(table *EmbeddingTable) (*Teacher, error) {
	object, err := table.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer table.handle.release()
	return adoptTeacher(func(out **C.seed_teacher) *C.seed_error { return C.seed_teacher_from_embeddings(object, out) })
}

func newTeacher(config *Config, construct func(*C.seed_config, **C.seed_teacher) *C.seed_error) (*Teacher, error) {
	settings, err := config.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer config.handle.release()
	return adoptTeacher(func(out **C.seed_teacher) *C.seed_error { return construct(settings, out) })
}

func adoptTeacher(construct func(**C.seed_teacher) *C.seed_error) (*Teacher, error) {
	h, err := create("Teacher", func(object *C.seed_teacher) { C.seed_teacher_free(object) }, construct)
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

// Warnings is what you should know about the teacher although nothing failed, such as tensors of its file that were not understood.
func (t *Teacher) Warnings() ([]string, error) {
	return warnings(t.inner(), func(object *C.seed_teacher, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_teacher_warnings(object, buffer, capacity, length)
	})
}

// Dim is the width of the teacher's embedding; the student gets it too where "embedding_dim" is 0, the default.
func (t *Teacher) Dim() (int, error) {
	var dim C.int64_t
	err := with(t.inner(), func(object *C.seed_teacher) *C.seed_error { return C.seed_teacher_dim(object, &dim) })
	return int(dim), err
}

// ParameterCount is the number of parameters.
//
// Errors: [ErrUnsupported] for an engine of the application, which the library cannot look into, and a stored teacher.
func (t *Teacher) ParameterCount() (int64, error) {
	var count C.int64_t
	err := with(t.inner(), func(object *C.seed_teacher) *C.seed_error {
		return C.seed_teacher_parameter_count(object, &count)
	})
	return int64(count), err
}
