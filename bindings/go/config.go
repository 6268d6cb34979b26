package seed

// #include "bridge.h"
import "C"

import "time"

// Config holds the settings of a run or a session, under string keys; docs/settings.md lists them with bounds and defaults.
// Objects made with a configuration keep a copy: changing it later changes nothing of theirs. For one goroutine at a time.
// "learning_rate" is for 256 images a step: a run takes learning_rate·batch_size/256.
type Config struct {
	_      noCopy
	handle *handle[*C.seed_config]
}

// NewConfig makes a configuration with the defaults, which are mostly the paper's values; see [Config.Preset].
func NewConfig() (*Config, error) {
	return newConfig(func(out **C.seed_config) *C.seed_error { return C.seed_config_new(out) })
}

// ConfigFromJSON makes a configuration from a flat JSON object of keys and values, as [Config.JSON] writes it; keys that
// are not there keep their defaults.
//
// Errors: [ErrConfig] for unknown keys, values out of bounds and text that is no such JSON.
func ConfigFromJSON(json string) (*Config, error) {
	var t texts
	defer t.free()
	text := t.add("json", json)
	if t.err != nil {
		return nil, t.err
	}
	return newConfig(func(out **C.seed_config) *C.seed_error { return C.seed_config_from_json(text, out) })
}

func newConfig(construct func(**C.seed_config) *C.seed_error) (*Config, error) {
	h, err := create("Config", func(object *C.seed_config) { C.seed_config_free(object) }, construct)
	if err != nil {
		return nil, err
	}
	return owned(&Config{handle: h}, h), nil
}

func (c *Config) inner() *handle[*C.seed_config] {
	if c == nil || c.handle == nil {
		return absent[*C.seed_config]("Config")
	}
	return c.handle
}

// Close releases the configuration. The error is always nil.
func (c *Config) Close() error {
	c.inner().close()
	return nil
}

// SetInt sets a whole number (or a fractional key to a whole number).
//
// Errors: [ErrConfig] naming the key, the value, the bounds and, for an unknown key, the nearest known one.
func (c *Config) SetInt(key string, value int64) error {
	return c.at(key, func(object *C.seed_config, key *C.char) *C.seed_error {
		return C.seed_config_set_int(object, key, C.int64_t(value))
	})
}

// SetFloat sets a fractional number. Errors as SetInt.
func (c *Config) SetFloat(key string, value float64) error {
	return c.at(key, func(object *C.seed_config, key *C.char) *C.seed_error {
		return C.seed_config_set_float(object, key, C.double(value))
	})
}

// SetString sets a text. Errors as SetInt.
func (c *Config) SetString(key, value string) error {
	var t texts
	defer t.free()
	text := t.add("the value of "+key, value)
	if t.err != nil {
		return t.err
	}
	return c.at(key, func(object *C.seed_config, key *C.char) *C.seed_error {
		return C.seed_config_set_string(object, key, text)
	})
}

// Parse changes settings by pairs key=value with whitespace, line breaks or commas between them, such as "steps=200
// learning_rate=0.1"; a value that holds one of these is put in double quotes. All are set or, on an error, none. Errors as SetInt.
func (c *Config) Parse(pairs string) error {
	return c.at(pairs, func(object *C.seed_config, pairs *C.char) *C.seed_error {
		return C.seed_config_parse(object, pairs)
	})
}

// Preset sets the values of a preset, whatever they were: "paper", "site", "site_from_weights", "moco_v2", "simclr" or
// "swav". docs/distil.md has them. What is set afterwards counts.
//
// Errors: [ErrConfig] for another name, listing them.
func (c *Config) Preset(name string) error {
	var t texts
	defer t.free()
	copied := t.add("name", name)
	if t.err != nil {
		return t.err
	}
	return with(c.inner(), func(object *C.seed_config) *C.seed_error { return C.seed_config_preset(object, copied) })
}

// Plan measures both networks for a moment and fits the settings to a run of the given time; fromWeights: the student starts from
// weights of its own. What was set by its key before is kept. The reasons go to the log. Make the student afterwards: the plan decides
// on the size of its images. Where "view_count" is above 0 then, keep the teacher's embeddings in a bank first ([FillBank]).
//
// Errors: [ErrInvalidArgument] for an empty dataset or a time below a second; the configuration is as it was then.
func (c *Config) Plan(dataset *Dataset, teacher *Teacher, architecture string, duration time.Duration, fromWeights bool) error {
	images, err := dataset.inner().acquire()
	if err != nil {
		return err
	}
	defer dataset.handle.release()
	master, err := teacher.inner().acquire()
	if err != nil {
		return err
	}
	defer teacher.handle.release()
	var t texts
	defer t.free()
	name := t.add("architecture", architecture)
	if t.err != nil {
		return t.err
	}
	var own C.int32_t
	if fromWeights {
		own = 1
	}
	return with(c.inner(), func(object *C.seed_config) *C.seed_error {
		return C.seed_config_plan(object, images, master, name, own, C.double(duration.Seconds()))
	})
}

// GetInt reads a whole number. Errors: [ErrConfig] for an unknown key or one of another kind.
func (c *Config) GetInt(key string) (int64, error) {
	var value C.int64_t
	err := c.at(key, func(object *C.seed_config, key *C.char) *C.seed_error {
		return C.seed_config_get_int(object, key, &value)
	})
	return int64(value), err
}

// GetFloat reads a number, fractional or whole. Errors as GetInt.
func (c *Config) GetFloat(key string) (float64, error) {
	var value C.double
	err := c.at(key, func(object *C.seed_config, key *C.char) *C.seed_error {
		return C.seed_config_get_float(object, key, &value)
	})
	return float64(value), err
}

// GetString reads a text. Errors as GetInt.
func (c *Config) GetString(key string) (string, error) {
	var t texts
	defer t.free()
	name := t.add("key", key)
	if t.err != nil {
		return "", t.err
	}
	object, err := c.inner().acquire()
	if err != nil {
		return "", err
	}
	defer c.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_config_get_string(object, name, buffer, capacity, length)
	})
}

// JSON writes all settings as a flat JSON object.
func (c *Config) JSON() (string, error) {
	object, err := c.inner().acquire()
	if err != nil {
		return "", err
	}
	defer c.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_config_to_json(object, buffer, capacity, length)
	})
}

// at runs a C function on one key.
func (c *Config) at(key string, call func(*C.seed_config, *C.char) *C.seed_error) error {
	var t texts
	defer t.free()
	name := t.add("key", key)
	if t.err != nil {
		return t.err
	}
	return with(c.inner(), func(object *C.seed_config) *C.seed_error { return call(object, name) })
}
