package seed

// #include "bridge.h"
import "C"

// Drift is a reference of embeddings that tells when a station's images are no longer those that a student was made for. Any
// number of goroutines may use it at once.
type Drift struct {
	_      noCopy
	handle *handle[*C.seed_drift]
}

// DriftSignal is what a batch says.
type DriftSignal struct {
	// Energy is the energy distance of the batch from the reference; about 0 when nothing has changed.
	Energy float64
	// Threshold is what one of a hundred batches of the reference's own rows exceeds.
	Threshold float64
	// PValue is the share of the reference's own batches that reach this energy, from 1/1000 on.
	PValue float64
	// Nearest is the mean of 1 − cosine to the nearest reference row.
	Nearest float64
	// NearestReference is the same of the reference's own rows.
	NearestReference float64
	// Outside is the share of the batch that is farther from the reference than 99 % of its own rows.
	Outside float64
	// Raised tells that the energy is above the threshold.
	Raised bool
}

// NewDrift makes a reference of embeddings, at least 20, better some hundreds; of more than 4096, as many at even distances are
// used.
func NewDrift(embeddings Embeddings) (*Drift, error) {
	if err := embeddings.check("embeddings"); err != nil {
		return nil, err
	}
	return newDrift(func(out **C.seed_drift) *C.seed_error {
		return C.seed_drift_new(floats(embeddings.Values), C.size_t(embeddings.Count()), C.size_t(embeddings.Dim), out)
	})
}

// LoadDrift reads a reference that Save wrote.
func LoadDrift(path string) (*Drift, error) {
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return nil, t.err
	}
	return newDrift(func(out **C.seed_drift) *C.seed_error { return C.seed_drift_load(file, out) })
}

func newDrift(construct func(**C.seed_drift) *C.seed_error) (*Drift, error) {
	h, err := create("Drift", func(object *C.seed_drift) { C.seed_drift_free(object) }, construct)
	if err != nil {
		return nil, err
	}
	return owned(&Drift{handle: h}, h), nil
}

func (d *Drift) inner() *handle[*C.seed_drift] {
	if d == nil || d.handle == nil {
		return absent[*C.seed_drift]("Drift")
	}
	return d.handle
}

// Close releases the reference. The error is always nil.
func (d *Drift) Close() error {
	d.inner().close()
	return nil
}

// SetSession notes that the reference is of embeddings of session: how its frames become its input, which Save keeps. A reference
// that knows it already is compared instead, so call it after [NewDrift] and after [LoadDrift].
//
// Errors: [ErrMismatch] where its frames were seen in another way.
func (d *Drift) SetSession(session *Session) error {
	second, err := session.inner().acquire()
	if err != nil {
		return err
	}
	defer session.handle.release()
	return with(d.inner(), func(object *C.seed_drift) *C.seed_error { return C.seed_drift_set_session(object, second) })
}

// Save writes the reference to a safetensors file, atomically: keep it beside the student.
func (d *Drift) Save(path string) error {
	return save(d.inner(), path, func(object *C.seed_drift, file *C.char) *C.seed_error { return C.seed_drift_save(object, file) })
}

// Measure tells what a batch of the same student's embeddings says, 2 to half of the reference's rows. The first batch of a size
// takes longest.
//
// Errors: [ErrMismatch] for another width.
func (d *Drift) Measure(batch Embeddings) (DriftSignal, error) {
	if err := batch.check("batch"); err != nil {
		return DriftSignal{}, err
	}
	c := C.seed_drift_signal{struct_size: C.sizeof_seed_drift_signal}
	err := with(d.inner(), func(object *C.seed_drift) *C.seed_error {
		return C.seed_drift_measure(object, floats(batch.Values), C.size_t(batch.Count()), C.size_t(batch.Dim), &c)
	})
	if err != nil {
		return DriftSignal{}, err
	}
	return DriftSignal{
		Energy:           float64(c.energy),
		Threshold:        float64(c.threshold),
		PValue:           float64(c.p_value),
		Nearest:          float64(c.nearest),
		NearestReference: float64(c.nearest_reference),
		Outside:          float64(c.outside),
		Raised:           c.raised != 0,
	}, nil
}
