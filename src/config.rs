//! The settings of a run: plain numbers and texts under string keys. Defaults are the paper's (Fang et al., "SEED",
//! ICLR 2021, §4.1; views: Chen et al., "MoCo v2", 2020).
//!
//! [`keys`] is the one list of what can be set; the C ABI, JSON and the documentation all go by it.

mod anomaly;
mod chosen;
mod finetune;
mod preset;
mod probe;

use serde::{Deserialize, Serialize};

pub use anomaly::{AnomalyConfig, MAX_CONFIDENCE};
pub use chosen::Chosen;
pub use finetune::FinetuneConfig;
pub use preset::PRESETS;
pub use probe::ProbeConfig;

use crate::data::augment::VIEW_DEVICES;
use crate::data::{Resize, ViewConfig};
use crate::error::{Error, ErrorKind, Result};

/// All settings of a run. Make one with `default()`, change it by [`Config::set_int`] and its kind, or by field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Decides every random draw: order, views, noise, initial weights and queue.
    pub seed: u64,
    /// "auto", "cpu" or "cuda:N".
    pub device: String,
    /// "auto", "fp32" or "bf16"; loss and weights are float32 always.
    pub precision: String,
    /// What a session gives: "embedding" (unit rows, as distilled) or "features" (the backbone's, before the head).
    pub output: String,
    /// Images a step, B.
    pub batch_size: u64,
    /// Pieces that a step's batch goes through the networks in, to save memory; batch norm sees a piece at a time.
    pub accumulation_steps: u64,
    /// Highest L2 norm of a step's gradient; 0: no limit.
    pub clip_norm: f64,
    /// Passes over the data set.
    pub epochs: u64,
    /// Views that each image has in all, V: epoch e shows view e mod V. 0: a fresh view every epoch, as in the paper. A
    /// teacher bank needs V ≥ 1.
    pub view_count: u64,
    /// Steps of the run; 0: as many as the epochs need.
    pub steps: u64,
    /// Learning rate for 256 images a step; that of the run is learning_rate·B/256.
    pub learning_rate: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// L2 penalty of SGD.
    pub weight_decay: f64,
    /// Steps of linear rise of the learning rate.
    pub warmup_steps: u64,
    /// Rows of the queue, K.
    pub queue_capacity: u64,
    /// What the queue's first rows are, one of [`QUEUE_FILLS`].
    pub queue_fill: String,
    /// τ_S.
    pub temperature_student: f64,
    /// τ_T.
    pub temperature_teacher: f64,
    /// Width of the embedding, C. 0: the teacher's; the student then has no projection head until its run is made.
    pub embedding_dim: u64,
    /// Hidden width of the student's projection head; 0: the width of its features.
    pub projection_hidden: u64,
    /// Threads that make views; 0: one a core.
    pub workers: u64,
    /// Decoded frames kept in memory, in MiB.
    pub cache_mib: u64,
    /// Share of the time in which a run computes; after each step it rests, so that others get the device.
    pub duty_cycle: f64,
    /// Nice value of the threads of a run, as in setpriority(2): from 1 on the run has threads of its own, which the
    /// scheduler serves after the application's.
    pub nice: u64,
    /// Steps between two checkpoints; 0: every twentieth of the run. There is one at the end and on cancel in any case.
    pub checkpoint_every: u64,
    /// Folder of the checkpoint; empty: none is written.
    pub checkpoint_path: String,
    /// Steps between two reports of progress.
    pub progress_every: u64,
    /// Folder of the event files that TensorBoard reads, one record a report; full fine-tuning writes into its sub-folder
    /// "finetune". Empty: none is written.
    pub tensorboard_folder: String,
    /// The augmented views.
    pub view: ViewConfig,
    /// Fine-tuning.
    pub finetune: FinetuneConfig,
    /// Anomaly detection.
    pub anomaly: AnomalyConfig,
    /// The frames that tell whether the student learns.
    pub probe: ProbeConfig,
    /// Which of all these the caller has set by name.
    #[serde(skip)]
    pub chosen: Chosen,
}

