//! How long a step takes here: the very operations of a run, on this machine, for a moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::config::to_usize;
use crate::config::{BatchNorm, Config};
use crate::data::{Dataset, Loader};
use crate::distill::Temperatures;
use crate::distill::patches::PatchTerm;
use crate::distill::queue::Queue;
use crate::distill::step::distill;
use crate::distill::strategy::Seed;
use crate::distill::{StepBatch, StepSettings};
use crate::model::{Network, Teacher, unit_rows};
use crate::optim::Sgd;
use crate::train::patches::PatchMaps;
use crate::{Result, device, torch};

/// Seconds an image takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// One forward pass of the teacher.
    pub teacher: f64,
    /// Forward, backward and update of the student.
    pub student: f64,
    /// Reading the frame and making its view, on all workers together.
    pub view: f64,
}

impl Cost {
    /// An image of a run whose teacher is in the loop, or of one over a bank. Views are made while the networks compute: on a GPU
    /// beside it, on the CPU by the same cores.
    pub fn of_image(&self, with_teacher: bool, device: Device) -> f64 {
        let networks = self.student + if with_teacher { self.teacher } else { 0.0 };
        self.beside(networks, device)
    }

    /// An image of the filling of a bank.
    pub fn of_bank(&self, device: Device) -> f64 {
        self.beside(self.teacher, device)
    }

    fn beside(&self, networks: f64, device: Device) -> f64 {
        match device {
            Device::Cpu => networks + self.view,
            _ => networks.max(self.view),
        }
    }
}

/// Measures a run with `config`'s size of images and batch, each of its three parts for about `seconds`. `student` is changed: give a
/// copy.
///
/// # Errors
/// Those of the networks, for instance for a size that a Vision Transformer does not take; of the data set where no image can be read.
pub(super) fn cost(
    config: &Config,
    dataset: &Arc<Dataset>,
    teacher: &Teacher,
    student: &Network,
    seconds: f64,
) -> Result<Cost> {
    let device = device::parse(&config.device)?;
    let precision = device::precision(config.precision, device);
    let batch = config.batch_size.min(65_536) as i64;
    let (height, width) = (i64::from(config.view.input.height), i64::from(config.view.input.width));
    let images = |channels: i64| -> Result<Tensor> {
        let noise = Tensor::f_randn([batch, height, width, channels], (Kind::Float, Device::Cpu))?;
        Ok(torch::copy_to(&noise, device)?.f_permute([0, 3, 1, 2])?)
    };
    let seen = images(3)?;
    let asked = |_: usize| -> Result<()> {
        let _rows = teacher.embed_fused(&seen, precision)?;
        wait(device)
    };
    let of_teacher = repeat(seconds, asked)? / batch as f64;

    student.to_channels_last()?;
    let width_of_rows = student.output_dim();
    let mut optimiser = Sgd::new(student.parameters(), config.momentum, config.weight_decay)?;
    // The loss's share of a step is that of the queue; a larger one than this would only be slow to make.
    let capacity = config.queue_capacity.min(4096) as i64;
    let mut queue = Queue::new(capacity, width_of_rows, config.seed, device)?;
    let targets =
        unit_rows(&Tensor::f_randn([batch, width_of_rows], (Kind::Float, Device::Cpu))?)?.f_to_device(device)?;
    let views = images(i64::from(config.view.input.channels))?;
    let maps = PatchMaps::of_teacher(config, teacher, student.architecture())?;
    let of_map = match &maps {
        Some(maps) => Some(teacher.embed_with_map(&seen, precision, &maps.teacher, &|row| format!("image {row}"))?.1),
        None => None,
    };
    let patches = maps.as_ref().zip(of_map.as_ref()).map(|(maps, teacher)| PatchTerm {
        teacher,
        map: &maps.student,
        weight: config.patch.weight,
        temperature: config.patch.temperature,
    });
    let step = |number: usize| -> Result<()> {
        let settings = StepSettings {
            precision,
            learning_rate: 1e-6,
            noise: number as u64,
            running_norm: config.batch_norm == BatchNorm::Running,
            pieces: config.accumulation_steps,
            clip_norm: config.clip_norm,
            epoch: None,
        };
        let mut seed = Seed {
            temperatures: Temperatures { student: config.temperature_student, teacher: config.temperature_teacher },
        };
        let shown =
            StepBatch { views: &views, target: Some(&targets), images: None, second: None, small: &[], patches };
        let _step = distill(&shown, None, student, &mut queue, &mut optimiser, &mut seed, &settings, None)?;
        wait(device)
    };
    let of_student = repeat(seconds, step)? / batch as f64;
    Ok(Cost { teacher: of_teacher, student: of_student, view: of_view(config, dataset, seconds)? })
}

/// Seconds a view of the data set takes, frames read from their files included.
fn of_view(config: &Config, dataset: &Arc<Dataset>, seconds: f64) -> Result<f64> {
    let batch = to_usize(config.batch_size)?;
    let mut loader = Loader::views(
        Arc::clone(dataset),
        config.view.clone(),
        config.seed,
        batch,
        0..1_000_000,
        to_usize(config.workers)?,
    )?;
    let began = Instant::now();
    let mut images = 0;
    while images == 0 || began.elapsed().as_secs_f64() < seconds {
        let Some(views) = loader.next() else { break };
        images += batch;
        loader.recycle(views?);
    }
    Ok(began.elapsed().as_secs_f64() / images.max(1) as f64)
}

/// Seconds a call of `work` takes: after one call to warm up, the median of the calls that fit into `seconds`, of three at least.
fn repeat(seconds: f64, mut work: impl FnMut(usize) -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    work(0)?;
    let mut laps: Vec<Duration> = Vec::new();
    while laps.len() < 3 || (began.elapsed().as_secs_f64() < seconds && laps.len() < 1000) {
        let lap = Instant::now();
        work(laps.len() + 1)?;
        laps.push(lap.elapsed());
    }
    laps.sort_unstable();
    Ok(laps[laps.len() / 2].as_secs_f64())
}

fn wait(device: Device) -> Result<()> {
    match device {
        Device::Cuda(index) => torch::synchronise(index),
        _ => Ok(()),
    }
}
