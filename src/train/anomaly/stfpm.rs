//! STFPM's second network learns ([`crate::infer::anomaly::stfpm`] has the formulas): a method of the loop.
//!
//! It begins at random and sees good parts only, as whole frames without augmentation; where frames are cut into tiles, one tile of each in
//! a pass, drawn anew. Deviations from the paper: the learning rate
//! falls by a cosine.

use std::path::Path;

use tch::{Kind, Tensor};

use super::checkpoint::Position;
use super::pool::nothing_learned;
use crate::checkpoint::pass::{self, Identity};
use crate::config::Config;
use crate::data::random::{Purpose, below, generator, shuffle};
use crate::data::{Dataset, Input, Tile};
use crate::error::{Error, ErrorKind, Result};
use crate::infer::anomaly::images::{each_chunk, sound_images, sound_tiles, stopped};
use crate::infer::anomaly::stfpm::{Copyist, loss};
use crate::infer::{Session, SessionOptions};
use crate::model::{Head, Mode, Network, Stage};
use crate::optim::{Cosine, Sgd};
use crate::torch;
use crate::train::cancel::CancelToken;
use crate::train::pace::Pace;
use crate::train::progress::{Control, Lap};
use crate::train::run::{At, Course, Feed, Method, Outcome, Verdict, run};

/// Of SGD, as in the paper.
const MOMENTUM: f64 = 0.9;
const WEIGHT_DECAY: f64 = 1e-4;

/// What is needed to learn.
pub(super) struct Learner<'a> {
    pub session: &'a Session,
    pub network: &'a Network,
    pub input: &'a Input,
    pub stages: &'a [Stage],
    pub tile: &'a Tile,
    pub options: SessionOptions,
}

impl Learner<'_> {
    /// Learns the maps of the images `learned` of `good`, "anomaly.epochs" times each; how many of them were sound. `told` is
    /// given the images of each step and ends it by false. After each pass the state goes to "anomaly.checkpoint_path", and it
    /// goes on from there; who calls removes the file. The rests are those of `told`.
    pub fn fit(
        &self,
        config: &Config,
        good: &Dataset,
        learned: &[usize],
        cancel: &CancelToken,
        told: &mut dyn FnMut(usize) -> bool,
    ) -> Result<(Copyist, u64)> {
        let settings = &config.anomaly;
        let (architecture, channels) = (self.network.architecture(), self.network.channels());
        let network = Network::with_channels(architecture, Head::None, channels, config.seed, self.options.device)?;
        network.to_channels_last()?;
        let names: Vec<&str> = self.stages.iter().map(|stage| stage.name.as_str()).collect();
        let size = usize::try_from(settings.batch_size).unwrap_or(usize::MAX).min(learned.len()).max(1);
        let of_pass = learned.len().div_ceil(size) as u64;
        let total = of_pass.saturating_mul(settings.epochs);
        let mut optimiser = Sgd::new(self.parameters(&network, &names)?, MOMENTUM, WEIGHT_DECAY)?;
        let path = Path::new(&settings.checkpoint_path);
        // A hash over all weights is no matter beside a pass, but a run without checkpoints needs none.
        let identity = match path.as_os_str().is_empty() {
            true => String::new(),
            false => self.identify(config, good, learned)?,
        };
        let mut position = Position::new(identity);
        position.resume(path, &network, &mut optimiser, (settings.epochs, of_pass, learned.len() as u64))?;
        let resumed = usize::try_from(position.epoch).unwrap_or(usize::MAX).saturating_mul(learned.len());
        if resumed > 0 && !told(resumed) {
            return Err(stopped());
        }
        let course = Course {
            first: position.epoch.saturating_mul(of_pass),
            end: total,
            total,
            of_pass,
            images: size,
            report_every: 1,
            save_every: 0,
            schedule: Cosine { base: settings.learning_rate, warmup: 0, total },
            seed: config.seed,
        };
        let mut chunks = Chunks {
            session: self.session,
            tile: self.tile,
            good,
            learned,
            size,
            seed: config.seed,
            epoch: position.epoch,
            order: Vec::new(),
        };
        let mut learning = Learning {
            learner: self,
            good,
            learned,
            network,
            optimiser,
            names,
            position,
            path,
            rate: settings.learning_rate,
            loss: None,
            images: 0,
            sound: 0,
        };
        let observe = &mut |images| if told(images) { Control::Continue } else { Control::Stop };
        if run(&mut learning, &mut chunks, &course, &Pace::without_rests(cancel), observe)? == Outcome::Cancelled {
            return Err(stopped());
        }
        learning.network.freeze()?;
        Ok((Copyist::new(learning.network, self.input, self.options)?, learning.position.sound))
    }

    /// What decides the numbers of a run: the settings that training sees, the images, which of them are learned, and the backbone.
    pub(super) fn identify(&self, config: &Config, good: &Dataset, learned: &[usize]) -> Result<String> {
        let settings = &config.anomaly;
        let layers: Vec<&str> = self.stages.iter().map(|stage| stage.name.as_str()).collect();
        let rates = (settings.epochs, settings.batch_size, settings.learning_rate);
        let settings = serde_json::to_string(&(layers, rates, config.seed, &config.precision, self.input))
            .map_err(|error| Error::internal("the settings", error))?;
        let mut identity = Identity::default();
        identity.part(settings.as_bytes());
        identity.part(good.identity().as_bytes());
        let ignored = good.ignored_identity();
        if !ignored.is_empty() {
            identity.part(ignored.as_bytes());
        }
        if !self.tile.is_none() {
            identity.part(self.tile.to_string().as_bytes());
        }
        learned.iter().for_each(|&image| identity.part(&(image as u64).to_le_bytes()));
        for (name, tensor) in self.network.to_state()? {
            identity.part(name.as_bytes());
            identity.part(&tensor.bytes);
        }
        Ok(identity.finish())
    }

    /// What a step changes: what lies behind the last map has no gradient and is left as it is.
    fn parameters(&self, network: &Network, names: &[&str]) -> Result<Vec<(String, Tensor)>> {
        let sides = [1, network.channels(), self.input.height.into(), self.input.width.into()];
        let blank = Tensor::f_zeros(sides, (Kind::Float, self.options.device))?;
        let mut sum = Tensor::f_zeros([0i64; 0], (Kind::Float, self.options.device))?;
        // By their running statistics, which this leaves alone.
        for map in network.maps(&blank, names, Mode::Eval)? {
            sum = sum.f_add(&map.f_mean(None)?)?;
        }
        sum.f_backward()?;
        let mut parameters = network.parameters();
        parameters.retain(|(_, parameter)| parameter.grad().defined());
        let tensors: Vec<Tensor> = parameters.iter().map(|(_, tensor)| tensor.shallow_clone()).collect();
        torch::drop_gradients(&tensors)?;
        Ok(parameters)
    }
}