/// "dataset": the teacher's embeddings of the data set, where a run has one. "noise": unit vectors at random, as in the paper.
pub const QUEUE_FILLS: [&str; 2] = ["dataset", "noise"];

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            device: "auto".to_owned(),
            precision: "auto".to_owned(),
            output: "embedding".to_owned(),
            batch_size: 256,
            accumulation_steps: 1,
            clip_norm: 0.0,
            epochs: 200,
            view_count: 0,
            steps: 0,
            learning_rate: 0.03,
            momentum: 0.9,
            weight_decay: 1e-4,
            warmup_steps: 0,
            queue_capacity: 65_536,
            queue_fill: QUEUE_FILLS[0].to_owned(),
            temperature_student: 0.2,
            temperature_teacher: 0.01,
            embedding_dim: 0,
            projection_hidden: 0,
            workers: 0,
            cache_mib: 1024,
            duty_cycle: 1.0,
            nice: 0,
            checkpoint_every: 0,
            checkpoint_path: String::new(),
            progress_every: 10,
            tensorboard_folder: String::new(),
            view: ViewConfig::default(),
            finetune: FinetuneConfig::default(),
            anomaly: AnomalyConfig::default(),
            probe: ProbeConfig::default(),
            chosen: Chosen::default(),
        }
    }
}

/// The place of one setting in a [`Config`], with its bounds.
pub enum Slot {
    /// A whole number within bounds.
    Int(fn(&mut Config) -> &mut u64, u64, u64),
    /// A side of the view, in pixels, within bounds.
    Side(fn(&mut Config) -> &mut u32, u32, u32),
    /// A number within bounds.
    Float(fn(&mut Config) -> &mut f64, f64, f64),
    /// One of some words.
    Word(fn(&mut Config) -> &mut String, &'static [&'static str]),
    /// How a frame becomes the network's input, by its word.
    Resize(fn(&mut Config) -> &mut Resize),
    /// Any text.
    Text(fn(&mut Config) -> &mut String),
}

