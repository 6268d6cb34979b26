package seed

// #include "bridge.h"
import "C"

import (
	"image"
	"unsafe"
)

// Stage is a feature map of a session's network that can be asked for.
type Stage struct {
	// Name is torchvision's: "layer2", "features.6".
	Name string
	// Channels is their number.
	Channels int
	// Stride is how many pixels of the input stand for one of the map in both directions: it is ⌈height/stride⌉ × ⌈width/stride⌉.
	Stride int
}

// Stages are the feature maps of the session's network, counted from the image on; none for some backbones.
func (s *Session) Stages() ([]Stage, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	var count C.size_t
	if err := check(C.seed_session_stage_count(object, &count)); err != nil {
		return nil, err
	}
	stages := make([]Stage, int(count))
	for i := range stages {
		var channels, stride C.int64_t
		name, err := fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
			return C.seed_session_stage(object, C.size_t(i), &channels, &stride, buffer, capacity, length)
		})
		if err != nil {
			return nil, err
		}
		stages[i] = Stage{Name: name, Channels: int(channels), Stride: int(stride)}
	}
	return stages, nil
}

// FeatureMap gives the feature maps of images at the stage of this name: numbers by image, channel, row and column. The images are
// resized as for Embed. What lies behind the stage is not computed.
//
// Errors: [ErrInvalidArgument] for an unknown name, listing those that there are.
func (s *Session) FeatureMap(name string, images ...image.Image) ([]float32, error) {
	frames, err := framesOf(images)
	if err != nil {
		return nil, err
	}
	return s.FeatureMapFrames(name, frames...)
}

// FeatureMapFrames is FeatureMap for raw pixels.
func (s *Session) FeatureMapFrames(name string, frames ...Frame) ([]float32, error) {
	var t texts
	defer t.free()
	stage := t.add("name", name)
	if t.err != nil {
		return nil, t.err
	}
	array, unpin, err := views(frames)
	if err != nil {
		return nil, err
	}
	defer unpin()
	object, err := s.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	return fill(func(buffer *float32, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_session_feature_map(object, stage, unsafe.SliceData(array), C.size_t(len(array)), (*C.float)(buffer), capacity, length)
	})
}
