//! Student–teacher feature pyramid matching (Wang et al., "Student-teacher feature pyramid matching for anomaly detection", BMVC
//! 2021): a second network learns the feature maps of good parts; where it fails is a defect.
//!
//! ```text
//! d_l = ½·‖T_l/‖T_l‖ − S_l/‖S_l‖‖²    (B, h_l, w_l): norms over channels; T the backbone, S the network that learns
//! loss = Σ_l mean of d_l              map = Π_l d_l, enlarged to the image      score = max of the map
//! ```
//!
//! S begins at random and sees good parts only, as whole frames without augmentation. It is judged by its running statistics.
//! Deviations from the paper: the learning rate falls by a cosine.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tch::{Kind, Tensor};

use super::checkpoint::Position;
use super::file::STUDENT;
use super::pool::{each_chunk, maps_of, nothing_learned, stopped};
use crate::checkpoint::pass;
use crate::config::Config;
use crate::data::random::{Purpose, generator, shuffle};
use crate::data::{Dataset, ViewConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::finite::Names;
use crate::infer::session::{Output, Session, SessionOptions};
use crate::model::weights::{HostTensor, StateDict};
use crate::model::{Head, Load, Mode, Network, Stage};
use crate::optim::{Cosine, Sgd};

/// Of SGD, as in the paper.
const MOMENTUM: f64 = 0.9;
const WEIGHT_DECAY: f64 = 1e-4;

/// d_l (B, h, w) of maps (B, C, h, w): between 0 and 2.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
pub fn discrepancy(teacher: &Tensor, student: &Tensor) -> Result<Tensor> {
    let apart = unit(teacher)?.f_sub(&unit(student)?)?;
    let kind = apart.f_kind()?;
    Ok(apart.f_mul(&apart)?.f_sum_dim_intlist([1i64].as_slice(), false, kind)?.f_mul_scalar(0.5)?)
}

/// The loss, 0-dim, of maps of the same stages.
///
/// # Errors
/// As [`discrepancy`]; `InvalidArgument` for no map.
pub fn loss(teacher: &[Tensor], student: &[Tensor]) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (of_teacher, of_student) in teacher.iter().zip(student) {
        let mean = discrepancy(of_teacher, of_student)?.f_mean(None)?;
        sum = Some(match sum {
            Some(sum) => sum.f_add(&mean)?,
            None => mean,
        });
    }
    sum.ok_or_else(|| Error::invalid("there is no feature map to compare"))
}

/// The heat maps (B, H, W) of maps of the same stages.
///
/// # Errors
/// As [`loss`].
pub fn heat(teacher: &[Tensor], student: &[Tensor], (height, width): (i64, i64)) -> Result<Tensor> {
    let mut product: Option<Tensor> = None;
    for (of_teacher, of_student) in teacher.iter().zip(student) {
        let small = discrepancy(of_teacher, of_student)?.f_unsqueeze(1)?;
        let large = small.f_upsample_bilinear2d([height, width], false, None::<f64>, None::<f64>)?;
        product = Some(match product {
            Some(product) => product.f_mul(&large)?,
            None => large,
        });
    }
    let product = product.ok_or_else(|| Error::invalid("there is no feature map to compare"))?;
    Ok(product.f_squeeze_dim(1)?)
}

/// Unit vectors over channels, as torch's `normalize`: where all are 0 they stay.
fn unit(map: &Tensor) -> Result<Tensor> {
    let length = map.f_norm_scalaropt_dim(2, [1i64].as_slice(), true)?;
    Ok(map.f_div(&length.f_clamp_min(1e-12)?)?)
}

/// A network that has learned the maps of good parts.
pub(super) struct Copyist {
    session: Session,
    /// What is saved; the session has a copy of its own.
    network: Mutex<Network>,
}

impl Copyist {
    fn new(mut network: Network, view: &ViewConfig, options: SessionOptions) -> Result<Copyist> {
        let session = Session::new(&network, view, SessionOptions { output: Output::Features, ..options })?;
        network.to_device(tch::Device::Cpu)?;
        Ok(Copyist { session, network: Mutex::new(network) })
    }

    /// From the tensors of [`to_state`](Copyist::to_state), in a network as `backbone`.
    pub fn from_state(
        backbone: &Network,
        state: &StateDict,
        view: &ViewConfig,
        options: SessionOptions,
    ) -> Result<Copyist> {
        let device = tch::Device::Cpu;
        let network = Network::blank_with_channels(backbone.architecture(), Head::None, backbone.channels(), device)?;
        network.load(state, Load::Everything)?;
        Copyist::new(network, view, options)
    }

    pub fn to_state(&self) -> Result<Vec<(String, HostTensor)>> {
        // The network is only read after it was put here.
        let network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(network.to_state()?.into_iter().map(|(name, tensor)| (format!("{STUDENT}{name}"), tensor)).collect())
    }

