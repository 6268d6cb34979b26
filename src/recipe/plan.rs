//! The settings of a run by what it works on and the time there is: the preset for a station, fitted to this machine.
//!
//! The rules come from runs on inspection frames (docs/results.md): many passes over few views of each frame, kept in a bank, at a
//! size at which that many passes fit, are worth more than few passes at a larger size. What the caller has set is left alone.

use std::sync::Arc;

use super::measure::{Cost, cost};
use crate::config::{Config, Precision, Value};
use crate::data::{Dataset, Roi};
use crate::distill::bank::format::predicted_bytes;
use crate::model::{Architecture, Head, Network, Teacher};
use crate::{Error, ErrorKind, Result, device};

/// What is wanted of a plan.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// The student's backbone.
    pub architecture: Architecture,
    /// Whether the student starts from weights of its own.
    pub from_weights: bool,
    /// Time for everything, from reading the first frame to the last step.
    pub seconds: f64,
}

/// Settings, and why they are what they are.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The settings.
    pub config: Config,
    /// Whether the teacher's embeddings are to be kept in a bank of `view_count` views first.
    pub bank: bool,
    /// One sentence a decision, for a person.
    pub reasons: Vec<String>,
    /// What an image costs here.
    pub cost: Cost,
}

/// Sides of images that are tried, the largest first.
const SIDES: [u32; 5] = [224, 160, 128, 96, 64];
/// Views that a student shall see at least at a side above the preset's 96, for each image and in all.
const MANY: (f64, f64) = (300.0, 300_000.0);
/// Views that it shall see at least at 96; with fewer the images become smaller. At 64 a teacher hardly sees small defects any more, so
/// that is for small frames and very short runs.
const SOME: f64 = 15_000.0;
/// No image is enlarged more than this.
const ENLARGED: u32 = 2;
/// The most views of an image that a bank holds, and how many passes each is used for at least.
const VIEWS: (u64, u64) = (16, 6);
/// The most bytes of a bank that a plan makes.
const BANK: u64 = 4 << 30;
/// Share of the time that is planned for; the rest is for measuring, the first frames and the report.
const PLANNED: f64 = 0.92;
/// The longest and the shortest run in seconds that can be planned.
const BOUNDS: (f64, f64) = (1.0, 1e7);

impl Wish {
    /// # Errors
    /// `InvalidArgument` for a time out of bounds or an empty data set.
    pub(super) fn check(&self, dataset: &Dataset) -> Result<()> {
        if !(BOUNDS.0..=BOUNDS.1).contains(&self.seconds) {
            return Err(Error::invalid(format!(
                "{} seconds were given for the run, expected {} to {}",
                self.seconds, BOUNDS.0, BOUNDS.1
            )));
        }
        if dataset.is_empty() {
            return Err(Error::invalid("the data set is empty: push frames or open a folder with images first"));
        }
        Ok(())
    }
}

