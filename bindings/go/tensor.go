package seed

// #include "bridge.h"
import "C"

import "unsafe"

// What dlpack.h calls kDLCPU, kDLCUDAHost and kDLFloat.
const (
	deviceCPU      = 1
	deviceCUDAHost = 3
	typeFloat      = 2
)

// Tensor owns a DLManagedTensorVersioned of DLPack 1, the form in which libraries hand tensors to each other without a copy.
type Tensor struct {
	_      noCopy
	handle *handle[*C.struct_DLManagedTensorVersioned]
}

// EmbedDLPack gives the vectors of a batch of images in a tensor, which may be on a GPU: bytes (B, H, W, C) with C 1 or 3 (red,
// green, blue) of any size, which are resized and normalised as other images are; or float32, float16 or bfloat16
// (B, 3, height, width) of the session's size, normalised already. The result is (B, Dim) of float32 on the session's device,
// complete when the call returns. Frames in main memory are better given as a [Frame].
//
// images is a DLManagedTensorVersioned* of C, as another library gives it; neither it nor its data may be Go's memory. It is
// taken over whatever comes of the call: its deleter is called, on an error too, so do not call it. What writes a GPU's images
// must be done, or queued on the default stream, before the call.
//
// Errors: [ErrInvalidArgument] for another version, device, type or shape.
func (s *Session) EmbedDLPack(images unsafe.Pointer) (*Tensor, error) {
	batch := (*C.struct_DLManagedTensorVersioned)(images)
	object, err := s.inner().acquire()
	if err != nil {
		if batch != nil {
			C.seed_go_tensor_delete(batch)
		}
		return nil, err
	}
	defer s.handle.release()
	h, err := create("Tensor", func(tensor *C.struct_DLManagedTensorVersioned) { C.seed_go_tensor_delete(tensor) },
		func(out **C.struct_DLManagedTensorVersioned) *C.seed_error {
			return C.seed_session_embed_dlpack(object, batch, out)
		})
	if err != nil {
		return nil, err
	}
	return owned(&Tensor{handle: h}, h), nil
}

func (t *Tensor) inner() *handle[*C.struct_DLManagedTensorVersioned] {
	if t == nil || t.handle == nil {
		return absent[*C.struct_DLManagedTensorVersioned]("Tensor")
	}
	return t.handle
}

// Close calls the tensor's deleter. The error is always nil.
func (t *Tensor) Close() error {
	t.inner().close()
	return nil
}

// Release hands the DLManagedTensorVersioned* out, for another library to take: whoever has it calls its deleter. The tensor
// is closed then. It gives nil for a closed tensor and while Embeddings is reading.
func (t *Tensor) Release() unsafe.Pointer {
	return unsafe.Pointer(t.inner().take())
}

// Embeddings copies the rows of a tensor in main memory.
//
// Errors: [ErrUnsupported] for a tensor on a GPU: hand it to a library for that one, by Release.
func (t *Tensor) Embeddings() (Embeddings, error) {
	tensor, err := t.inner().acquire()
	if err != nil {
		return Embeddings{}, err
	}
	defer t.handle.release()
	if tensor.device_type != deviceCPU && tensor.device_type != deviceCUDAHost {
		return Embeddings{}, &Error{Code: ErrUnsupported, Message: "the tensor is on a GPU, expected main memory; " +
			"hand it to a library for that GPU by Release"}
	}
	if tensor.dimensions != 2 || tensor.type_code != typeFloat || tensor.type_bits != 32 || tensor.type_lanes != 1 {
		return Embeddings{}, invalid("the tensor has %d dimensions and type %d of %d bits, expected rows of float32",
			tensor.dimensions, tensor.type_code, tensor.type_bits)
	}
	shape := unsafe.Slice(tensor.shape, 2)
	count, dim := int(shape[0]), int(shape[1])
	rowStep, step := dim, 1
	if tensor.strides != nil {
		strides := unsafe.Slice(tensor.strides, 2)
		rowStep, step = int(strides[0]), int(strides[1])
	}
	values := make([]float32, count*dim)
	first := unsafe.Add(tensor.data, tensor.byte_offset)
	for i := range count {
		for j := range dim {
			values[i*dim+j] = *(*float32)(unsafe.Add(first, 4*(i*rowStep+j*step)))
		}
	}
	return Embeddings{Values: values, Dim: dim}, nil
}