/// Every key that can be set, but for those of the parts below; see [`keys`].
const KEYS: &[(&str, Slot)] = &[
    ("seed", Slot::Int(|c| &mut c.seed, 0, i64::MAX as u64)),
    ("device", Slot::Text(|c| &mut c.device)),
    ("precision", Slot::Word(|c| &mut c.precision, &["auto", "fp32", "bf16"])),
    ("output", Slot::Word(|c| &mut c.output, &["embedding", "features"])),
    ("batch_size", Slot::Int(|c| &mut c.batch_size, 1, 65_536)),
    ("accumulation_steps", Slot::Int(|c| &mut c.accumulation_steps, 1, 65_536)),
    ("clip_norm", Slot::Float(|c| &mut c.clip_norm, 0.0, 1e9)),
    ("epochs", Slot::Int(|c| &mut c.epochs, 1, 1_000_000)),
    ("view_count", Slot::Int(|c| &mut c.view_count, 0, 1_000_000)),
    ("steps", Slot::Int(|c| &mut c.steps, 0, 1 << 40)),
    ("learning_rate", Slot::Float(|c| &mut c.learning_rate, 0.0, 1000.0)),
    ("momentum", Slot::Float(|c| &mut c.momentum, 0.0, 0.9999)),
    ("weight_decay", Slot::Float(|c| &mut c.weight_decay, 0.0, 1.0)),
    ("warmup_steps", Slot::Int(|c| &mut c.warmup_steps, 0, 1 << 40)),
    ("queue_capacity", Slot::Int(|c| &mut c.queue_capacity, 1, 1 << 28)),
    ("queue.fill", Slot::Word(|c| &mut c.queue_fill, &QUEUE_FILLS)),
    ("temperature_student", Slot::Float(|c| &mut c.temperature_student, 1e-6, 100.0)),
    ("temperature_teacher", Slot::Float(|c| &mut c.temperature_teacher, 1e-6, 100.0)),
    ("embedding_dim", Slot::Int(|c| &mut c.embedding_dim, 0, 65_536)),
    ("projection_hidden", Slot::Int(|c| &mut c.projection_hidden, 0, 65_536)),
    ("workers", Slot::Int(|c| &mut c.workers, 0, 1024)),
    ("cache_mib", Slot::Int(|c| &mut c.cache_mib, 0, 1 << 30)),
    ("duty_cycle", Slot::Float(|c| &mut c.duty_cycle, 0.01, 1.0)),
    ("nice", Slot::Int(|c| &mut c.nice, 0, 19)),
    ("checkpoint_every", Slot::Int(|c| &mut c.checkpoint_every, 0, 1 << 40)),
    ("checkpoint_path", Slot::Text(|c| &mut c.checkpoint_path)),
    ("progress_every", Slot::Int(|c| &mut c.progress_every, 1, 1 << 40)),
    ("tensorboard_folder", Slot::Text(|c| &mut c.tensorboard_folder)),
    ("image_width", Slot::Side(|c| &mut c.view.width, 8, 4096)),
    ("image_height", Slot::Side(|c| &mut c.view.height, 8, 4096)),
    ("image_channels", Slot::Side(|c| &mut c.view.channels, 1, 3)),
    ("resize", Slot::Resize(|c| &mut c.view.resize)),
    ("view.crop_scale_min", Slot::Float(|c| &mut c.view.crop_scale_min, 1e-4, 1.0)),
    ("view.crop_scale_max", Slot::Float(|c| &mut c.view.crop_scale_max, 1e-4, 1.0)),
    ("view.crop_ratio_min", Slot::Float(|c| &mut c.view.crop_ratio_min, 0.01, 100.0)),
    ("view.crop_ratio_max", Slot::Float(|c| &mut c.view.crop_ratio_max, 0.01, 100.0)),
    ("view.jitter_probability", Slot::Float(|c| &mut c.view.jitter_probability, 0.0, 1.0)),
    ("view.brightness", Slot::Float(|c| &mut c.view.brightness, 0.0, 10.0)),
    ("view.contrast", Slot::Float(|c| &mut c.view.contrast, 0.0, 10.0)),
    ("view.saturation", Slot::Float(|c| &mut c.view.saturation, 0.0, 10.0)),
    ("view.hue", Slot::Float(|c| &mut c.view.hue, 0.0, 0.5)),
    ("view.grey_probability", Slot::Float(|c| &mut c.view.grey_probability, 0.0, 1.0)),
    ("view.blur_probability", Slot::Float(|c| &mut c.view.blur_probability, 0.0, 1.0)),
    ("view.blur_sigma_min", Slot::Float(|c| &mut c.view.blur_sigma_min, 0.01, 100.0)),
    ("view.blur_sigma_max", Slot::Float(|c| &mut c.view.blur_sigma_max, 0.01, 100.0)),
    ("view.flip_probability", Slot::Float(|c| &mut c.view.flip_probability, 0.0, 1.0)),
    ("view.device", Slot::Word(|c| &mut c.view.device, &VIEW_DEVICES)),
    ("mean.r", Slot::Float(|c| &mut c.view.mean[0], -10.0, 10.0)),
    ("mean.g", Slot::Float(|c| &mut c.view.mean[1], -10.0, 10.0)),
    ("mean.b", Slot::Float(|c| &mut c.view.mean[2], -10.0, 10.0)),
    ("std.r", Slot::Float(|c| &mut c.view.std[0], 1e-4, 100.0)),
    ("std.g", Slot::Float(|c| &mut c.view.std[1], 1e-4, 100.0)),
    ("std.b", Slot::Float(|c| &mut c.view.std[2], 1e-4, 100.0)),
];