/// A part of a pass.
struct Chunk {
    /// (B, C, H, W) of those that are sound; none where none is.
    images: Option<Tensor>,
    /// How many there were.
    count: usize,
    sound: u64,
}

/// Passes over the images, each in an order of its own.
struct Chunks<'a> {
    session: &'a Session,
    tile: &'a Tile,
    good: &'a Dataset,
    learned: &'a [usize],
    size: usize,
    seed: u64,
    epoch: u64,
    /// What is left of the pass, the next one last.
    order: Vec<usize>,
}

impl Feed<Chunk> for Chunks<'_> {
    fn next(&mut self) -> Option<Result<Chunk>> {
        if self.order.is_empty() {
            self.order = self.learned.to_vec();
            shuffle(&mut generator(self.seed, self.epoch, 2, Purpose::Split), &mut self.order);
            self.order.reverse();
            self.epoch += 1;
        }
        let mut chunk = self.order.split_off(self.order.len().saturating_sub(self.size));
        chunk.reverse();
        let count = chunk.len();
        let found = match self.tile.is_none() {
            true => sound_images(self.session, self.good, &chunk, true),
            false => {
                let draw = |image: usize, count: usize| {
                    let mut random = generator(self.seed, self.epoch, image as u64, Purpose::Tile);
                    below(&mut random, count as u64) as usize
                };
                sound_tiles(self.session, self.tile, self.good, &chunk, draw)
            }
        };
        Some(found.map(|found| match found {
            Some((images, numbers)) => Chunk { images: Some(images), count, sound: numbers.len() as u64 },
            None => Chunk { images: None, count, sound: 0 },
        }))
    }
}

/// The method.
struct Learning<'a> {
    learner: &'a Learner<'a>,
    good: &'a Dataset,
    learned: &'a [usize],
    network: Network,
    optimiser: Sgd,
    names: Vec<&'a str>,
    position: Position,
    path: &'a Path,
    rate: f64,
    /// Of the last step, 0-dim, unread.
    loss: Option<Tensor>,
    /// Of the last step, sound or not.
    images: usize,
    /// Of this pass so far.
    sound: u64,
}

impl Method for Learning<'_> {
    type Batch = Chunk;
    type Report = usize;

    fn step(&mut self, chunk: &Chunk, at: At) -> Result<()> {
        self.images = chunk.count;
        let Some(images) = &chunk.images else { return Ok(()) };
        let Learner { session, stages, options, .. } = self.learner;
        let images = torch::copy_to(images, options.device)?;
        let teacher = session.maps_unread(&images, stages)?;
        let student = self.network.maps(&images, &self.names, Mode::Train { noise: at.noise })?;
        let loss = loss(&teacher, &student)?;
        loss.f_backward()?;
        self.optimiser.step(at.learning_rate)?;
        self.loss = Some(loss.f_detach()?);
        self.sound += chunk.sound;
        Ok(())
    }

    fn epoch_end(&mut self) -> Result<Verdict> {
        let last = self.loss.take().ok_or_else(|| nothing_learned(self.good, self.learned))?;
        let last = last.f_to_kind(Kind::Double)?.f_double_value(&[])?;
        if last.is_finite() {
            self.position.pass(self.optimiser.steps(), std::mem::take(&mut self.sound));
            return Ok(Verdict::GoOn);
        }
        // With the same settings it would come to the same; with others it is another run.
        pass::forget(self.path);
        // The backbone's NaN are not the learner's fault: they come again, and this names their image.
        let Learner { session, stages, options, tile, .. } = self.learner;
        each_chunk(session, tile, self.good, self.learned, &mut |_| true, |images, parts| {
            let names = |row: usize| self.good.title(parts[row].frame);
            session.sound_maps(&torch::copy_to(images, options.device)?, stages, &names).map(drop)
        })?;
        Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "learning has diverged in pass {} (loss {last}); lower anomaly.learning_rate (now {})",
                self.position.epoch, self.rate
            ),
        ))
    }

    fn report(&mut self, _: &Lap) -> Result<usize> {
        Ok(self.images)
    }

    fn save(&mut self) -> Result<()> {
        self.position.save(self.path, &self.network, &self.optimiser)
    }

    /// The last pass that is whole was saved; what follows it is made again.
    fn leave(&mut self) -> Result<()> {
        Ok(())
    }
}
