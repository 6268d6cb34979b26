//! What a run is refused for before its first step: student, targets, data set and configuration that do not fit together.

use tch::Device;

use crate::config::{Config, MethodName, Standardise};
use crate::data::Dataset;
use crate::distill::{ImageTargets, Targets};
use crate::model::{Mode, Network};
use crate::{Error, ErrorKind, Result};

/// Whether `student` learns from `targets` on `device`, from images as `config` has them.
pub(super) fn check_student(student: &Network, targets: &Targets, config: &Config, device: Device) -> Result<()> {
    check_widths(student, targets)?;
    let teacher_device = targets.device().unwrap_or(device);
    if student.device() != device || teacher_device != device {
        return Err(Error::mismatch(format!(
            "the run is configured for {device:?}, but the student is on {:?} and the teacher on {:?}; make them \
             with the same \"device\"",
            student.device(),
            teacher_device
        )));
    }
    if student.channels() != i64::from(config.view.input.channels) {
        return Err(Error::mismatch(format!(
            "the student takes images of {} channels, but image_channels is {}; make the two the same",
            student.channels(),
            config.view.input.channels
        )));
    }
    let (height, width) = (i64::from(config.view.input.height), i64::from(config.view.input.width));
    student.architecture().check_size(config.batch_size as i64, height, width, Mode::Eval)?;
    let small = config.small.view(&config.view).input;
    let (small_height, small_width) = (i64::from(small.height), i64::from(small.width));
    if config.small.count > 0 {
        student
            .architecture()
            .check_size(config.batch_size as i64, small_height, small_width, Mode::Eval)
            .map_err(|error| error.context("small views"))?;
    }
    if let Targets::Teacher(teacher) = targets
        && let Ok(architecture) = teacher.architecture()
    {
        let check = |height, width| architecture.check_size(1, height, width, Mode::Eval);
        check(height, width).map_err(|error| error.context("the teacher"))?;
        if config.small.count > 0 {
            check(small_height, small_width).map_err(|error| error.context("the teacher, of small views"))?;
        }
    }
    Ok(())
}

fn check_widths(student: &Network, targets: &Targets) -> Result<()> {
    if student.output_dim() == targets.dim() {
        return Ok(());
    }
    Err(Error::mismatch(format!(
        "the student's embedding has {} numbers and the teacher's {}; set embedding_dim to {1}",
        student.output_dim(),
        targets.dim()
    )))
}

/// Whether there is an embedding for each image of the data set.
pub(super) fn check_images(images: &ImageTargets, dataset: Option<&Dataset>) -> Result<()> {
    let dataset = dataset.ok_or_else(|| {
        Error::invalid(
            "a run over an embedding an image needs the data set of these images, to show the student its views",
        )
    })?;
    if dataset.len() == images.images() {
        return Ok(());
    }
    Err(Error::mismatch(format!("embeddings of {} images for a data set of {}", images.images(), dataset.len())))
}

/// The steps of a run over `learned` images; None: without a data set.
pub(super) fn total_steps(config: &Config, learned: Option<usize>) -> Result<u64> {
    if config.steps > 0 {
        return Ok(config.steps);
    }
    let Some(learned) = learned else {
        return Err(Error::invalid("steps is 0 and there is no data set to count epochs of: set steps"));
    };
    if learned == 0 {
        return Err(Error::invalid("the data set is empty: push frames or open a folder with images first"));
    }
    let images = (learned as u64).saturating_mul(config.epochs);
    Ok(images.div_ceil(config.batch_size).max(1))
}

/// Whether the run can be asked about mixtures.
///
/// # Errors
/// `Unsupported` where it cannot.
pub(super) fn check_mixup(config: &Config, targets: &Targets) -> Result<()> {
    if config.mixup <= 0.0 {
        return Ok(());
    }
    let why = match targets {
        Targets::Teacher(_) if config.method != MethodName::KMeans => return Ok(()),
        Targets::Teacher(_) => "the clusters of method k_means are those of single images".to_owned(),
        Targets::Own { .. } => {
            format!("method {} learns without a teacher who could say what a mixture is", config.method)
        }
        Targets::Bank(_) | Targets::Images(_) => format!("the {} knows single images only", targets.who()),
    };
    Err(Error::new(ErrorKind::Unsupported, format!("mixup is {}, but {why}: set it to 0", config.mixup)))
}

/// Whether views that are drawn in tiles of the frames fit what is learned of them.
///
/// # Errors
/// `Unsupported` where they do not.
pub(super) fn check_view_tile(config: &Config, targets: &Targets) -> Result<()> {
    use MethodName::{KMeans, MocoV2, SeedMoco, SimClr, SwAv};
    let tile = config.view.tile;
    let method = config.method;
    let why = match (targets, method) {
        _ if tile == 0 => return Ok(()),
        (Targets::Images(_), _) => "a table of embeddings knows whole frames only".to_owned(),
        (_, KMeans) => "the clusters of method k_means are those of whole frames".to_owned(),
        (_, SeedMoco | MocoV2 | SimClr | SwAv) => {
            format!("method {method} learns that the views of an image are alike, and its tiles show different places")
        }
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::Unsupported, format!("view.tile is {tile}, but {why}: set it to 0")))
}

/// Whether the run has what it needs for `targets.standardise`.
///
/// # Errors
/// `InvalidArgument` or `Unsupported` where it has not.
pub(super) fn check_standardise(config: &Config, has_teacher: bool, has_images: bool, has_queue: bool) -> Result<()> {
    let key = format!("targets.standardise is \"{}\"", config.standardise.word());
    if config.standardise == Standardise::None {
        return Ok(());
    }
    if !has_teacher {
        return Err(Error::invalid(format!(
            "{key}, but method {} learns without a teacher: set it to \"none\"",
            config.method
        )));
    }
    if !has_images {
        return Err(Error::invalid(format!(
            "{key}, which needs the teacher's embeddings of a data set, and the run has none: give the trainer one, or set it to \"none\""
        )));
    }
    if has_queue {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{key}, but the queue that was given has other embeddings than this run's: leave it out, so that the run makes its own"
            ),
        ));
    }
    Ok(())
}
