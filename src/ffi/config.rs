//! `seed_config`: settings under string keys.

use std::ffi::c_char;

use super::border::catch;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with, with_mut};
use super::pointers::{check_out, fill_text, put, put_new, text};
use crate::config::{Config, Value};
use crate::{Error, ErrorKind};

/// Settings of a run or a session, under string keys; docs/settings.md lists them with bounds and defaults. Objects made with a
/// configuration keep a copy: changing it later changes nothing of theirs.
///
/// "learning_rate" is for 256 images a step: a run's highest rate is learning_rate·batch_size/256, so 0.2 at a batch of 32 is 0.025.
/// "finetune.learning_rate" and "anomaly.learning_rate" are taken as they are.
pub struct seed_config(Guarded<Config>);
handle!(seed_config, Config);

/// Makes a configuration with the paper's values. The caller frees it with seed_config_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_new(out: *mut *mut seed_config) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe { put_new(out, || Ok(Config::default())) })
}

/// Makes a configuration from a flat JSON object of keys and values, as seed_config_to_json writes it; keys that are not
/// there keep their defaults.
///
/// Errors: SEED_ERROR_CONFIG for unknown keys, values out of bounds and text that is no such JSON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_from_json(json: *const c_char, out: *mut *mut seed_config) -> *mut seed_error {
    catch(|| unsafe { put_new(out, || Config::from_json(text("json", json)?)) })
}

/// Releases a configuration. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_free(config: *mut seed_config) {
    free(config)
}

/// Sets a whole number (or a fractional key to a whole number).
///
/// Errors: SEED_ERROR_CONFIG naming the key, the value, the bounds and, for an unknown key, the nearest known one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_set_int(
    config: *mut seed_config,
    key: *const c_char,
    value: i64,
) -> *mut seed_error {
    catch(|| unsafe { with_mut(config, |config| config.set_int(text("key", key)?, value)) })
}

/// Sets a number; a whole-number key takes one without a fraction. Errors as seed_config_set_int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_set_float(
    config: *mut seed_config,
    key: *const c_char,
    value: f64,
) -> *mut seed_error {
    catch(|| unsafe { with_mut(config, |config| config.set_float(text("key", key)?, value)) })
}

/// Sets a text (UTF-8, copied). Errors as seed_config_set_int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_set_string(
    config: *mut seed_config,
    key: *const c_char,
    value: *const c_char,
) -> *mut seed_error {
    catch(|| unsafe { with_mut(config, |config| config.set_string(text("key", key)?, text("value", value)?)) })
}

/// Changes settings by a text of pairs key=value with whitespace, line breaks or commas between them, such as
/// "steps=200 learning_rate=0.1"; a value that holds one of these is put in double quotes. All are set or, on an error, none.
///
/// Errors: as seed_config_set_int, and SEED_ERROR_CONFIG for what is not a pair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_parse(config: *mut seed_config, pairs: *const c_char) -> *mut seed_error {
    catch(|| unsafe { with_mut(config, |config| config.parse(text("pairs", pairs)?)) })
}

/// Reads a whole number. Errors: SEED_ERROR_CONFIG for an unknown key or one of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_get_int(
    config: *const seed_config,
    key: *const c_char,
    out: *mut i64,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        match with(config, |config| config.get(text("key", key)?))? {
            Value::Int(value) => put(out, value),
            other => return Err(other_kind("a whole number", &other)),
        }
        Ok(())
    })
}

/// Reads a number, fractional or whole. Errors as seed_config_get_int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_get_float(
    config: *const seed_config,
    key: *const c_char,
    out: *mut f64,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        match with(config, |config| config.get(text("key", key)?))? {
            Value::Float(value) => put(out, value),
            Value::Int(value) => put(out, value as f64),
            other => return Err(other_kind("a number", &other)),
        }
        Ok(())
    })
}

/// Reads a text into `buffer`: NULL asks for the size; too small a buffer is left alone; `*length` receives the bytes
/// needed, the NUL included. Errors as seed_config_get_int, and SEED_ERROR_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_get_string(
    config: *const seed_config,
    key: *const c_char,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        match with(config, |config| config.get(text("key", key)?))? {
            Value::Text(value) => fill_text(&value, buffer, capacity, length),
            other => Err(other_kind("text", &other)),
        }
    })
}

/// Writes all settings as a flat JSON object into `buffer`, by the rule of seed_config_get_string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_config_to_json(
    config: *const seed_config,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_text(&with(config, Config::to_json)?, buffer, capacity, length) })
}

fn other_kind(expected: &str, found: &Value) -> Error {
    Error::new(ErrorKind::Config, format!("the key was read as {expected}, but its value is {found:?}"))
}
