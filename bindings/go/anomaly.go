package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"image"
	"unsafe"
)

// Anomaly is a memory of good parts that says how far an image is from all of them, and where. Any number of goroutines may use
// it at once, Add among them.
type Anomaly struct {
	_      noCopy
	handle *handle[*C.seed_anomaly]
}

// AnomalyScore is how far an image is from all good parts. Scores have no unit: compare those of one detector only.
type AnomalyScore struct {
	// Score is the distance.
	Score float32
	// Alarm tells that it is above the detector's threshold.
	Alarm bool
}

// AnomalyMap is where an image is far from all good parts.
type AnomalyMap struct {
	AnomalyScore
	// Distances has one for each of the image's own pixels, row after row.
	Distances []float32
	// Width is the number of pixels a row.
	Width int
	// Height is the number of rows.
	Height int
}

func freeAnomaly(object *C.seed_anomaly) { C.seed_anomaly_free(object) }

// FitAnomaly learns images that are all of good parts, by the features of student and the settings "anomaly.…", "seed", "device"
// and "precision" of config; docs/anomaly.md says how. A part of the images, "anomaly.held_out", is not learned but sets the
// threshold for "anomaly.false_alarm_rate"; where several images show the same part, say so by "anomaly.group". Broken images are
// left out. With "anomaly.checkpoint_path" the kind stfpm goes on where it was ended. progress (may be nil) and ctx are as for
// [Session.EmbedDataset].
//
// Errors: [ErrCancelled] when ctx or progress ended it; [ErrIO] or [ErrFormat] when there is no sound image, [ErrInvalidArgument] for one group of images
// only, or a feature map is unknown; [ErrUnsupported] when the backbone has none; [ErrMismatch] and [ErrFormat] when the checkpoint
// is of another run or damaged.
func FitAnomaly(ctx context.Context, config *Config, student *Student, good *Dataset, progress func(done, total int) error) (*Anomaly, error) {
	settings, err := config.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer config.handle.release()
	network, err := student.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer student.handle.release()
	images, err := good.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer good.handle.release()

	var made *C.seed_anomaly
	var anomaly *Anomaly
	defer func() {
		// A callback may have failed, or its panic goes on through here, when C was through.
		if anomaly == nil && made != nil {
			freeAnomaly(made)
		}
	}()
	err = counted(ctx, progress, func(handle C.uintptr_t, token *C.seed_cancel_token) error {
		return check(C.seed_go_anomaly_fit(settings, network, images, handle, token, &made))
	})
	if err != nil {
		return nil, err
	}
	h := adopt("Anomaly", freeAnomaly, made)
	anomaly = owned(&Anomaly{handle: h}, h)
	return anomaly, nil
}

// OpenAnomaly opens a file of [Anomaly.Save]. "device" and "precision" come from config.
//
// Errors: [ErrIO], [ErrFormat] for a file that is damaged, hostile or no detector's.
func OpenAnomaly(path string, config *Config) (*Anomaly, error) {
	construct := func(file *C.char, settings *C.seed_config, out **C.seed_anomaly) *C.seed_error {
		return C.seed_anomaly_open(file, settings, out)
	}
	h, err := openFile("Anomaly", freeAnomaly, path, config, construct)
	if err != nil {
		return nil, err
	}
	return owned(&Anomaly{handle: h}, h), nil
}

func (a *Anomaly) inner() *handle[*C.seed_anomaly] {
	if a == nil || a.handle == nil {
		return absent[*C.seed_anomaly]("Anomaly")
	}
	return a.handle
}

// Close releases the detector once the calls that use it have ended. The error is always nil.
func (a *Anomaly) Close() error {
	a.inner().close()
	return nil
}

// Warnings is what you should know about the detector although nothing failed, such as a threshold that no held-out image has set.
func (a *Anomaly) Warnings() ([]string, error) {
	return warnings(a.inner(), func(object *C.seed_anomaly, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_anomaly_warnings(object, buffer, capacity, length)
	})
}

