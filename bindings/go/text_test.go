package seed_test

import (
	"path/filepath"
	"strings"
	"testing"

	seed "libseed/bindings/go"
)

func TestTextsWithNULAreRefused(t *testing.T) {
	const text = "a\x00b"
	config := smallConfig(t)
	_, err := seed.OpenFolder(text)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.OpenFiles("fine.png", text)
	fails(t, seed.ErrInvalidArgument, err)
	fails(t, seed.ErrInvalidArgument, config.SetInt(text, 1))
	fails(t, seed.ErrInvalidArgument, config.SetString("device", text))
	_, err = config.GetString(text)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.ConfigFromJSON(text)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.NewStudent(text, config)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.LoadTeacher("fine", text, config)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.OpenSession(text, config)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.LoadQueue(text)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.NewReport(text)
	fails(t, seed.ErrInvalidArgument, err)
	fails(t, seed.ErrInvalidArgument, seed.LogToStderr(text))
}

func TestTextsMustBeUTF8(t *testing.T) {
	config := smallConfig(t)
	fails(t, seed.ErrInvalidArgument, config.SetString("device", "\xff\xfe"))
	_, err := seed.OpenFolder("/tmp/\xff")
	fails(t, seed.ErrInvalidArgument, err)
}

func TestOddTexts(t *testing.T) {
	images := must[*seed.Dataset](t)(seed.NewDataset())
	defer images.Close()
	for i, name := range []string{"größe 図 🦀", "a\nb\t\"<&>", strings.Repeat("long", 100_000), " "} {
		index := must[int](t)(images.Push(stripes(2, 9, 9), name))
		if found := must[string](t)(images.Name(index)); index != i || found != name {
			t.Errorf("image %d is named %.20q, expected %d and %.20q", index, found, i, name)
		}
	}
	config := smallConfig(t)
	fails(t, seed.ErrConfig, config.SetInt("", 1))
	fails(t, seed.ErrConfig, config.SetInt(strings.Repeat("k", 1<<20), 1))
	_, err := seed.OpenFolder("")
	fails(t, seed.ErrIO, err)
	student := newStudent(t, config)
	ok(t, student.Save(filepath.Join(t.TempDir(), "schüler 図.safetensors")))
}