/// Every key that can be set, with its place.
pub fn keys() -> impl Iterator<Item = &'static (&'static str, Slot)> {
    KEYS.iter().chain(finetune::KEYS).chain(anomaly::KEYS).chain(probe::KEYS)
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a whole-number key.
    Int(i64),
    /// Of a number key.
    Float(f64),
    /// Of a text key.
    Text(String),
}

impl Config {
    /// Sets a whole-number key, or a number key to a whole number.
    pub fn set_int(&mut self, key: &str, value: i64) -> Result<()> {
        self.set_whole(key, i128::from(value))
    }

    fn set_whole(&mut self, key: &str, value: i128) -> Result<()> {
        match slot(key)? {
            Slot::Int(field, low, high) => {
                let number = u64::try_from(value).ok().filter(|n| (low..=high).contains(&n));
                *field(self) = *number.as_ref().ok_or_else(|| out_of_bounds(key, value, low, high))?;
            }
            Slot::Side(field, low, high) => {
                let number = u32::try_from(value).ok().filter(|n| (low..=high).contains(&n));
                *field(self) = *number.as_ref().ok_or_else(|| out_of_bounds(key, value, low, high))?;
            }
            Slot::Float(..) => self.set_float(key, value as f64)?,
            Slot::Word(..) | Slot::Resize(_) | Slot::Text(_) => {
                return Err(wrong_kind(key, "text", "a whole number"));
            }
        }
        self.chosen.insert(key);
        Ok(())
    }

    /// Sets a number key, or a whole-number key to a number without a fraction.
    pub fn set_float(&mut self, key: &str, value: f64) -> Result<()> {
        match slot(key)? {
            Slot::Float(field, low, high) if (*low..=*high).contains(&value) => *field(self) = value,
            Slot::Float(_, low, high) => return Err(out_of_bounds(key, value, low, high)),
            // All bounds are within what a float64 holds exactly but for those that the conversion rounds to, beyond 2^53.
            Slot::Int(_, low, high) if value.trunc() == value => match value.abs() < WHOLE {
                true => self.set_whole(key, value as i128)?,
                false => return Err(out_of_bounds(key, value, low, high)),
            },
            Slot::Side(_, low, high) if value.trunc() == value => match value.abs() < WHOLE {
                true => self.set_whole(key, value as i128)?,
                false => return Err(out_of_bounds(key, value, low, high)),
            },
            Slot::Int(..) | Slot::Side(..) => return Err(wrong_kind(key, "a whole number", &value.to_string())),
            Slot::Word(..) | Slot::Resize(_) | Slot::Text(_) => return Err(wrong_kind(key, "text", "a number")),
        }
        self.chosen.insert(key);
        Ok(())
    }