impl Plan {
    /// Plans a run: `config` with what the caller has not set fitted to the data set, both networks, this machine and the time.
    ///
    /// Computes for about a hundredth of the time, at most ten seconds.
    ///
    /// # Errors
    /// `InvalidArgument` for a time out of bounds or an empty data set; those of the networks.
    pub fn new(config: &Config, dataset: &Arc<Dataset>, teacher: &Teacher, wish: &Wish) -> Result<Self> {
        wish.check(dataset)?;
        // A range that was not measured yet would make every frame unreadable.
        dataset.seen_by(&config.view.input)?;
        let mut draft = Draft { given: config, config: config.clone(), reasons: Vec::new(), one_precision: false };
        draft.preset(if wish.from_weights { "site_from_weights" } else { "site" })?;
        let device = device::parse(&config.device)?;
        if device != tch::Device::Cpu {
            draft.set("batch_size", Value::Int(if dataset.len() >= 8192 { 256 } else { 64 }))?;
        }
        let images = dataset.len() as u64;
        draft.queue(images)?;

        let look = (wish.seconds / 300.0).clamp(0.05, 1.0);
        let (layers, hidden) = (draft.config.projection_layers as i64, draft.config.projection_hidden as i64);
        let head = Head::projection(layers, hidden, teacher.embedding_dim());
        let channels = i64::from(draft.config.view.input.channels);
        let measure = |config: &Config| {
            let student = Network::with_channels(wish.architecture, head, channels, config.seed, device)?;
            cost(config, dataset, teacher, &student, look)
        };
        let available = wish.seconds * PLANNED;
        let found = draft.size(dataset, teacher, wish, available, &measure)?;
        let epochs = |seconds: f64, an_image: f64| (seconds / (images as f64 * an_image)).floor().max(0.0) as u64;
        let online = epochs(available, found.of_image(true, device));
        let bank = draft.views(images, teacher, online, available, &found, device)?;
        let an_image = found.of_image(!bank, device);
        let filling = if bank { (draft.config.view_count * images) as f64 * found.of_bank(device) } else { 0.0 };
        let possible = epochs(available - filling, an_image).clamp(1, 1_000_000);
        draft.epochs(possible, an_image, wish)?;
        draft.warm_up(images, wish, an_image)?;
        draft.config.validate()?;
        for reason in &draft.reasons {
            log::info!("plan: {reason}");
        }
        Ok(Self { config: draft.config, bank, reasons: draft.reasons, cost: found })
    }

    /// The same plan with as many epochs as fit into `seconds` when an image takes `an_image` seconds.
    pub(super) fn refit(&mut self, given: &Config, images: usize, seconds: f64, an_image: f64) -> Result<()> {
        if given.chosen.contains("epochs") || given.chosen.contains("steps") {
            return Ok(());
        }
        let epochs = (seconds / (images as f64 * an_image)).floor().clamp(1.0, 1e6) as i64;
        let reason = format!("{epochs} epochs, since an image takes {:.2} ms in the run itself", an_image * 1e3);
        log::info!("plan: {reason}");
        self.reasons.push(reason);
        self.config.put("epochs", &Value::Int(epochs))
    }
}

/// A plan that is being made.
struct Draft<'a> {
    given: &'a Config,
    config: Config,
    reasons: Vec<String>,
    /// Whether the number format is decided.
    one_precision: bool,
}

