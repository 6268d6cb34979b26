package seed

// #include "bridge.h"
import "C"

import "encoding/json"

// DescribeWeights says what a file of weights holds, as JSON: "format" ("safetensors", "torch_zip" or "torch_legacy"),
// "metadata" (the texts in the file) and "states", one for each state dict, with the keys it lies "under", the number of
// "tensors" and "elements", the element "types", the "first_names", and "networks": each architecture whose weights all are
// there, with "architecture" (for [LoadTeacher] and [NewStudent]), "layout" (whose names they are), "prefix" (what stands
// before each name) and "head" ("kind" and widths). Where there is none, "nearest" is the architecture that has the largest
// share of its tensors there. The file is read as data, and its tensors' bytes are not read.
//
// Errors: [ErrIO], [ErrFormat] for a damaged or hostile file.
func DescribeWeights(path string) (string, error) {
	if err := Init(); err != nil {
		return "", err
	}
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return "", t.err
	}
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_weights_describe(file, buffer, capacity, length)
	})
}

// LoadWeights lets the student start from earlier weights, before it is trained: ImageNet's as torchvision, timm or Hugging
// Face publish them, another student's, or a checkpoint of SEED's (its student) and other self-supervised methods. The file is
// safetensors or a torch checkpoint, is read as data, and must hold the whole backbone of the student's architecture. A
// projection head in it is taken if it has the student's widths, and else the student keeps its own. All or nothing. Image
// size, mean and std stay those of the student: set them to what the weights were trained with. It wants the student alone; a
// run that trains the student goes on from the new weights with its next step.
//
// Errors: [ErrIO], [ErrFormat] for a damaged or hostile file, [ErrMismatch] listing missing, unexpected and misshapen keys and
// the architecture whose weights they are, [ErrBusy]. The student is as it was then.
func (s *Student) LoadWeights(path string) error {
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return t.err
	}
	return with(s.inner(), func(object *C.seed_student) *C.seed_error {
		return C.seed_student_load_weights(object, file)
	})
}

// WeightsReport is what the last LoadWeights did, as JSON: "layout" (whose names the file had), "prefix" (what was taken off
// each name), "head" (whether the file's was taken), "loaded" and "converted" (numbers of tensors), "defaulted" (counters that
// the file lacks) and "ignored" (the file's tensors that were not used).
//
// Errors: [ErrInvalidArgument] where none were loaded.
func (s *Student) WeightsReport() (string, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return "", err
	}
	defer s.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_student_weights_report(object, buffer, capacity, length)
	})
}

// Provenance is what SetProvenance and the student's runs have noted, a JSON object.
func (s *Student) Provenance() (string, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return "", err
	}
	defer s.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_student_provenance(object, buffer, capacity, length)
	})
}

// SetProvenance notes where the student comes from, for every file that is written of it: scores, a line's name, a date. The
// value goes through encoding/json; nil removes the key. A run notes its teacher, the number of images, steps, loss and
// settings by itself under "distillation", the library its version under "library"; these two cannot be set.
// [Model.Provenance] reads all of it.
//
// Errors: [ErrInvalidArgument] for a value that is no JSON, an empty or reserved key, or more than 256 KiB in all; nothing is
// changed then.
func (s *Student) SetProvenance(key string, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return &Error{Code: ErrInvalidArgument, Message: "the value of " + key + " is no JSON: " + err.Error(), cause: err}
	}
	var t texts
	defer t.free()
	name, text := t.add("key", key), t.add("value", string(encoded))
	if t.err != nil {
		return t.err
	}
	return with(s.inner(), func(object *C.seed_student) *C.seed_error {
		return C.seed_student_set_provenance(object, name, text)
	})
}