    /// Sets a text key.
    pub fn set_string(&mut self, key: &str, value: &str) -> Result<()> {
        match slot(key)? {
            Slot::Text(field) => value.clone_into(field(self)),
            Slot::Resize(field) => *field(self) = Resize::parse(value)?,
            Slot::Word(field, words) if words.contains(&value) => value.clone_into(field(self)),
            Slot::Word(_, words) => {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("{key} is \"{value}\", expected one of {}", words.join(", ")),
                ));
            }
            Slot::Int(..) | Slot::Side(..) | Slot::Float(..) => return Err(wrong_kind(key, "a number", "text")),
        }
        self.chosen.insert(key);
        Ok(())
    }

    /// Sets any key without counting as the caller's choice.
    pub(crate) fn put(&mut self, key: &str, value: &Value) -> Result<()> {
        let chosen = self.chosen.clone();
        let set = match value {
            Value::Int(number) => self.set_int(key, *number),
            Value::Float(number) => self.set_float(key, *number),
            Value::Text(text) => self.set_string(key, text),
        };
        self.chosen = chosen;
        set
    }

    /// Sets all that the preset `name`, one of [`PRESETS`], says; what is set afterwards counts.
    ///
    /// # Errors
    /// `Config` for another name.
    pub fn preset(&mut self, name: &str) -> Result<()> {
        preset::apply(self, name)
    }

    /// The value of any key.
    pub fn get(&self, key: &str) -> Result<Value> {
        // The table reaches fields mutably; a copy spares a second table.
        let mut copy = self.clone();
        Ok(match slot(key)? {
            Slot::Int(field, ..) => Value::Int(i64::try_from(*field(&mut copy)).unwrap_or(i64::MAX)),
            Slot::Side(field, ..) => Value::Int(i64::from(*field(&mut copy))),
            Slot::Float(field, ..) => Value::Float(*field(&mut copy)),
            Slot::Resize(field) => Value::Text(field(&mut copy).word().to_owned()),
            Slot::Word(field, _) | Slot::Text(field) => Value::Text(field(&mut copy).clone()),
        })
    }

    /// Every key with its value, as one flat JSON object.
    pub fn to_json(&self) -> Result<String> {
        let mut object = serde_json::Map::new();
        for (key, _) in keys() {
            let value = match self.get(key)? {
                Value::Int(number) => number.into(),
                Value::Float(number) => number.into(),
                Value::Text(text) => text.into(),
            };
            object.insert((*key).to_owned(), value);
        }
        serde_json::to_string_pretty(&object).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
    }

    /// Defaults changed by a flat JSON object of keys; unknown keys and bad values are refused.
    pub fn from_json(text: &str) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| Error::new(ErrorKind::Config, format!("the configuration is no JSON: {error}")))?;
        let serde_json::Value::Object(object) = value else {
            return Err(Error::new(ErrorKind::Config, "the configuration is no JSON object of keys and values"));
        };
        let mut config = Self::default();
        for (key, value) in &object {
            match value {
                serde_json::Value::Number(number) => match (number.as_i128(), number.as_f64()) {
                    (Some(whole), _) => config.set_whole(key, whole)?,
                    (None, Some(float)) => config.set_float(key, float)?,
                    (None, None) => return Err(wrong_kind(key, "a number of 64 bits", &number.to_string())),
                },
                serde_json::Value::String(text) => config.set_string(key, text)?,
                other => return Err(wrong_kind(key, "a number or text", &other.to_string())),
            }
        }
        config.validate()?;
        // A file of `to_json` names every key: what it leaves at the default was not chosen.
        let (all, defaults) = (config.clone(), Self::default());
        config.chosen.retain(|key| all.get(key).ok() != defaults.get(key).ok());
        Ok(config)
    }

    /// Changes settings by pairs `key=value` with whitespace or commas between them: `"steps=200 learning_rate=0.1"`. A value that
    /// holds either is put in double quotes, in which `\"` and `\\` stand for a quote and a backslash.
    ///
    /// # Errors
    /// `Config` for a pair that is none, an unknown key or a bad value, and what [`Config::validate`] finds; then nothing has
    /// changed.
    pub fn parse(&mut self, text: &str) -> Result<()> {
        let mut changed = self.clone();
        let mut rest = text.trim_start_matches(is_between);
        while !rest.is_empty() {
            let (key, value, left) = pair(rest)?;
            changed.set_text(key, &value)?;
            rest = left;
        }
        changed.validate()?;
        *self = changed;
        Ok(())
    }

    /// Sets a key of any kind to what `text` says.
    fn set_text(&mut self, key: &str, text: &str) -> Result<()> {
        match slot(key)? {
            Slot::Word(..) | Slot::Resize(_) | Slot::Text(_) => self.set_string(key, text),
            Slot::Int(..) | Slot::Side(..) | Slot::Float(..) => match (text.parse::<i128>(), text.parse::<f64>()) {
                (Ok(whole), _) => self.set_whole(key, whole),
                (_, Ok(float)) => self.set_float(key, float),
                _ => Err(wrong_kind(key, "a number", &format!("\"{text}\""))),
            },
        }
    }

    /// Checks what no single key shows.
    pub fn validate(&self) -> Result<()> {
        for (low_key, low, high_key, high) in [
            ("view.crop_scale_min", self.view.crop_scale_min, "view.crop_scale_max", self.view.crop_scale_max),
            ("view.crop_ratio_min", self.view.crop_ratio_min, "view.crop_ratio_max", self.view.crop_ratio_max),
            ("view.blur_sigma_min", self.view.blur_sigma_min, "view.blur_sigma_max", self.view.blur_sigma_max),
        ] {
            if low > high {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("{low_key} is {low}, above {high_key}, which is {high}; expected min ≤ max"),
                ));
            }
        }
        if self.view.channels == 2 {
            return Err(Error::new(ErrorKind::Config, "image_channels is 2, expected 3 or 1"));
        }
        Ok(())
    }
}