// Add learns further images of good parts, while the detector goes on judging: the memory grows by what it does not cover, up to
// its "anomaly.memory_max", and "anomaly.held_out" of the images join those that set the threshold. Calls under way end with what
// they began with.
//
// Errors: as [FitAnomaly]; nothing has changed then.
func (a *Anomaly) Add(ctx context.Context, config *Config, good *Dataset, progress func(done, total int) error) error {
	object, err := a.inner().acquire()
	if err != nil {
		return err
	}
	defer a.handle.release()
	settings, err := config.inner().acquire()
	if err != nil {
		return err
	}
	defer config.handle.release()
	images, err := good.inner().acquire()
	if err != nil {
		return err
	}
	defer good.handle.release()
	return counted(ctx, progress, func(handle C.uintptr_t, token *C.seed_cancel_token) error {
		return check(C.seed_go_anomaly_add(object, settings, images, handle, token))
	})
}

// Save writes the detector to one safetensors file, atomically: backbone, memory, held-out scores and settings.
func (a *Anomaly) Save(path string) error {
	return save(a.inner(), path, func(object *C.seed_anomaly, file *C.char) *C.seed_error { return C.seed_anomaly_save(object, file) })
}

// Threshold is the score above which an image is an alarm, and the false-alarm rate that it keeps on good parts: the one that was
// asked for, or 1/(n + 1) where n held-out groups of images ("anomaly.group") are too few for it, with "anomaly.confidence" c
// 1 - (1 - c)^(1/n). Where none was held out the threshold comes of the learned images themselves, the rate is NaN, and
// [Anomaly.Warnings] says so.
func (a *Anomaly) Threshold() (threshold float32, rate float64, err error) {
	var score C.float
	var share C.double
	err = with(a.inner(), func(object *C.seed_anomaly) *C.seed_error {
		return C.seed_anomaly_threshold(object, &score, &share)
	})
	return float32(score), float64(share), err
}

// Describe is what is known about the detector, a JSON object: "settings", "patches" and "patch_dim" of the memory, "held_out"
// and "held_out_groups" (how many images and groups of images), "threshold" and "rate" (null where none was held out).
func (a *Anomaly) Describe() (string, error) {
	object, err := a.inner().acquire()
	if err != nil {
		return "", err
	}
	defer a.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_anomaly_describe(object, buffer, capacity, length)
	})
}

// Score scores images of any sizes.
func (a *Anomaly) Score(images ...image.Image) ([]AnomalyScore, error) {
	frames, err := framesOf(images)
	if err != nil {
		return nil, err
	}
	return a.ScoreFrames(frames...)
}

// ScoreFrames is Score for raw pixels.
func (a *Anomaly) ScoreFrames(frames ...Frame) ([]AnomalyScore, error) {
	array, unpin, err := views(frames)
	if err != nil {
		return nil, err
	}
	defer unpin()
	scores, alarms := make([]float32, len(frames)), make([]byte, len(frames))
	err = with(a.inner(), func(object *C.seed_anomaly) *C.seed_error {
		return C.seed_anomaly_score(object, unsafe.SliceData(array), C.size_t(len(array)), floats(scores), octets(alarms))
	})
	if err != nil {
		return nil, err
	}
	found := make([]AnomalyScore, len(frames))
	for i := range found {
		found[i] = AnomalyScore{Score: scores[i], Alarm: alarms[i] != 0}
	}
	return found, nil
}

// Map is the heat map of an image, in its own pixels.
func (a *Anomaly) Map(img image.Image) (AnomalyMap, error) {
	frame, err := FrameOf(img)
	if err != nil {
		return AnomalyMap{}, err
	}
	return a.MapFrame(frame)
}

// MapFrame is Map for raw pixels.
func (a *Anomaly) MapFrame(frame Frame) (AnomalyMap, error) {
	array, unpin, err := views([]Frame{frame})
	if err != nil {
		return AnomalyMap{}, err
	}
	defer unpin()
	// Each call computes, so it is not asked for the size, which is known.
	distances := make([]float32, frame.Width*frame.Height)
	var length C.size_t
	var score C.float
	var alarm C.uint8_t
	err = with(a.inner(), func(object *C.seed_anomaly) *C.seed_error {
		return C.seed_anomaly_map(object, unsafe.SliceData(array), floats(distances), C.size_t(len(distances)), &length, &score, &alarm)
	})
	if err != nil {
		return AnomalyMap{}, err
	}
	return AnomalyMap{AnomalyScore: AnomalyScore{Score: float32(score), Alarm: alarm != 0}, Distances: distances[:int(length)],
		Width: frame.Width, Height: frame.Height}, nil
}
