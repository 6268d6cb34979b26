//! A run that several processes make: what they have in common, and what each does for itself.
//!
//! ```text
//! batch_size       images of a step over all processes; each loads and embeds its equal share
//! gradients, loss  averaged before clipping and the update, so that all students learn the same
//! t                of all shares, in the order of the ranks, goes into each process's queue
//! batch norm       over a process's own share; checkpoint and end keep rank 0's statistics
//! rank 0 alone     looks at the student, writes checkpoints and event files
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

use super::cancel::CancelToken;
use super::distill::Distillation;
use super::progress::Control;
use super::run::Boundary;
use super::shared::with_lock;
use super::strategies::needs;
use crate::config::{FREE_SETTINGS, to_usize};
use crate::data::{Loader, Share};
use crate::distill::queue::QueueSnapshot;
use crate::distill::step::{Exchanged, Together};
use crate::model::Network;
use crate::model::weights::HostTensor;
use crate::sys::hash;
use crate::world::{Wish, World, host_copy, put_back};
use crate::{Error, ErrorKind, Result};

/// Bytes of gradients that are averaged at once: they are copied, and the copy shall stay small (torch's DDP has 25 MiB).
const BUCKET: usize = 25 << 20;

/// How often a paused run asks whether it is still paused.
const PAUSE: Duration = Duration::from_millis(200);

/// A run's place among several processes.
pub(super) struct Membership {
    world: Arc<World>,
}