/// Beyond this no bound lies, and conversions to integers are exact below.
const WHOLE: f64 = 1.8e19;

fn is_between(character: char) -> bool {
    character.is_whitespace() || character == ','
}

/// Key and value of the pair that `text` begins with, and what follows it.
fn pair(text: &str) -> Result<(&str, String, &str)> {
    let no_pair = |reason: &str| {
        let shown: String = text.chars().take(40).collect();
        Error::new(
            ErrorKind::Config,
            format!("{reason} at \"{shown}\"; expected key=value, with whitespace or commas between pairs"),
        )
    };
    let end = text.find(|c| is_between(c) || c == '=').unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    let value = rest.trim_start().strip_prefix('=').ok_or_else(|| no_pair("there is no ="))?.trim_start();
    if key.is_empty() {
        return Err(no_pair("there is no key before ="));
    }
    let Some(quoted) = value.strip_prefix('"') else {
        let end = value.find(is_between).unwrap_or(value.len());
        if end == 0 {
            return Err(no_pair("there is no value"));
        }
        return Ok((key, value[..end].to_owned(), value[end..].trim_start_matches(is_between)));
    };
    let (mut found, mut characters) = (String::new(), quoted.char_indices());
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => {
                let rest = &quoted[place + 1..];
                if rest.starts_with(|c| !is_between(c)) {
                    return Err(no_pair("something follows the quote"));
                }
                return Ok((key, found, rest.trim_start_matches(is_between)));
            }
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => found.push(escaped),
                _ => return Err(no_pair("a backslash stands before neither a quote nor a backslash")),
            },
            other => found.push(other),
        }
    }
    Err(no_pair("the quote is not closed"))
}

fn slot(key: &str) -> Result<&'static Slot> {
    keys().find(|(name, _)| *name == key).map(|(_, slot)| slot).ok_or_else(|| {
        let nearest = keys().map(|(name, _)| *name).min_by_key(|name| distance(key, name)).unwrap_or("");
        Error::new(ErrorKind::Config, format!("unknown key \"{key}\"; the nearest known key is \"{nearest}\""))
    })
}

fn out_of_bounds(
    key: &str,
    value: impl std::fmt::Display,
    low: &impl std::fmt::Display,
    high: &impl std::fmt::Display,
) -> Error {
    Error::new(ErrorKind::Config, format!("{key} is {value}, expected {low} to {high}"))
}

fn wrong_kind(key: &str, expected: &str, found: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{key} takes {expected}, found {found}"))
}

