//! Filling a teacher bank: every view of every image, and the small ones beside it → teacher → float16 rows on the disk.
//!
//! The teacher computes exactly as in the loop of an online run: the same views, the same precision, at most
//! `batch_size / accumulation_steps` images at a time.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::cancel::CancelToken;
use super::pace::{Pace, paced};
use super::progress::{Control, Lap};
use super::run::{At, Course, Method, Outcome, run};
use crate::config::Config;
use crate::config::to_usize;
use crate::data::loader::Loader;
use crate::data::{Batch, Dataset, Input, ViewConfig};
use crate::distill::bank::format::BLOCK_ROWS;
use crate::distill::bank::{Bank, BankTeacher, BankViews, BankWriter, Header, SmallViews, bad_row};
use crate::distill::views::{for_teacher, upload};
use crate::finite::{self, Names};
use crate::model::Teacher;
use crate::optim::Cosine;
use crate::sys::memory::{filled, room};
use crate::{Error, Result, device, torch};

/// One report of the filling.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BankProgress {
    /// Rows that are finished, of earlier calls too.
    pub rows: u64,
    /// Rows of the whole bank, V·N.
    pub total_rows: u64,
    /// Rows a second since the report before.
    pub rows_per_second: f64,
    /// Estimated time to the last row at the rate of this call so far, in seconds.
    pub eta_seconds: f64,
    /// Time since the call began, in seconds.
    pub elapsed_seconds: f64,
    /// Share of the time since the report before in which the teacher waited for images, 0 to 1.
    pub waiting_share: f64,
    /// Images that could not be read so far.
    pub skipped_images: u64,
}

/// Fills the bank at `path` with `view_count` views of every image and `small.count` small ones beside each of them, from the start or from where an earlier call ended, for
/// at least `max_rows` more rows (None: to the end; a piece ends with a whole chunk of `batch_size` rows, rounded up to
/// 64). `observe` is called every `progress_every` chunks and at the end, on this thread. Filled in pieces or in one go, on
/// the CPU the file is the same, byte for byte.
///
/// # Errors
/// `Config` or `InvalidArgument` where `view_count` is 0 or the data set is empty; `Mismatch` where teacher and run are on
/// different devices, the bank there is a stale one, or the teacher gives NaN or infinity, naming the image; `Io` where the disk is too small or full: what was finished stays,
/// and another call goes on from there; the loader's errors.
pub fn fill_bank(
    path: &Path,
    config: &Config,
    teacher: &Teacher,
    dataset: &Arc<Dataset>,
    max_rows: Option<u64>,
    cancel: &CancelToken,
    mut observe: impl FnMut(&BankProgress) -> Control,
) -> Result<Outcome> {
    config.validate()?;
    if config.view_count == 0 {
        return Err(Error::invalid(
            "view_count is 0, but a bank holds a number of views of each image: set view_count",
        ));
    }
    let device = device::parse(&config.device)?;
    let precision = device::precision(config.precision, device);
    if teacher.device() != device {
        return Err(Error::mismatch(format!(
            "the bank is to be filled on {device:?}, but the teacher is on {:?}; make it with the same \"device\"",
            teacher.device()
        )));
    }
    let header = header(config, precision, teacher, dataset)?;
    dataset.set_cache_bytes(usize::try_from(config.cache_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20));
    let mut writer = BankWriter::open(path, &header)?;
    let total = writer.total_rows();

    // Chunks are cut at the same rows whoever fills, so that each row is computed among the same neighbours.
    let chunk = config.batch_size.next_multiple_of(BLOCK_ROWS);
    let piece = config.batch_size.div_ceil(config.accumulation_steps.max(1)).max(1) as i64;
    let chunks = total.div_ceil(chunk);
    let first = if writer.rows() == total { chunks } else { writer.rows() / chunk };
    if first < chunks {
        writer.rewind(first * chunk)?;
    }
    let end = chunks.min(first.saturating_add(max_rows.map_or(u64::MAX, |rows| rows.div_ceil(chunk))));
    let mut recipes = vec![config.view.clone()];
    recipes.resize(1 + to_usize(config.small.count)?, config.small.view(&config.view));
    let mut loader = Loader::every_view(
        Arc::clone(dataset),
        recipes.clone(),
        config.seed,
        config.view_count,
        to_usize(chunk)?,
        first..end,
        to_usize(config.workers)?,
    )?;
    let course = Course {
        first,
        end,
        total: chunks,
        of_pass: 0,
        images: to_usize(chunk)?,
        report_every: config.progress_every.max(1),
        save_every: u64::MAX,
        schedule: Cosine { base: 0.0, warmup: 0, total: chunks },
        seed: config.seed,
    };
    let pace = Pace::new(config, device, cancel);
    let mut filling = Filling { writer, teacher, dataset, recipes, device, precision, piece };
    let filled =
        paced(config, |report| run(&mut filling, &mut loader, &course, &pace, report), |progress| observe(&progress));
    // What is finished is kept; the error that stopped the work is the one to tell.
    let outcome = filled.inspect_err(|_| _ = filling.writer.commit())?;
    filling.writer.commit()?;
    Ok(if filling.writer.rows() == total { Outcome::Finished } else { outcome })
}

