//! Which strategy the setting "method" means: the one place that knows strategies by their names. A new one is a file in `distill/strategy`,
//! a name in [`MethodName`] and a row here.

use super::distill::Distillation;
use super::pace::Pace;
use super::probe::{host_rows, learned_images};
use crate::config::{Config, MethodName};
use crate::data::Dataset;
use crate::distill::Temperatures;
use crate::distill::strategy::{
    BinaryContrastive, KMeans, Known, L2, Moco, MocoV2, OnlineClustering, Seed, SeedMoco, SimClr, Strategy, SwAv,
    SwAvSettings,
};
use crate::model::Network;
use crate::sys::memory::reserve;
use crate::{Error, ErrorKind, Result};

/// What a method learns from, known before anything of a run is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    /// Whether it has a teacher; without one the student learns from its own views.
    pub teacher: bool,
    /// Whether small views may be beside the large ones.
    pub small_views: bool,
    /// Whether the projection of a student that has none yet gets batch norm.
    pub normed_head: bool,
    /// Whether a step sees all of its batch at once, so that accumulation_steps must be 1.
    pub whole_batch: bool,
    /// Passes over the data set in which the learning rate rises, where warmup_steps is not set; at most a tenth of the run.
    pub warmup_epochs: u64,
    /// Fields of [`MethodsConfig`](crate::config::MethodsConfig) that shape its numbers.
    pub settings: &'static [&'static str],
    /// Why several processes cannot share a run of it; empty where they can, since the mean of their gradients is that of the whole batch.
    pub apart: &'static str,
}

const TAUGHT: Needs = Needs {
    teacher: true,
    small_views: true,
    normed_head: false,
    whole_batch: false,
    warmup_epochs: 0,
    settings: &[],
    apart: "",
};
const ALONE: Needs = Needs { teacher: false, small_views: false, apart: COMPARES, ..TAUGHT };
const SWAV: Needs = Needs {
    small_views: true,
    normed_head: true,
    whole_batch: true,
    settings: &["swav_prototypes", "swav_queue", "swav_queue_epoch", "swav_frozen_epochs"],
    apart: BALANCES,
    ..ALONE
};

const COMPARES: &str = "it compares the images of a step with each other, and each process sees its share of them only";
const BALANCES: &str =
    "it spreads the images of a step evenly over its prototypes, and each process sees its share of them only";
const KEYS: &str = "it keeps a queue of the student's own keys, which would be another one on each process";
const CLUSTERS: &str =
    "it weighs the images of a step by how many of them have a cluster, which each process knows of its share only";

/// What a strategy is made for.
pub(super) struct Ground<'a> {
    pub config: &'a Config,
    /// Images of the data set, where there is one.
    pub images: Option<usize>,
    /// Images that the run learns from; 0 without a data set.
    pub learned: usize,
    /// On the run's device, with the width of the embeddings.
    pub student: &'a Network,
}

/// Prototypes of "swav" where swav.prototypes is 0: one for each ten images, within these bounds.
const FEWEST_PROTOTYPES: u64 = 8;
const MOST_PROTOTYPES: u64 = 3000;

type Make = fn(&Ground<'_>) -> Result<Box<dyn Strategy>>;

/// What each method needs, and how its strategy is made.
fn row(method: MethodName) -> (Needs, Make) {
    match method {
        MethodName::Seed => (TAUGHT, seed),
        MethodName::L2 => (TAUGHT, |_| Ok(Box::new(L2))),
        MethodName::KMeans => (Needs { settings: &["clusters"], apart: CLUSTERS, ..TAUGHT }, k_means),
        MethodName::OnlineClustering => {
            (Needs { settings: &["prototypes"], apart: BALANCES, ..TAUGHT }, online_clustering)
        }
        MethodName::BinaryContrastive => (TAUGHT, binary_contrastive),
        MethodName::SeedMoco => {
            let settings = &["moco_weight", "momentum"];
            (Needs { small_views: false, settings, apart: KEYS, ..TAUGHT }, seed_moco)
        }
        MethodName::MocoV2 => (Needs { settings: &["momentum"], apart: KEYS, ..ALONE }, moco_v2),
        MethodName::SimClr => (Needs { normed_head: true, whole_batch: true, warmup_epochs: 10, ..ALONE }, |ground| {
            Ok(Box::new(SimClr { temperature: ground.config.temperature_student }))
        }),
        MethodName::SwAv => (SWAV, swav),
    }
}

/// What the configured method needs, where the run has it: a teacher or none, all of a batch at once.
///
/// # Errors
/// `InvalidArgument` where it has not.
pub(super) fn needs(config: &Config, has_teacher: bool) -> Result<Needs> {
    let method = config.method;
    let (needs, _) = row(method);
    let alone = || {
        let methods = MethodName::ALL.iter().filter(|&&method| !row(method).0.teacher);
        methods.map(|method| method.word()).collect::<Vec<_>>()
    };
    match (needs.teacher, has_teacher) {
        (true, false) => Err(Error::invalid(format!(
            "method {method} learns from a teacher, and there is none: give one, or set method to one that needs none ({})",
            alone().join(", ")
        ))),
        (false, true) => Err(Error::invalid(format!(
            "method {method} learns without a teacher, but one was given: leave it out, or set another method"
        ))),
        _ if needs.whole_batch && config.accumulation_steps > 1 => Err(Error::invalid(format!(
            "method {method} compares all images of a batch with each other, but accumulation_steps is {}: set it to 1, and a smaller batch_size where \
             memory is short",
            config.accumulation_steps
        ))),
        _ if config.small.count > 0 && !needs.small_views => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "small.count is {}, but method {method} has no small views: set small.count to 0",
                config.small.count
            ),
        )),
        _ => Ok(needs),
    }
}