/// Levenshtein's edit distance, of at most 64 characters of each word.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_round_trips_through_json() {
        let mut config = Config::default();
        config.set_int("batch_size", 7).unwrap();
        config.set_float("view.hue", 0.25).unwrap();
        config.set_string("device", "cpu").unwrap();
        let again = Config::from_json(&config.to_json().unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn misuse_names_key_value_and_bounds() {
        let mut config = Config::default();
        let before = config.clone();
        let unknown = config.set_int("batchsize", 3).unwrap_err();
        assert!(unknown.message().contains("\"batch_size\""), "{unknown}");
        assert_eq!(unknown.kind(), ErrorKind::Config);
        let bounds = config.set_int("batch_size", 0).unwrap_err();
        assert!(bounds.message().contains("batch_size is 0, expected 1 to 65536"), "{bounds}");
        assert!(config.set_int("batch_size", i64::MIN).is_err());
        assert!(config.set_float("momentum", f64::NAN).is_err());
        assert!(config.set_float("batch_size", 1.5).is_err());
        assert!(config.set_string("precision", "fp8").unwrap_err().message().contains("bf16"));
        assert!(config.set_int("device", 1).is_err());
        assert_eq!(config, before, "a refused value changes nothing");
    }

    #[test]
    fn whole_numbers_may_be_written_as_others() {
        for (text, wanted) in [("8.0", 8), ("1e1", 10), ("12", 12), ("1.6E1", 16)] {
            assert_eq!(Config::from_json(&format!("{{\"batch_size\": {text}}}")).unwrap().batch_size, wanted);
        }
        for (key, text, words) in [
            ("batch_size", "8.5", "takes a whole number, found 8.5"),
            ("batch_size", "-1.0", "is -1, expected 1 to 65536"),
            ("seed", "9223372036854775808", "is 9223372036854775808, expected 0 to 9223372036854775807"),
            ("seed", "18446744073709551615", "is 18446744073709551615, expected 0 to"),
            ("seed", "1e30", "is 1000000000000000000000000000000, expected 0 to"),
            ("image_width", "1e300", "expected 8 to 4096"),
        ] {
            let error = Config::from_json(&format!("{{\"{key}\": {text}}}")).unwrap_err();
            assert!(error.message().contains(words) && error.message().contains(key), "{error}");
        }
        assert_eq!(Config::from_json("{\"seed\": 9223372036854775807}").unwrap().seed, i64::MAX as u64);
    }

    #[test]
    fn pairs_change_settings_together() {
        let mut config = Config::default();
        let text = "steps=200, learning_rate = 0.1\n\tdevice=cpu,checkpoint_path=\"a b, \\\"c\\\\\",batch_size=1e1,";
        config.parse(text).unwrap();
        assert_eq!((config.steps, config.learning_rate, config.batch_size), (200, 0.1, 10));
        assert_eq!((config.device.as_str(), config.checkpoint_path.as_str()), ("cpu", "a b, \"c\\"));
        config.parse(" , \n").unwrap();
        config.parse("checkpoint_path=\"\"").unwrap();
        assert_eq!(config.checkpoint_path, "");
        let before = config.clone();
        for (text, words) in [
            ("epochs=3 steps", "there is no ="),
            ("epochs=3 =4", "no key"),
            ("epochs=", "there is no value"),
            ("epochs=three", "epochs takes a number, found \"three\""),
            ("epochs=3 stepps=4", "the nearest known key is \"steps\""),
            ("epochs=3 device=\"cpu", "not closed"),
            ("epochs=3 device=\"cpu\"x", "follows the quote"),
            ("epochs=3 view.crop_scale_min=.9 view.crop_scale_max=.5", "expected min"),
        ] {
            let error = config.parse(text).unwrap_err();
            assert!(error.kind() == ErrorKind::Config && error.message().contains(words), "{error}");
            assert_eq!(config, before, "a refused text changes nothing");
        }
    }

    #[test]
    fn contradictions_are_found() {
        let mut config = Config::default();
        config.set_float("view.crop_scale_min", 0.9).unwrap();
        config.set_float("view.crop_scale_max", 0.5).unwrap();
        assert!(config.validate().is_err());
        assert!(Config::from_json("[1]").is_err());
        assert!(Config::from_json("{\"epochs\": true}").is_err());
    }
}
