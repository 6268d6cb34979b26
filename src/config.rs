//! The settings of a run: plain numbers and texts under string keys. Defaults are the paper's (Fang et al., "SEED",
//! ICLR 2021, §4.1; views: Chen et al., "MoCo v2", 2020).
//!
//! [`keys`] is the one list of what can be set; the C ABI, JSON and the documentation all go by it.

mod anomaly;
mod chosen;
mod engine;
mod finetune;
mod free;
mod key;
mod linear;
mod methods;
mod pairs;
mod patch;
mod preset;
mod probe;
mod range;
mod rate;
mod segment;
mod small;
mod tile;
mod validate;
mod value;
mod words;

use serde::{Deserialize, Serialize};

pub use anomaly::{AnomalyConfig, DetectorKind, Group, MAX_CONFIDENCE};
pub use chosen::Chosen;
pub use engine::EngineConfig;
pub use finetune::{Augmentation, ClassWeights, FinetuneConfig, FinetuneMode, Reject};
pub use free::FREE_SETTINGS;
pub use key::{Slot, keys, to_usize};
pub use linear::LinearConfig;
pub use methods::{MethodName, MethodsConfig};
pub use patch::PatchConfig;
pub use preset::PRESETS;
pub use probe::ProbeConfig;
pub use rate::Rate;
pub use segment::SegmentConfig;
pub use small::SmallConfig;
pub use value::Value;
pub use words::{BatchNorm, EngineName, Optimiser, OutputName, Precision, QueueFill, Standardise};

use crate::data::{FileOptions, Tile, ViewConfig};
use crate::error::{Error, ErrorKind, Result};
use key::{out_of_bounds, slot, wrong_kind};