/// The strategy of a run.
///
/// # Errors
/// `InvalidArgument` where the run lacks what the strategy needs; `OutOfMemory` or `Torch` from libtorch.
pub(super) fn strategy(ground: &Ground<'_>) -> Result<Box<dyn Strategy>> {
    let (_, make) = row(ground.config.method);
    make(ground)
}

fn seed(ground: &Ground<'_>) -> Result<Box<dyn Strategy>> {
    Ok(Box::new(seed_of(ground.config)))
}

fn seed_of(config: &Config) -> Seed {
    Seed { temperatures: Temperatures { student: config.temperature_student, teacher: config.temperature_teacher } }
}

fn seed_moco(ground: &Ground<'_>) -> Result<Box<dyn Strategy>> {
    let config = ground.config;
    let moco = match config.methods.moco_weight {
        0.0 => None,
        weight => {
            Some(Moco::new(weight, config.methods.momentum, ground.student, config.queue_capacity as i64, config.seed)?)
        }
    };
    Ok(Box::new(SeedMoco { seed: seed_of(config), moco }))
}

fn binary_contrastive(ground: &Ground<'_>) -> Result<Box<dyn Strategy>> {
    let images = ground.images.ok_or_else(|| {
        Error::invalid(
            "method binary_contrastive weighs its negatives by the number of images, but the run has no data set: give the trainer one",
        )
    })?;
    Ok(Box::new(BinaryContrastive { temperature: ground.config.temperature_student, images: images as u64 }))
}

fn k_means(ground: &Ground<'_>) -> Result<Box<dyn Strategy>> {
    if ground.images.is_none() {
        return Err(Error::invalid(
            "method k_means learns the clusters of a data set's images, but the run has no data set: give the trainer one",
        ));
    }
    let learned = ground.learned as u64;
    let clusters = match ground.config.methods.clusters {
        0 => (learned / 10).clamp(1, 1000),
        clusters => clusters,
    };
    if clusters > learned {
        return Err(Error::invalid(format!(
            "k_means.clusters is {clusters}, but the run learns from {learned} images; set it to {learned} at most, or to 0"
        )));
    }
    Ok(Box::new(KMeans::new(
        clusters as i64,
        ground.student.feature_dim(),
        ground.config.seed,
        ground.student.device(),
    )?))
}

fn online_clustering(ground: &Ground<'_>) -> Result<Box<dyn Strategy>> {
    let count = ground.config.methods.prototypes as i64;
    Ok(Box::new(OnlineClustering::new(
        count,
        ground.student.output_dim(),
        ground.config.seed,
        ground.student.device(),
    )?))
}

fn moco_v2(ground: &Ground<'_>) -> Result<Box<dyn Strategy>> {
    let config = ground.config;
    Ok(Box::new(MocoV2::new(ground.student, config.methods.momentum, config.temperature_student)?))
}

fn swav(ground: &Ground<'_>) -> Result<Box<dyn Strategy>> {
    let (config, learned) = (ground.config, ground.learned as u64);
    let prototypes = match (config.methods.swav_prototypes, learned) {
        (0, 0) => MOST_PROTOTYPES,
        (0, _) => (learned / 10).clamp(FEWEST_PROTOTYPES, MOST_PROTOTYPES),
        (count, _) => count,
    };
    let settings = SwAvSettings {
        prototypes: prototypes as i64,
        temperature: config.temperature_student,
        small: config.small.count as i64,
        queue: config.methods.swav_queue as i64,
        queue_epoch: config.methods.swav_queue_epoch,
        frozen_epochs: config.methods.swav_frozen_epochs,
        // The caller's number may be too large, our own is not.
        images: if config.methods.swav_prototypes == 0 { 0 } else { learned as i64 },
        seed: config.seed,
    };
    Ok(Box::new(SwAv::new(settings, ground.student)?))
}

impl Distillation {
    /// Tells the strategy what the teacher says of the images that the run learns from, where it has yet to know. A cancelled call leaves
    /// it as it is.
    pub(super) fn prepare_strategy(&mut self, dataset: &Dataset, pace: &Pace<'_>) -> Result<()> {
        if !self.strategy.wants_embeddings() {
            return Ok(());
        }
        if self.step > 0 {
            return Err(Error::mismatch(format!(
                "the run is at step {}, but its checkpoint lacks what method {} made before the first step",
                self.step, self.config.method
            )));
        }
        let images = learned_images(&self.config, dataset.len());
        let mut known = Known { images: dataset.len(), numbers: Vec::new(), rows: Vec::new(), dim: 0 };
        let what = "the teacher's embeddings of the data set";
        let all = self.ask_about(dataset, &images, pace, &mut |sound, rows| {
            let (rows, dim) = host_rows(&self.standardised(rows)?)?;
            known.dim = dim;
            reserve(&mut known.numbers, sound.len(), what)?;
            reserve(&mut known.rows, rows.len(), what)?;
            known.numbers.extend(sound);
            known.rows.extend(rows);
            Ok(())
        })?;
        if all {
            self.strategy.prepare(&known, &|| !pace.cancel().wait().1)?;
            self.warn_of_strategy();
        }
        Ok(())
    }

    /// Passes on what the strategy has to say.
    pub(super) fn warn_of_strategy(&self) {
        self.strategy.warnings().into_iter().for_each(|warning| self.warnings.add(warning));
    }
}