impl Draft<'_> {
    /// Measures `config`; the first time in both number formats where "precision" is open, and the faster one is taken. bfloat16 is
    /// sure to be faster only where there is hardware for its products: with AVX-512's instructions alone, training in it takes up to
    /// three times as long, above all with depthwise convolutions.
    fn measured(&mut self, config: &Config, measure: &dyn Fn(&Config) -> Result<Cost>) -> Result<Cost> {
        let first = measure(config)?;
        let device = device::parse(&config.device)?;
        let open = !self.given.chosen.contains("precision")
            && config.precision == Precision::Auto
            && device == tch::Device::Cpu;
        if std::mem::replace(&mut self.one_precision, true)
            || !open
            || device::precision(Precision::Auto, device) == tch::Kind::Float
        {
            return Ok(first);
        }
        let mut other = config.clone();
        other.precision = Precision::Fp32;
        let second = measure(&other)?;
        // Over a bank the teacher computes once for several passes.
        let of = |cost: &Cost| cost.student + cost.teacher / VIEWS.1 as f64;
        let (taken, cost) = if of(&second) < of(&first) { (Precision::Fp32, second) } else { (Precision::Bf16, first) };
        self.config.precision = taken;
        self.reasons.push(format!(
            "{taken}: a step takes {:.2} ms an image in bfloat16, {:.2} ms in float32",
            first.student * 1e3,
            second.student * 1e3
        ));
        Ok(cost)
    }

    /// Takes a preset's values, but for those that the caller has chosen.
    fn preset(&mut self, name: &str) -> Result<()> {
        let mut preset = self.config.clone();
        preset.preset(name)?;
        for (key, _) in crate::config::keys() {
            if !self.given.chosen.contains(key) {
                self.config.put(key, &preset.get(key)?)?;
            }
        }
        self.reasons.push(format!("the preset \"{name}\""));
        Ok(())
    }

    /// Sets what the caller has not chosen; whether it did.
    fn set(&mut self, key: &str, value: Value) -> Result<bool> {
        if self.given.chosen.contains(key) {
            return Ok(false);
        }
        self.config.put(key, &value)?;
        Ok(true)
    }

    fn queue(&mut self, images: u64) -> Result<()> {
        let rows = (images / 8).clamp(1024, 16_384).min(images).max(1);
        if self.set("queue_capacity", Value::Int(rows as i64))? {
            self.reasons.push(format!("a queue of {rows} rows for {images} images, so that it holds no image twice"));
        }
        Ok(())
    }

    /// Chooses the size of the images, and gives what they cost at it.
    fn size(
        &mut self,
        dataset: &Dataset,
        teacher: &Teacher,
        wish: &Wish,
        seconds: f64,
        measure: &dyn Fn(&Config) -> Result<Cost>,
    ) -> Result<Cost> {
        let chosen = self.given.chosen.contains("image_width") || self.given.chosen.contains("image_height");
        // An engine of the application takes images of the size that it was made for.
        if chosen || teacher.embedder().is_some() {
            for (key, side) in
                [("image_width", self.given.view.input.width), ("image_height", self.given.view.input.height)]
            {
                self.config.put(key, &Value::Int(i64::from(side)))?;
            }
            let config = self.config.clone();
            return self.measured(&config, measure);
        }
        let typical = typical_side(dataset, &self.config.view.input.roi);
        let largest = (typical * ENLARGED).max(SIDES[SIDES.len() - 1]);
        let fits = |side: u32| {
            let side = i64::from(side);
            wish.architecture.takes(side, side) && teacher.architecture().is_ok_and(|teacher| teacher.takes(side, side))
        };
        // A patch of 14 pixels takes no multiple of 16: the next larger side that both networks take.
        let sides: Vec<u32> = SIDES
            .iter()
            .filter(|&&side| side <= largest)
            .filter_map(|&side| (side..side + 16).find(|&side| fits(side)))
            .collect();
        let set = |config: &mut Config, side: u32| -> Result<()> {
            config.put("image_width", &Value::Int(i64::from(side)))?;
            config.put("image_height", &Value::Int(i64::from(side)))
        };
        let images = dataset.len() as f64;
        let mut found = None;
        for (place, &side) in sides.iter().enumerate().rev() {
            // From the smallest side up, as long as enough views fit.
            let mut config = self.config.clone();
            set(&mut config, side)?;
            let cost = self.measured(&config, measure)?;
            let views = seconds / cost.of_image(false, device::parse(&config.device)?);
            let enough = if side > 112 { (MANY.0 * images).max(MANY.1) } else { SOME };
            if found.is_some() && views < enough {
                break;
            }
            found = Some((place, views, cost));
        }
        let (place, views, cost) = found.ok_or_else(|| {
            Error::invalid(format!(
                "student {} and teacher {} take images of no common size between {} and {}: set image_width and image_height",
                wish.architecture.name(),
                teacher.name(),
                SIDES[SIDES.len() - 1],
                SIDES[0] + 16
            ))
        })?;
        set(&mut self.config, sides[place])?;
        self.reasons.push(format!(
            "images of {0}×{0}: {views:.0} views fit into the time; a typical frame has a side of {typical} pixels",
            sides[place]
        ));
        Ok(cost)
    }

    /// The setting that a bank cannot serve, if there is one, and why.
    fn wants_the_teacher(&self) -> Option<(String, &'static str)> {
        if self.config.mixup > 0.0 {
            let why = "images are mixed before the teacher sees them, and a bank knows single ones only";
            return Some((format!("mixup is {}", self.config.mixup), why));
        }
        let weight = self.config.patch.weight;
        let why = "the patches of its feature maps are compared, and a bank has embeddings only";
        (weight > 0.0).then(|| (format!("patch.weight is {weight}"), why))
    }

    /// Decides on a bank and how many views it has.
    fn views(
        &mut self,
        images: u64,
        teacher: &Teacher,
        online: u64,
        seconds: f64,
        cost: &Cost,
        device: tch::Device,
    ) -> Result<bool> {
        if self.given.chosen.contains("view_count") {
            let bank = self.given.view_count > 0;
            if let Some((setting, why)) = self.wants_the_teacher().filter(|_| bank) {
                let views = self.given.view_count;
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("{setting} and view_count is {views}: {why}; set one of the two to 0"),
                ));
            }
            self.config.put("view_count", &Value::Int(self.given.view_count as i64))?;
            return Ok(bank);
        }
        if let Some((_, why)) = self.wants_the_teacher() {
            self.config.put("view_count", &Value::Int(0))?;
            self.reasons.push(format!("the teacher is in the loop: {why}"));
            return Ok(false);
        }
        let over_a_bank = (seconds / (images as f64 * cost.of_image(false, device))).floor() as u64;
        let mut views = (over_a_bank / VIEWS.1).clamp(1, VIEWS.0);
        let dim = teacher.embedding_dim().unsigned_abs();
        let row = dim.saturating_mul(1 + self.config.small.count);
        while views > 1 && predicted_bytes(images, views, row).map_or(true, |bytes| bytes > BANK) {
            views -= 1;
        }
        // Where the teacher is cheap beside the student, or there is hardly time for more than one pass, fresh views cost nothing.
        let bank = over_a_bank > online + online / 8 && over_a_bank >= 2 * views;
        let count = if bank { views } else { 0 };
        self.config.put("view_count", &Value::Int(count as i64))?;
        self.reasons.push(match bank {
            true => format!("the teacher sees {views} views of each image once: {over_a_bank} epochs fit then, {online} with it in the loop"),
            false => "the teacher is in the loop: a bank would save too little".to_owned(),
        });
        Ok(bank)
    }

    fn epochs(&mut self, possible: u64, an_image: f64, wish: &Wish) -> Result<()> {
        if !self.given.chosen.contains("steps") && self.set("epochs", Value::Int(possible as i64))? {
            self.reasons.push(format!(
                "{possible} epochs fit into {:.0} s, since an image takes {:.2} ms",
                wish.seconds,
                an_image * 1e3
            ));
        }
        Ok(())
    }

    fn warm_up(&mut self, images: u64, wish: &Wish, an_image: f64) -> Result<()> {
        let steps = match self.config.steps {
            0 => (images.saturating_mul(self.config.epochs) / self.config.batch_size).max(1),
            steps => steps,
        };
        let share = if wish.from_weights { steps / 20 } else { steps / 100 };
        self.set("warmup_steps", Value::Int(share.max(20).min(steps / 2) as i64))?;
        // A report every half second or so, and twenty at least.
        let every = ((0.5 / (self.config.batch_size as f64 * an_image)) as u64).clamp(1, (steps / 20).max(1));
        self.set("progress_every", Value::Int(every as i64))?;
        Ok(())
    }
}

/// The median of the shorter sides of what is seen of some frames; the preset's where none can be read.
fn typical_side(dataset: &Dataset, roi: &Roi) -> u32 {
    let count = dataset.len();
    let frames = (0..16.min(count)).filter_map(|i| dataset.load(i * count / 16.min(count)).ok());
    let mut sides: Vec<u32> = frames
        .filter_map(|frame| roi.within(frame.width(), frame.height()).ok())
        .map(|part| part.width.min(part.height))
        .collect();
    sides.sort_unstable();
    sides.get(sides.len() / 2).copied().unwrap_or(96)
}