    /// Score and, where a size is asked for, heat map of each of `images` by the backbone's maps of them. Errors call image i by the
    /// name that `names` gives.
    pub fn scores(
        &self,
        teacher: &[Tensor],
        stages: &[Stage],
        images: &Tensor,
        size: Option<(i64, i64)>,
        names: Names,
    ) -> Result<Vec<(f32, Option<Tensor>)>> {
        let _no_grad = tch::no_grad_guard();
        let own: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
        let student = maps_of(&self.session, &self.session.stages_named(&own)?, images, names)?;
        let (batch, _, height, width) = images.size4()?;
        let maps = heat(teacher, &student, (height, width))?;
        let each = |image: i64| -> Result<(f32, Option<Tensor>)> {
            let map = maps.f_select(0, image)?;
            let score = map.f_max()?.f_double_value(&[])? as f32;
            Ok((score, size.map(|size| super::score::resized(&map, size)).transpose()?))
        };
        (0..batch).map(each).collect()
    }
}

/// What is needed to learn.
pub(super) struct Learner<'a> {
    pub session: &'a Session,
    pub network: &'a Network,
    pub view: &'a ViewConfig,
    pub stages: &'a [Stage],
    pub options: SessionOptions,
}

impl Learner<'_> {
    /// Learns the maps of the images `learned` of `good`, "anomaly.epochs" times each; how many of them were sound. `told` is
    /// given the images of each step and ends it by false. After each pass the state goes to "anomaly.checkpoint_path", and it
    /// goes on from there; who calls removes the file.
    pub fn fit(
        &self,
        config: &Config,
        good: &Dataset,
        learned: &[usize],
        told: &mut dyn FnMut(usize) -> bool,
    ) -> Result<(Copyist, u64)> {
        let settings = &config.anomaly;
        let (architecture, channels) = (self.network.architecture(), self.network.channels());
        let device = self.options.device;
        let network = Network::with_channels(architecture, Head::None, channels, config.seed, device)?;
        network.to_channels_last()?;
        let names: Vec<&str> = self.stages.iter().map(|stage| stage.name.as_str()).collect();
        let size = usize::try_from(settings.batch_size).unwrap_or(usize::MAX).min(learned.len()).max(1);
        let steps = (learned.len().div_ceil(size) as u64).saturating_mul(settings.epochs);
        let schedule = Cosine { base: settings.learning_rate, warmup: 0, total: steps };
        let mut optimiser = Sgd::new(self.parameters(&network, &names)?, MOMENTUM, WEIGHT_DECAY)?;
        let path = Path::new(&settings.checkpoint_path);
        // A hash over all weights is no matter beside a pass, but a run without checkpoints needs none.
        let identity = match path.as_os_str().is_empty() {
            true => String::new(),
            false => self.identify(config, good, learned)?,
        };
        let mut position = Position::new(identity);
        let of_pass = learned.len().div_ceil(size) as u64;
        position.resume(path, &network, &mut optimiser, (settings.epochs, of_pass, learned.len() as u64))?;
        let resumed = usize::try_from(position.epoch).unwrap_or(usize::MAX).saturating_mul(learned.len());
        if resumed > 0 && !told(resumed) {
            return Err(stopped());
        }
        for epoch in position.epoch..settings.epochs {
            let mut order = learned.to_vec();
            shuffle(&mut generator(config.seed, epoch, 2, Purpose::Split), &mut order);
            let mut last = None;
            let sound = each_chunk(self.session, good, &order, size, told, |images, _| {
                let images = images.f_to_device(device)?;
                let teacher = self.session.plan.maps(&images, self.stages)?;
                let step = optimiser.steps();
                let student = network.maps(&images, &names, Mode::Train { noise: step })?;
                let loss = loss(&teacher, &student)?;
                loss.f_backward()?;
                optimiser.step(schedule.learning_rate(step))?;
                last = Some(loss.f_detach()?);
                Ok(())
            })?;
            let last = last.ok_or_else(|| nothing_learned(good, learned))?;
            let last = last.f_to_kind(Kind::Double)?.f_double_value(&[])?;
            if !last.is_finite() {
                // With the same settings it would come to the same; with others it is another run.
                pass::forget(path);
                // The backbone's NaN are not the learner's fault: they come again, and this names their image.
                each_chunk(self.session, good, learned, size, &mut |_| true, |images, numbers| {
                    let names = |row: usize| good.title(numbers[row]);
                    self.session.sound_maps(&images.f_to_device(device)?, self.stages, &names).map(drop)
                })?;
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!(
                        "learning has diverged in pass {epoch} (loss {last}); lower anomaly.learning_rate (now {})",
                        settings.learning_rate
                    ),
                ));
            }
            position.save(path, &network, &optimiser, sound)?;
        }
        network.freeze()?;
        Ok((Copyist::new(network, self.view, self.options)?, position.sound))
    }

    /// What a step changes: what lies behind the last map has no gradient and is left as it is.
    fn parameters(&self, network: &Network, names: &[&str]) -> Result<Vec<(String, Tensor)>> {
        let sides = [1, network.channels(), self.view.height.into(), self.view.width.into()];
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
        crate::torch::drop_gradients(&tensors)?;
        Ok(parameters)
    }
}
