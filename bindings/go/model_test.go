package seed_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	seed "libseed/bindings/go"
)

func TestArchitectures(t *testing.T) {
	names := must[[]string](t)(seed.Architectures())
	if !slices.Contains(names, "resnet18") || !slices.Contains(names, "mobilenet_v3_small") {
		t.Errorf("%v", names)
	}
	config := smallConfig(t)
	model := must[*seed.Model](t)(seed.ModelOfArchitecture("resnet18", config))
	defer model.Close()
	info := must[seed.ModelInfo](t)(model.Info())
	// 11.18 million of torchvision's without the classifier, and the head's 512·512 + 512 + 512·16 + 16.
	if info.FeatureDim != 512 || info.EmbeddingDim != dim || info.InputWidth != side || info.InputHeight != side ||
		info.InputChannels != 3 || info.Head != seed.HeadProjection || info.Resize != seed.ResizeWhole || info.Parameters != 11176512+262656+8208 ||
		info.MultiplyAdds == 0 || math.Abs(info.Mean[0]-.485) > 1e-6 || math.Abs(info.Std[2]-.225) > 1e-6 {
		t.Errorf("%+v", info)
	}
	if name := must[string](t)(model.Architecture()); name != "resnet18" {
		t.Errorf("%q", name)
	}
	fails(t, seed.ErrInvalidArgument, second(seed.ModelOfArchitecture("resnet19", config)))
}

func TestExport(t *testing.T) {
	config := smallConfig(t)
	student := newStudent(t, config)
	ok(t, student.SetProvenance("line", map[string]any{"name": "Presse ü", "score": .75}))
	ok(t, student.SetProvenance("gone", 1))
	ok(t, student.SetProvenance("gone", nil))
	if noted := must[string](t)(student.Provenance()); !strings.Contains(noted, "Presse ü") || strings.Contains(noted, "gone") {
		t.Errorf("%s", noted)
	}
	fails(t, seed.ErrInvalidArgument, student.SetProvenance("library", 1))
	fails(t, seed.ErrInvalidArgument, student.SetProvenance("", 1))
	fails(t, seed.ErrInvalidArgument, student.SetProvenance("line", make(chan int)))
	file := filepath.Join(t.TempDir(), "exported")
	for _, options := range []seed.ExportOptions{
		{}, {Format: seed.ExportONNX, Input: seed.InputBytes, Outputs: seed.OutputBoth},
		{Format: seed.ExportTorchScript, Input: seed.InputUnit, Outputs: seed.OutputFeatures},
		{Format: seed.ExportTorchvision}, {Format: seed.ExportBackbone},
	} {
		ok(t, student.Export(file, options))
		model := must[*seed.Model](t)(seed.OpenModel(file))
		var provenance struct{ Line struct{ Name string } }
		ok(t, json.Unmarshal([]byte(must[string](t)(model.Provenance())), &provenance))
		if name := must[string](t)(model.Architecture()); name != "mobilenet_v3_small" || provenance.Line.Name != "Presse ü" {
			t.Errorf("%+v: %q, %+v", options, name, provenance)
		}
		if strings.Contains(must[string](t)(model.Provenance()), "gone") {
			t.Error("what was removed is still there")
		}
		ok(t, model.Close())
	}
	fails(t, seed.ErrInvalidArgument, student.Export(file, seed.ExportOptions{Format: 77}))
	fails(t, seed.ErrInvalidArgument, student.Export(file, seed.ExportOptions{Input: -1}))
	fails(t, seed.ErrIO, student.Export("/no/such/folder/student", seed.ExportOptions{}))
	fails(t, seed.ErrIO, second(seed.OpenModel("/no/such/file")))
	ok(t, os.WriteFile(file, []byte("no model"), 0o600))
	fails(t, seed.ErrFormat, second(seed.OpenModel(file)))
}

func TestModelsOfObjects(t *testing.T) {
	config := smallConfig(t)
	student, teacher := newStudent(t, config), newTeacher(t, config)
	session := must[*seed.Session](t)(seed.SessionFromStudent(student, config))
	defer session.Close()
	parameters := must[int64](t)(student.ParameterCount())
	for i, model := range []*seed.Model{
		must[*seed.Model](t)(seed.ModelOfStudent(student)), must[*seed.Model](t)(seed.ModelOfTeacher(teacher, config)),
		must[*seed.Model](t)(seed.ModelOfSession(session)),
	} {
		if info := must[seed.ModelInfo](t)(model.Info()); info.Parameters != parameters || info.InputWidth != side {
			t.Errorf("model %d: %+v", i, info)
		}
		ok(t, model.Close())
		closed(t, second(model.Info()))
		closed(t, second(model.Architecture()))
		closed(t, second(model.Provenance()))
	}
	closed(t, second(seed.ModelOfStudent(nil)))
	closed(t, second(seed.ModelOfTeacher(nil, config)))
	closed(t, second(seed.ModelOfTeacher(teacher, nil)))
	closed(t, second(seed.ModelOfSession(nil)))
	closed(t, second(seed.ModelOfArchitecture("resnet18", nil)))
}

func TestWeights(t *testing.T) {
	config := smallConfig(t)
	file := filepath.Join(t.TempDir(), "weights")
	ok(t, newStudent(t, config).Save(file))
	description := must[string](t)(seed.DescribeWeights(file))
	if !json.Valid([]byte(description)) || !strings.Contains(description, "mobilenet_v3_small") {
		t.Errorf("%s", description)
	}
	ok(t, config.SetInt("seed", 9))
	student := newStudent(t, config)
	fails(t, seed.ErrInvalidArgument, second(student.WeightsReport()))
	ok(t, student.LoadWeights(file))
	var report struct {
		Head   bool
		Loaded int
	}
	ok(t, json.Unmarshal([]byte(must[string](t)(student.WeightsReport())), &report))
	if !report.Head || report.Loaded < 100 {
		t.Errorf("%+v", report)
	}
	// The weights are the file's now.
	vectors := seed.Embeddings{Dim: dim}
	for _, session := range []*seed.Session{
		must[*seed.Session](t)(seed.SessionFromStudent(student, config)), must[*seed.Session](t)(seed.OpenSession(file, config)),
	} {
		vectors.Values = append(vectors.Values, must[seed.Embeddings](t)(session.Embed(stripes(3, 40, 36))).Values...)
		ok(t, session.Close())
	}
	for i := range dim {
		if math.Abs(float64(vectors.Values[i]-vectors.Values[dim+i])) > 1e-4 {
			t.Fatalf("%v", vectors.Values)
		}
	}
	other := must[*seed.Student](t)(seed.NewStudent("resnet10", config))
	defer other.Close()
	fails(t, seed.ErrMismatch, other.LoadWeights(file))
	fails(t, seed.ErrIO, student.LoadWeights("/no/such/file"))
	fails(t, seed.ErrIO, second(seed.DescribeWeights("/no/such/file")))
	closed(t, (*seed.Student)(nil).LoadWeights(file))
	closed(t, second((*seed.Student)(nil).WeightsReport()))
	closed(t, (*seed.Student)(nil).SetProvenance("a", 1))
	closed(t, second((*seed.Student)(nil).Provenance()))
	closed(t, (*seed.Student)(nil).Export(file, seed.ExportOptions{}))
}