impl Distillation {
    /// Makes the run together with the same run in the other processes of `world`, from the next call of [`run`](Distillation::run) on,
    /// which all make at once. `batch_size` is the number of images of a step over all of them.
    ///
    /// # Errors
    /// `InvalidArgument` where the run has a world already that works, and where batch_size is no multiple of its size; `Unsupported` for a method
    /// of which a process would need more than its share of the images, and on a GPU.
    pub fn join(&mut self, world: Arc<World>) -> Result<()> {
        if self.membership.as_ref().is_some_and(|membership| !membership.world.is_broken()) {
            return Err(Error::invalid("the run belongs to a world already"));
        }
        let (size, batch) = (u64::from(world.size()), self.config.batch_size);
        if !batch.is_multiple_of(size) {
            return Err(Error::invalid(format!(
                "batch_size is {batch}, which {size} processes cannot share evenly: it is the images of a step over all of them, so set it to \
                 a multiple of {size}"
            )));
        }
        let apart = needs(&self.config, self.targets.has_teacher())?.apart;
        if !apart.is_empty() {
            let method = self.config.method;
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "method {method} is not made by several processes: {apart}; methods seed, l2 and binary_contrastive are"
                ),
            ));
        }
        if self.config.mixup > 0.0 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "mixup is {}, but several processes make the run, of which each could mix its own share only: set it to 0",
                    self.config.mixup
                ),
            ));
        }
        if self.device != tch::Device::Cpu {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "several processes make one run on CPUs only, and this one's device is {:?}: processes exchange gradients by Gloo, which this \
                     libtorch has for main memory; NCCL is not used",
                    self.device
                ),
            ));
        }
        if self.dataset.is_none() {
            return Err(Error::invalid("a run of several processes needs a data set, of which each takes its share"));
        }
        if !world.is_first() {
            self.looking.forget();
        }
        self.membership = Some(Membership { world });
        Ok(())
    }

    pub(super) fn world(&self) -> Option<Arc<World>> {
        self.membership.as_ref().map(|membership| Arc::clone(&membership.world))
    }

    /// From 0; 0 where there is no other process.
    pub(super) fn rank(&self) -> u64 {
        self.membership.as_ref().map_or(0, |membership| u64::from(membership.world.rank()))
    }

    /// Whether this process writes what there is to be written, and looks at the student.
    pub(super) fn writes(&self) -> bool {
        self.rank() == 0
    }

    /// Images of this process in a step, and which ones.
    pub(super) fn share(&self) -> Result<(usize, Share)> {
        let of = self.membership.as_ref().map_or(1, |membership| u64::from(membership.world.size()));
        Ok((to_usize(self.config.batch_size / of)?, Share { part: self.rank(), of }))
    }

    /// What `own` is, where no process has failed.
    pub(super) fn together<T>(&self, what: &str, own: Result<T>) -> Result<T> {
        match &self.membership {
            Some(membership) => membership.world.together(what, own),
            None => own,
        }
    }

    /// Makes sure that all processes are about to make the same steps, up to `end`.
    pub(super) fn meet(&self, end: u64) -> Result<()> {
        let Some(membership) = &self.membership else { return Ok(()) };
        let facts = membership.world.together("the beginning of a run", self.facts(end))?;
        membership.world.same(&facts)
    }

    /// What must be the same on all processes, at every call: between two of them data sets grow and students are loaded.
    fn facts(&self, end: u64) -> Result<Vec<(String, String)>> {
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let mut facts =
            vec![fact("the step", self.step.to_string()), fact("the last step of the call", end.to_string())];
        let config = serde_json::to_value(&self.config).map_err(|error| Error::internal("the configuration", error))?;
        let settings = config.as_object().into_iter().flatten();
        let settings = settings.filter(|(key, _)| !FREE_SETTINGS.contains(&key.as_str()));
        facts.extend(settings.map(|(key, value)| fact(&format!("setting {key}"), value.to_string())));
        if let Some(dataset) = &self.dataset {
            facts.push(fact("the number of images", dataset.len().to_string()));
            facts.push(fact("the data set", dataset.identity()));
        }
        facts.push(fact("the teacher", self.targets.identity()?));
        let queue = with_lock(&self.queue, |queue| Ok((queue.capacity(), queue.width())))?;
        facts.push(fact("the queue's size", format!("{} rows of {}", queue.0, queue.1)));
        let (architecture, weights) =
            with_lock(&self.student, |student| Ok((student.architecture().name().to_owned(), weights_of(student)?)))?;
        facts.push(fact("the student's architecture", architecture));
        facts.push(fact("the hash of the student's weights", weights));
        Ok(facts)
    }

    /// Goes on where all processes can; none where one of them has ended the call.
    pub(super) fn agree_on_start(&self, begun: Result<Option<Loader>>) -> Result<Option<Loader>> {
        let Some(membership) = &self.membership else { return begun };
        let (loader, wish) = match begun {
            Ok(Some(loader)) => (Some(loader), Ok(Wish::GoOn)),
            Ok(None) => (None, Ok(Wish::End)),
            Err(error) => (None, Err(error)),
        };
        Ok(match membership.world.agree("the first step", wish)? {
            Wish::GoOn => loader,
            Wish::Wait | Wish::End => None,
        })
    }

    /// All processes get rank 0's queues, since what fills one is computed by each and two machines may round it differently; and its student's
    /// statistics of batch norm.
    pub(super) fn share_queue(&mut self) -> Result<()> {
        let Some(Membership { world }) = &self.membership else { return Ok(()) };
        let spread = |snapshot: QueueSnapshot| {
            let place = Tensor::f_from_slice(&[snapshot.pointer, snapshot.filled])?;
            let rows = host_copy(&snapshot.rows)?;
            world.spread(&place)?;
            world.spread(&rows)?;
            Ok::<_, Error>(QueueSnapshot {
                rows,
                pointer: place.f_int64_value(&[0])?,
                filled: place.f_int64_value(&[1])?,
            })
        };
        with_lock(&self.queue, |queue| queue.restore(&spread(queue.snapshot()?)?))?;
        if let Some(queue) = &mut self.small_queue {
            queue.restore(&spread(queue.snapshot()?)?)?;
        }
        for tensor in self.standardising() {
            let values = host_copy(&tensor)?;
            world.spread(&values)?;
            put_back(&tensor, &values)?;
        }
        // Where rank 0 was cancelled before it had filled its queue, all have its noise.
        let fresh = Tensor::f_from_slice(&[i64::from(self.fresh_queue)])?;
        world.spread(&fresh)?;
        self.fresh_queue = fresh.f_int64_value(&[0])? != 0;
        with_lock(&self.student, |student| spread_all(world, student.buffers()))
    }

    /// At the end, after rank 0 has chosen which student it keeps: all processes get that one, with its statistics of batch norm.
    pub(super) fn share_student(&self, chosen: Result<()>) -> Result<()> {
        let Some(membership) = &self.membership else { return chosen };
        let world = &membership.world;
        world.together("the best student", chosen)?;
        with_lock(&self.student, |student| spread_all(world, student.tensors()))
    }
}