/// The filling of a bank as a method: a step is a chunk of rows.
struct Filling<'a> {
    writer: BankWriter,
    teacher: &'a Teacher,
    dataset: &'a Dataset,
    /// What the views of an image are drawn from: the large one, then the small ones.
    recipes: Vec<ViewConfig>,
    device: Device,
    precision: Kind,
    piece: i64,
}

impl Method for Filling<'_> {
    type Batch = Batch;
    type Report = BankProgress;

    fn step(&mut self, batch: &Batch, _: At) -> Result<()> {
        let names = |row: usize| self.dataset.title(batch.indices[row]);
        let of_views = batch.views.iter().zip(&self.recipes).map(|(views, recipe)| {
            let images = upload(views, recipe, self.device)?; // (B,C,H,W), channels-last
            embed(self.teacher, &images, &recipe.input, self.precision, self.piece, &names)
        });
        let rows = beside_each_other(of_views.collect::<Result<_>>()?, batch.indices.len())?;
        self.writer.append(&rows, &batch.indices)
    }

    fn report(&mut self, lap: &Lap) -> Result<BankProgress> {
        Ok(BankProgress {
            rows: self.writer.rows(),
            total_rows: self.writer.total_rows(),
            rows_per_second: lap.images_per_second,
            eta_seconds: lap.eta_seconds,
            elapsed_seconds: lap.elapsed_seconds,
            waiting_share: lap.waiting_share,
            skipped_images: self.dataset.skipped().len() as u64,
        })
    }

    fn save(&mut self) -> Result<()> {
        self.writer.commit()
    }
}

fn header(config: &Config, precision: Kind, teacher: &Teacher, dataset: &Dataset) -> Result<Header> {
    let views = bank_views(config, dataset)?;
    Ok(Header {
        format: Header::format_of(&views).to_owned(),
        library: env!("CARGO_PKG_VERSION").to_owned(),
        dim: teacher.embedding_dim().unsigned_abs(),
        teacher: BankTeacher {
            architecture: teacher.name().to_owned(),
            identity: teacher.identity()?,
            precision: teacher.number_format(precision).to_owned(),
        },
        views,
    })
}

/// Refuses a bank that is not finished or holds other views than this run's.
pub(super) fn check_bank(bank: &Bank, config: &Config, dataset: Option<&Dataset>) -> Result<()> {
    let dataset = dataset.ok_or_else(|| {
        Error::invalid(
            "a run over a bank needs the data set that the bank was filled from, to show the student its views",
        )
    })?;
    bank.check_views(&bank_views(config, dataset)?)
}

/// The views that a bank for this configuration and data set holds.
fn bank_views(config: &Config, dataset: &Dataset) -> Result<BankViews> {
    let images = dataset.len() as u64;
    let view = ViewConfig { input: dataset.seen_by(&config.view.input)?, ..config.view.clone() };
    let small = SmallViews { count: config.small.count, settings: config.small.view(&view) };
    let views = BankViews::new(view, config.view_count, config.seed, images, dataset.identity());
    Ok(BankViews { small: Some(small).filter(|small| small.count > 0), ..views })
}

/// The embeddings of each kind of view, all of `rows` rows, as rows that have those of one image one after another.
fn beside_each_other(mut of_views: Vec<Vec<u8>>, rows: usize) -> Result<Vec<u8>> {
    if of_views.len() == 1 {
        return Ok(of_views.remove(0));
    }
    let width = of_views[0].len() / rows.max(1);
    let mut all = room(of_views.len().saturating_mul(width).saturating_mul(rows), "rows of the bank")?;
    for row in 0..rows {
        of_views.iter().for_each(|halves| all.extend_from_slice(&halves[row * width..][..width]));
    }
    Ok(all)
}

/// Embeddings of `images` (B,C,H,W) with the channels of `input`, at most `piece` at a time, as B·C
/// float16 numbers in bytes. Errors call image i by the name that `names` gives.
fn embed(
    teacher: &Teacher,
    images: &Tensor,
    input: &Input,
    precision: Kind,
    piece: i64,
    names: Names,
) -> Result<Vec<u8>> {
    let batch = images.size()[0];
    let mut rows = Vec::new();
    for start in (0..batch).step_by(piece as usize) {
        let images = images.f_narrow(0, start, piece.min(batch - start))?;
        let images = for_teacher(&images, input)?;
        rows.push(teacher.embed_named(&images, Some(precision), &|row| names(start as usize + row))?);
    }
    let halves = Tensor::f_cat(&rows, 0)?.f_to_kind(Kind::Half)?;
    let halves = torch::copy_to(&halves, tch::Device::Cpu)?.f_contiguous()?;
    let count = halves.numel();
    let mut bytes = filled(0, count * 2, "rows of the bank")?;
    halves.f_copy_data_u8(&mut bytes, count)?;
    // The rows of a teacher on a GPU were not looked at before.
    match bad_row(&bytes, count / (batch as usize).max(1)) {
        Some(row) => Err(finite::gave(&format!("teacher ({})", teacher.name()), finite::NONE, &names(row))),
        None => Ok(bytes),
    }
}
