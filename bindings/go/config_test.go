package seed_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	seed "libseed/bindings/go"
)

func TestConfigKeys(t *testing.T) {
	config := must[*seed.Config](t)(seed.NewConfig())
	defer config.Close()
	if value := must[int64](t)(config.GetInt("batch_size")); value != 256 {
		t.Errorf("batch_size is %d", value)
	}
	if value := must[float64](t)(config.GetFloat("temperature_teacher")); value != 0.01 {
		t.Errorf("temperature_teacher is %v", value)
	}
	ok(t, config.Parse("batch_size=7, steps=20\nsteps=0"))
	fails(t, seed.ErrConfig, config.Parse("batch_size=8 nothing"))
	ok(t, config.SetFloat("momentum", .5))
	ok(t, config.SetInt("weight_decay", 1))
	ok(t, config.SetString("device", "cpu"))
	if value := must[int64](t)(config.GetInt("batch_size")); value != 7 {
		t.Errorf("batch_size is %d", value)
	}
	if value := must[string](t)(config.GetString("device")); value != "cpu" {
		t.Errorf("device is %q", value)
	}
}

func TestConfigRefuses(t *testing.T) {
	config := must[*seed.Config](t)(seed.NewConfig())
	defer config.Close()
	err := config.SetInt("batchsize", 3)
	fails(t, seed.ErrConfig, err)
	if !strings.Contains(err.Error(), "batch_size") {
		t.Errorf("the nearest key is not named: %v", err)
	}
	fails(t, seed.ErrConfig, config.SetInt("batch_size", -3))
	fails(t, seed.ErrConfig, config.SetFloat("momentum", math.NaN()))
	fails(t, seed.ErrConfig, config.SetFloat("momentum", math.Inf(1)))
	_, err = config.GetInt("device")
	fails(t, seed.ErrConfig, err)
	_, err = config.GetString("no_such_key")
	fails(t, seed.ErrConfig, err)
	_, err = seed.ConfigFromJSON(`{"epochs": `)
	fails(t, seed.ErrConfig, err)
}

func TestConfigAsJSON(t *testing.T) {
	config := smallConfig(t)
	text := must[string](t)(config.JSON())
	var settings map[string]any
	ok(t, json.Unmarshal([]byte(text), &settings))
	if settings["batch_size"] != 4.0 {
		t.Errorf("batch_size is %v", settings["batch_size"])
	}
	again := must[*seed.Config](t)(seed.ConfigFromJSON(text))
	defer again.Close()
	if same := must[string](t)(again.JSON()); same != text {
		t.Errorf("read again it is %s, expected %s", same, text)
	}
}