/// All settings of a run. Make one with `default()`, change it by [`Config::set_int`] and its kind, or by field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Seeds every random draw: order, views, noise, initial weights and queue.
    pub seed: u64,
    /// "auto", "cpu" or "cuda:N".
    pub device: String,
    /// Number format of both networks' forward passes; loss and weights are always float32. "auto": bf16 if the device computes in it.
    pub precision: Precision,
    /// What a session returns: "embedding" (unit rows, as distilled) or "features" (the backbone's, before the head).
    pub output: OutputName,
    /// Images a step, B.
    pub batch_size: u64,
    /// Number of pieces in which a step's batch goes through the networks, to save memory; batch norm sees one piece at a time.
    pub accumulation_steps: u64,
    /// Highest L2 norm of a step's gradient; 0: no limit.
    pub clip_norm: f64,
    /// Passes over the data set.
    pub epochs: u64,
    /// Number of different views of each image, V: epoch e shows view e mod V. 0: a fresh view every epoch, as in the paper. A teacher bank
    /// needs V ≥ 1.
    pub view_count: u64,
    /// Steps of the run; 0: as many as the epochs need.
    pub steps: u64,
    /// Learning rate for 256 images a step; the run uses learning_rate·B/256.
    pub learning_rate: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// L2 penalty of SGD.
    pub weight_decay: f64,
    /// "sgd", or "lars": SGD that scales the step of each tensor by the tensor's own size, for large batches.
    pub optimiser: Optimiser,
    /// Steps in which the learning rate rises linearly.
    pub warmup_steps: u64,
    /// Rows of the queue, K.
    pub queue_capacity: u64,
    /// Statistics that the student's batch norm uses during distillation: those of the step's "batch", or its own "running" ones, which
    /// then do not change: for a student that starts from weights. With "running", dropout and stochastic depth are off too.
    pub batch_norm: BatchNorm,
    /// What the student learns from the teacher's embeddings: "seed", their similarities to the queue; "l2", each embedding itself;
    /// "k_means" and "online_clustering", their clusters; "binary_contrastive", contrastive representation distillation; "seed_moco",
    /// SEED's and MoCo-v2's losses together. Without a teacher: "moco_v2" and "simclr", which tell images apart by two views of each, and
    /// "swav", which predicts the prototypes of one view from the others.
    pub method: MethodName,
    /// The queue's first rows: the teacher's embeddings of the data set, if the run has one, or noise as in the paper.
    pub queue_fill: QueueFill,
    /// What is done to the teacher's embeddings before the student learns them. "none": nothing; "centre": the mean over the data set is
    /// removed; "whiten": all directions also get the same variance. With the last two, a student's embeddings differ from the teacher's.
    pub standardise: Standardise,
    /// Share of itself that a moving average of the run's students keeps at each step; the run ends with that average. 0: the run ends with
    /// the last step's student.
    pub student_average: f64,
    /// Share of the steps whose images are mixed in pairs, λ·x + (1 − λ)·x' with random λ from 0 to 1 (mixup); needs the teacher in the
    /// loop.
    pub mixup: f64,
    /// τ_S, by which the student's similarities are divided; τ of "binary_contrastive", "moco_v2", "simclr" and "swav".
    pub temperature_student: f64,
    /// τ_T, by which the teacher's similarities are divided: the smaller it is, the fewer neighbours count.
    pub temperature_teacher: f64,
    /// Dropout of the features before the projection, for students that are an EfficientNet or a MobileNetV3; SEED's released code uses
    /// 0.2. Other students have none.
    pub head_dropout: f64,
    /// Width of the embedding, C. 0: the teacher's width; the student then has no projection head until its run is created.
    pub embedding_dim: u64,
    /// Hidden width of the student's projection head; 0: the width of its features.
    pub projection_hidden: u64,
    /// Number of linear layers in the student's projection head. 2: SEED's head, with a ReLU between them. More: with batch norm before
    /// each ReLU, a deep head that is discarded if you use the features ("output" "features").
    pub projection_layers: u64,
    /// Threads that make views; 0: one for each core.
    pub workers: u64,
    /// Decoded frames kept in memory, in MiB.
    pub cache_mib: u64,
    /// Share of the time in which a run computes; it rests after each step, so that other work gets the device.
    pub duty_cycle: f64,
    /// Nice value of a run's threads, as in setpriority(2): from 1 on the run has threads of its own, which the scheduler serves after the
    /// application's.
    pub nice: u64,
    /// Steps between two checkpoints; 0: every twentieth of the run. A checkpoint is always written at the end and on cancel.
    pub checkpoint_every: u64,
    /// Folder of the checkpoint; empty: none is written.
    pub checkpoint_path: String,
    /// Steps between two reports of progress.
    pub progress_every: u64,
    /// Folder of the event files that TensorBoard reads, one record for each report; full fine-tuning writes into its sub-folder
    /// "finetune". Empty: none is written.
    pub tensorboard_folder: String,
    /// The augmented views.
    pub view: ViewConfig,
    /// How image files are read.
    pub files: FileOptions,
    /// Fine-tuning.
    pub finetune: FinetuneConfig,
    /// The linear probe by SGD.
    pub linear: LinearConfig,
    /// Anomaly detection.
    pub anomaly: AnomalyConfig,
    /// Segmentation.
    pub segment: SegmentConfig,
    /// How frames larger than the network's input are cut.
    pub tile: Tile,
    /// Single methods of distillation.
    pub methods: MethodsConfig,
    /// Small patches.
    pub small: SmallConfig,
    /// Patch similarity.
    pub patch: PatchConfig,
    /// The frames that tell whether the student learns.
    pub probe: ProbeConfig,
    /// Engines.
    pub engine: EngineConfig,
    /// Which of all these the caller has set by name.
    #[serde(skip)]
    pub chosen: Chosen,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            device: "auto".to_owned(),
            precision: Precision::Auto,
            output: OutputName::Embedding,
            batch_size: 256,
            accumulation_steps: 1,
            clip_norm: 0.0,
            epochs: 200,
            view_count: 0,
            steps: 0,
            learning_rate: 0.03,
            momentum: 0.9,
            weight_decay: 1e-4,
            optimiser: Optimiser::Sgd,
            warmup_steps: 0,
            queue_capacity: 65_536,
            batch_norm: BatchNorm::Batch,
            method: MethodName::Seed,
            queue_fill: QueueFill::Dataset,
            standardise: Standardise::None,
            mixup: 0.0,
            student_average: 0.0,
            temperature_student: 0.2,
            temperature_teacher: 0.01,
            head_dropout: 0.0,
            embedding_dim: 0,
            projection_hidden: 0,
            projection_layers: 2,
            workers: 0,
            cache_mib: 1024,
            duty_cycle: 1.0,
            nice: 0,
            checkpoint_every: 0,
            checkpoint_path: String::new(),
            progress_every: 10,
            tensorboard_folder: String::new(),
            view: ViewConfig::default(),
            files: FileOptions::default(),
            finetune: FinetuneConfig::default(),
            linear: LinearConfig::default(),
            anomaly: AnomalyConfig::default(),
            segment: SegmentConfig::default(),
            tile: Tile::default(),
            methods: MethodsConfig::default(),
            small: SmallConfig::default(),
            patch: PatchConfig::default(),
            probe: ProbeConfig::default(),
            engine: EngineConfig::default(),
            chosen: Chosen::default(),
        }
    }
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
            Slot::Word(_) | Slot::Text(_) => return Err(wrong_kind(key, "text", "a whole number")),
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
            Slot::Word(_) | Slot::Text(_) => return Err(wrong_kind(key, "text", "a number")),
        }
        self.chosen.insert(key);
        Ok(())
    }

    /// Sets a text key.
    pub fn set_string(&mut self, key: &str, value: &str) -> Result<()> {
        match slot(key)? {
            Slot::Text(field) => value.clone_into(field(self)),
            Slot::Word(field) => field(self).set(key, value)?,
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
            Slot::Word(field) => Value::Text(field(&mut copy).word().to_owned()),
            Slot::Text(field) => Value::Text(field(&mut copy).clone()),
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
}

/// Beyond this no bound lies, and conversions to integers are exact below.
const WHOLE: f64 = 1.8e19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_round_trips_through_json() {
        let mut config = Config::default();
        config.set_int("batch_size", 7).unwrap();
        config.set_float("view.hue", 0.25).unwrap();
        config.set_string("device", "cpu").unwrap();
        assert_eq!(Config::from_json(&config.to_json().unwrap()).unwrap(), config);
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
    fn contradictions_are_found() {
        let mut config = Config::default();
        config.set_float("view.crop_scale_min", 0.9).unwrap();
        config.set_float("view.crop_scale_max", 0.5).unwrap();
        assert!(config.validate().is_err());
        assert!(Config::from_json("[1]").is_err() && Config::from_json("{\"epochs\": true}").is_err());
    }
}