/// All processes get rank 0's tensors.
fn spread_all(world: &World, tensors: Vec<(String, Tensor)>) -> Result<()> {
    for (_, tensor) in tensors {
        let values = host_copy(&tensor)?;
        world.spread(&values)?;
        put_back(&tensor, &values)?;
    }
    Ok(())
}

fn weights_of(student: &Network) -> Result<String> {
    let mut sha = Sha256::new();
    for (name, tensor) in student.parameters() {
        sha.update(name);
        sha.update(&HostTensor::from_tensor(&tensor)?.bytes);
    }
    Ok(hash::text(sha))
}

/// Between two steps: each process asks its own token, and all do the same. A paused run goes on asking, so that nobody waits in vain.
pub(super) fn world_boundary(
    world: &World,
    own: Result<Control>,
    over: bool,
    cancel: &CancelToken,
) -> Result<Boundary> {
    let (began, mut paused) = (Instant::now(), false);
    let mut own = own.map(|control| if control == Control::Stop { Wish::End } else { Wish::GoOn });
    loop {
        let wish = own.map(|wish| match cancel.asked() {
            _ if over || wish == Wish::End => wish,
            (_, true) => Wish::End,
            (true, false) => Wish::Wait,
            (false, false) => Wish::GoOn,
        });
        match world.agree("the next step", wish)? {
            Wish::Wait => {
                (paused, own) = (true, Ok(Wish::GoOn));
                cancel.wait_at_most(PAUSE.min(world.timeout() / 4));
            }
            wish => {
                let paused = if paused { began.elapsed() } else { Duration::ZERO };
                return Ok(Boundary { paused, ended: wish == Wish::End });
            }
        }
    }
}

/// A step's exchange with the other processes.
pub(super) struct Exchange<'a>(pub &'a World);

impl Together for Exchange<'_> {
    fn exchange(&self, parameters: &[Tensor], own: Result<Exchanged>) -> Result<Exchanged> {
        let own = self.0.together("the gradients of a step", own)?;
        // The others do not know of an error that comes now.
        exchanged(self.0, parameters, own).map_err(|error| self.0.leave(error))
    }
}

fn exchanged(world: &World, parameters: &[Tensor], own: Exchanged) -> Result<Exchanged> {
    let _no_grad = tch::no_grad_guard();
    let size = f64::from(world.size());
    let mut first = 0;
    while first < parameters.len() {
        let mut bytes = 0;
        let fits = parameters[first..].iter().take_while(|parameter| {
            bytes += parameter.numel() * size_of::<f32>();
            bytes <= BUCKET
        });
        let last = first + fits.count().max(1);
        average(world, &parameters[first..last], size)?;
        first = last;
    }
    let loss = host_copy(&own.loss.f_reshape([1])?.f_to_kind(Kind::Double)?)?;
    world.sum(&loss)?;
    let loss = loss.f_div_scalar(size)?.f_to_kind(own.loss.kind())?.f_reshape([0i64; 0])?;
    let rows = own.rows.iter().map(|rows| rows.as_ref().map(|rows| world.rows(rows)).transpose());
    Ok(Exchanged { loss, rows: rows.collect::<Result<_>>()? })
}

/// Replaces the gradients of `parameters` by their means. One without a gradient has none on any process.
fn average(world: &World, parameters: &[Tensor], size: f64) -> Result<()> {
    let mut flat = Vec::with_capacity(parameters.len());
    let gradients: Vec<Tensor> = parameters.iter().map(Tensor::grad).collect();
    for gradient in gradients.iter().filter(|gradient| gradient.defined()) {
        flat.push(gradient.f_flatten(0, -1)?);
    }
    if flat.is_empty() {
        return Ok(());
    }
    let sums = Tensor::f_cat(&flat, 0)?;
    drop(flat);
    world.sum(&sums)?;
    let mut means = sums;
    let _ = means.f_div_scalar_(size)?;
    let mut start = 0;
    for gradient in gradients.iter().filter(|gradient| gradient.defined()) {
        let length = gradient.numel() as i64;
        put_back(gradient, &means.f_narrow(0, start, length)?.f_reshape(gradient.size())?)?;
        start += length;
    }
    Ok(())
}
