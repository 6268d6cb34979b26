//! The full mode's state after a pass ([`pass`]).
//!
//! | tensor | what |
//! |---|---|
//! | `network.NAME` | the network as it learns |
//! | `head.weight`, `head.bias` | its linear layer |
//! | `velocity.NAME`, `head_velocity.NAME` | of both optimisers |
//! | `best.NAME`, `best_logits` | the best pass, where there is one |
//! | `queue` | the anchor's queue, where there is an anchor |
//!
//! The metadata key `finetune` says which run it is of ([`Full::identify`]) and how far it is. On the CPU a resumed run is the
//! same run, bit for bit.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::full::{Best, Full};
use super::start::state_of;
use super::{Labelled, Score};
use crate::checkpoint::pass::{self, Identity, Tensors};
use crate::config::Config;
use crate::data::ViewConfig;
use crate::distill::queue::QueueSnapshot;
use crate::model::weights::{HostTensor, StateDict};
use crate::model::{Head, Load};
use crate::{Error, Result};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    format: String,
    identity: String,
    epoch: u64,
    best_epoch: u64,
    steps: u64,
    /// Bits of loss and accuracy of the best pass and of the last one, since JSON knows no NaN.
    scores: [u64; 4],
    /// Pointer and filled rows of the queue.
    queue: Option<(i64, i64)>,
}

impl pass::Position for Position {
    const KEY: &'static str = "finetune";
    const FORMAT: &'static str = "libseed.finetune.1";
    const RUN: &'static str = "fine-tuning";
    const SAME: &'static str = "settings, images, labels, teacher or student";

    fn format(&self) -> &str {
        &self.format
    }

    fn identity(&self) -> &str {
        &self.identity
    }
}

impl Full {
    /// What decides the numbers of a run: settings, images, labels, names, the anchor's teacher and the network that it starts
    /// from.
    pub(super) fn identify(&self, config: &Config, images: &Labelled<'_>) -> Result<String> {
        let mut settings = config.finetune.clone();
        settings.checkpoint_path.clear();
        // How a frame is seen is the student's affair, whatever the configuration says.
        let view = ViewConfig { input: self.input, ..config.view.clone() };
        let settings = serde_json::to_string(&(settings, view, config.seed, config.momentum))
            .map_err(|error| Error::internal("the settings", error))?;
        let mut identity = Identity::default();
        let mut part = |bytes: &[u8]| identity.part(bytes);
        part(settings.as_bytes());
        part(images.dataset.identity().as_bytes());
        images.labels.iter().for_each(|label| part(&label.to_le_bytes()));
        images.names.iter().for_each(|name| part(name.as_bytes()));
        if let Some(anchor) = &self.anchor {
            part(anchor.identity()?.as_bytes());
        }
        if let Some(tutor) = &self.tutor {
            part(&tutor.identity()?);
        }
        for (name, tensor) in self.network.to_state()? {
            part(name.as_bytes());
            part(&tensor.bytes);
        }
        for tensor in [&self.weight, &self.bias] {
            part(&HostTensor::from_tensor(&tensor.f_detach()?)?.bytes);
        }
        Ok(identity.finish())
    }

    pub(super) fn save(&self, path: &str) -> Result<()> {
        if path.is_empty() {
            return Ok(());
        }
        let mut tensors = Tensors::default();
        tensors.add_all("network.", self.network.to_state()?)?;
        for (name, tensor) in [("head.weight", &self.weight), ("head.bias", &self.bias)] {
            tensors.add(name.to_owned(), HostTensor::from_tensor(&tensor.f_detach()?)?)?;
        }
        tensors.add_copies("velocity.", self.of_backbone.velocities())?;
        tensors.add_copies("head_velocity.", self.of_head.velocities())?;
        if let Some(best) = &self.best {
            tensors.add_all("best.", best.network.to_state()?)?;
            if !best.logits.is_empty() {
                tensors
                    .add("best_logits".to_owned(), HostTensor::from_tensor(&Tensor::f_from_slice(&best.logits)?)?)?;
            }
        }
        let mut queue = None;
        if let Some(anchor) = &self.anchor {
            let snapshot = anchor.queue.snapshot()?;
            queue = Some((snapshot.pointer, snapshot.filled));
            tensors.add("queue".to_owned(), HostTensor::from_tensor(&snapshot.rows)?)?;
        }
        let position = Position {
            format: <Position as pass::Position>::FORMAT.to_owned(),
            identity: self.identity.clone(),
            epoch: self.epoch,
            best_epoch: self.best_epoch,
            steps: self.of_backbone.steps(),
            scores: [self.best_score.loss, self.best_score.accuracy, self.last.loss, self.last.accuracy]
                .map(f64::to_bits),
            queue,
        };
        pass::save(Path::new(path), &position, &tensors)
    }

