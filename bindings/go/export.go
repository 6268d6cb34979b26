package seed

// #include "bridge.h"
import "C"

// ExportFormat is what [Student.Export] writes.
type ExportFormat int32

// The library's formats.
const (
	// ExportONNX: an ONNX model, operator set 17, with a free batch size.
	ExportONNX ExportFormat = C.SEED_EXPORT_ONNX
	// ExportTorchScript: a TorchScript module, for torch::jit::load and torch.jit.load.
	ExportTorchScript ExportFormat = C.SEED_EXPORT_TORCHSCRIPT
	// ExportTorchvision: safetensors with torchvision's names; a projection stands in place of the classifier's last linear
	// layer.
	ExportTorchvision ExportFormat = C.SEED_EXPORT_TORCHVISION
	// ExportBackbone: safetensors with torchvision's names, without the head.
	ExportBackbone ExportFormat = C.SEED_EXPORT_BACKBONE
)

// ExportInput is what an exported network takes; a file of weights has no input.
type ExportInput int32

// The library's inputs.
const (
	// InputNormalised: float32 (B, 3, H, W), red, green, blue, normalised by the caller with the student's mean and std.
	InputNormalised ExportInput = C.SEED_EXPORT_INPUT_NORMALISED
	// InputUnit: float32 (B, 3, H, W) in [0, 1]; the network normalises.
	InputUnit ExportInput = C.SEED_EXPORT_INPUT_UNIT
	// InputBytes: bytes (B, H, W, 3), red, green, blue; the network does the rest.
	InputBytes ExportInput = C.SEED_EXPORT_INPUT_BYTES
)

// ExportOutputs is what an exported network gives; a file of weights has no outputs.
type ExportOutputs int32

// The library's outputs.
const (
	// OutputEmbedding: "embedding" (B, C), unit rows; with a classifier "logits".
	OutputEmbedding ExportOutputs = C.SEED_EXPORT_OUTPUT_EMBEDDING
	// OutputFeatures: "features" (B, D), not normalised.
	OutputFeatures ExportOutputs = C.SEED_EXPORT_OUTPUT_FEATURES
	// OutputBoth: both, the embedding first.
	OutputBoth ExportOutputs = C.SEED_EXPORT_OUTPUT_BOTH
	// OutputStages: the feature maps "c2" to "c5" (B, C, H/stride, W/stride) of strides 4, 8, 16 and 32, for the neck of a detector.
	OutputStages ExportOutputs = C.SEED_EXPORT_OUTPUT_STAGES
)

// ExportOptions say how a student is exported.
type ExportOptions struct {
	// Format is what is written; 0: ExportONNX.
	Format ExportFormat
	// Input is what the network takes; 0: InputNormalised.
	Input ExportInput
	// Outputs are what the network gives; 0: OutputEmbedding.
	Outputs ExportOutputs
}

// Export writes the student as it is now for other programs, to the student's image size and any batch size; a run may go on
// meanwhile. The file carries the student's description and provenance, which [OpenModel] reads. It is checked before it is
// in place: weights and ONNX models are read back and compared, TorchScript modules are run against the student. On an error
// what stood at path is as it was. docs/export.md has a use of each format.
//
// Errors: [ErrInvalidArgument] for options out of bounds and a student that has diverged; [ErrUnsupported] for an operation
// that the format lacks here, naming it, and an ONNX model of 2 GB and more; [ErrIO].
func (s *Student) Export(path string, options ExportOptions) error {
	return exported(s.inner(), path, options, func(object *C.seed_student, file *C.char, raw *C.seed_export_options) *C.seed_error {
		return C.seed_student_export(object, file, raw)
	})
}

// Export writes the classifier to one ONNX file, operator set 17, for any batch size: "probabilities" (B, K), calibrated; "class"
// (B), the most probable one; "confidence" (B), its probability; "unsure" (B), whether that lies below the threshold. The metadata
// has the class names, temperature and threshold, how images are made, and the provenance. The file is checked before it is in
// place; on an error what stood at path is as it was. docs/export.md lists inputs, outputs and metadata.
//
// Errors: [ErrInvalidArgument] for an unknown input and a network that gives NaN; [ErrUnsupported] for an operation that cannot be
// written, naming it, and 2 GB of weights and more; [ErrIO].
func (c *Classifier) Export(path string, input ExportInput) error {
	options := ExportOptions{Input: input}
	return exported(c.inner(), path, options, func(object *C.seed_classifier, file *C.char, raw *C.seed_export_options) *C.seed_error {
		return C.seed_classifier_export(object, file, raw)
	})
}

// Export writes the detector as it is now to one ONNX file, operator set 17, for any batch size: "score" (B); "alarm" (B), whether
// it lies above the threshold; "map" (B, H, W), the heat map in the pixels of the resized image. The metadata has settings,
// threshold, how images are made, how the map belongs to a frame, and the provenance. The file is checked before it is in place; on
// an error what stood at path is as it was. docs/export.md lists inputs, outputs and metadata.
//
// Errors: [ErrInvalidArgument] for an unknown input; [ErrMismatch] for a network that gives NaN; [ErrUnsupported] for an operation
// that cannot be written, naming it, and 2 GB of weights and more; [ErrIO].
func (a *Anomaly) Export(path string, input ExportInput) error {
	options := ExportOptions{Input: input}
	return exported(a.inner(), path, options, func(object *C.seed_anomaly, file *C.char, raw *C.seed_export_options) *C.seed_error {
		return C.seed_anomaly_export(object, file, raw)
	})
}

// exported writes an object by call with the C copies of path and options.
func exported[P comparable](h *handle[P], path string, options ExportOptions, call func(P, *C.char, *C.seed_export_options) *C.seed_error) error {
	if options.Format == 0 {
		options.Format = ExportONNX
	}
	raw := C.seed_export_options{
		struct_size: C.sizeof_seed_export_options,
		format:      C.int32_t(options.Format),
		input:       C.int32_t(options.Input),
		outputs:     C.int32_t(options.Outputs),
	}
	return save(h, path, func(object P, file *C.char) *C.seed_error { return call(object, file, &raw) })
}