    /// Goes on from the file, where there is one.
    ///
    /// # Errors
    /// `Format` where it is damaged or no such file, `Mismatch` where it is of another run. Nothing has been changed then.
    pub(super) fn resume(&mut self, path: &str) -> Result<()> {
        let path = Path::new(path);
        match pass::load(path, &self.identity)? {
            Some((position, mut state)) => {
                self.restore(position, &mut state).map_err(|error| error.context(path.display()))
            }
            None => Ok(()),
        }
    }

    fn restore(&mut self, position: Position, state: &mut StateDict) -> Result<()> {
        if position.best_epoch > position.epoch {
            return Err(Error::mismatch(format!("pass {} is the best of {}", position.best_epoch, position.epoch)));
        }
        let mut take = |prefix: &str| pass::take(state, prefix);
        let (network, best) = (take("network."), take("best."));
        let (velocities, of_head) = (take("velocity."), take("head_velocity."));
        let (head, mut rest) = (take("head."), take(""));
        let tensor =
            |from: &BTreeMap<String, HostTensor>, name: &str| from.get(name).map(HostTensor::to_tensor).transpose();
        let layer = |name: &str, like: &Tensor| -> Result<Tensor> {
            let found = tensor(&head, name)?.filter(|found| found.size() == like.size());
            found.ok_or_else(|| Error::mismatch(format!("head.{name} is missing or of another shape")))
        };
        let (weight, bias) = (layer("weight", &self.weight)?, layer("bias", &self.bias)?);
        let scores = position.scores.map(f64::from_bits);
        let best = match best.is_empty() {
            true => None,
            false => {
                let classes = self.bias.size()[0];
                let kept = self.network.blank_like(Head::Classifier { classes }, Device::Cpu)?;
                kept.load(&StateDict { tensors: best, metadata: Default::default() }, Load::Everything)?;
                let logits = rest.remove("best_logits").map(|found| super::floats(&found.to_tensor()?)).transpose()?;
                let score = Score { loss: scores[0], accuracy: scores[1] };
                Some(Best { network: kept, logits: logits.unwrap_or_default(), score })
            }
        };
        let before = state_of(&self.network)?;
        let restored = self
            .network
            .load(&StateDict { tensors: network, metadata: Default::default() }, Load::Everything)
            .and_then(|_| self.of_backbone.restore(position.steps, |name| tensor(&velocities, name)))
            .and_then(|()| self.of_head.restore(position.steps, |name| tensor(&of_head, name)))
            .and_then(|()| match (&mut self.anchor, position.queue, rest.get("queue")) {
                (Some(anchor), Some((pointer, filled)), Some(rows)) => {
                    anchor.queue.restore(&QueueSnapshot { rows: rows.to_tensor()?, pointer, filled })
                }
                (None, None, None) => Ok(()),
                _ => Err(Error::mismatch("the queue is missing or too much")),
            });
        if let Err(error) = restored {
            self.network.load(&before, Load::Everything)?;
            return Err(error);
        }
        let _no_grad = tch::no_grad_guard();
        self.weight.f_copy_(&weight.f_to_kind(Kind::Float)?)?;
        self.bias.f_copy_(&bias.f_to_kind(Kind::Float)?)?;
        self.best = best;
        self.best_score = Score { loss: scores[0], accuracy: scores[1] };
        self.last = Score { loss: scores[2], accuracy: scores[3] };
        (self.epoch, self.best_epoch) = (position.epoch, position.best_epoch);
        Ok(())
    }
}
