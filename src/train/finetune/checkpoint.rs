//! The full mode's state after a pass, in one safetensors file that is replaced atomically: kill -9 at any moment leaves that
//! of the last pass or of the one before.
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
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::full::{Best, Full};
use super::start::state_of;
use super::{Labelled, Score};
use crate::config::Config;
use crate::distill::queue::QueueSnapshot;
use crate::memory::push;
use crate::model::weights::{self, HostTensor, StateDict, write_safetensors};
use crate::model::{Head, Load, Network};
use crate::{Error, ErrorKind, Result};

const FORMAT: &str = "libseed.finetune.1";
const KEY: &str = "finetune";

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

impl Full {
    /// What decides the numbers of a run: SHA-256 over settings, images, labels, names, the anchor's teacher and the network
    /// that it starts from.
    pub(super) fn identify(&self, config: &Config, images: &Labelled<'_>) -> Result<String> {
        let mut settings = config.finetune.clone();
        settings.checkpoint_path.clear();
        let settings = serde_json::to_string(&(settings, &config.view, config.seed, config.momentum))
            .map_err(|error| Error::new(ErrorKind::Internal, format!("the settings: {error}")))?;
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
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
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(super) fn save(&self, path: &str) -> Result<()> {
        if path.is_empty() {
            return Ok(());
        }
        let mut tensors: Vec<(String, HostTensor)> = Vec::new();
        let mut add = |name: String, tensor: HostTensor| push(&mut tensors, (name, tensor), "a table of weights");
        for (name, tensor) in self.network.to_state()? {
            add(format!("network.{name}"), tensor)?;
        }
        for (name, tensor) in [("head.weight", &self.weight), ("head.bias", &self.bias)] {
            add(name.to_owned(), HostTensor::from_tensor(&tensor.f_detach()?)?)?;
        }
        for (prefix, optimiser) in [("velocity", &self.of_backbone), ("head_velocity", &self.of_head)] {
            for (name, velocity) in optimiser.velocities() {
                add(format!("{prefix}.{name}"), HostTensor::from_tensor(velocity)?)?;
            }
        }
        if let Some(best) = &self.best {
            for (name, tensor) in best.network.to_state()? {
                add(format!("best.{name}"), tensor)?;
            }
            if !best.logits.is_empty() {
                add("best_logits".to_owned(), HostTensor::from_tensor(&Tensor::f_from_slice(&best.logits)?)?)?;
            }
        }
        let mut queue = None;
        if let Some(anchor) = &self.anchor {
            let snapshot = anchor.queue.snapshot()?;
            queue = Some((snapshot.pointer, snapshot.filled));
            add("queue".to_owned(), HostTensor::from_tensor(&snapshot.rows)?)?;
        }
        let position = Position {
            format: FORMAT.to_owned(),
            identity: self.identity.clone(),
            epoch: self.epoch,
            best_epoch: self.best_epoch,
            steps: self.of_backbone.steps(),
            scores: [self.best_score.loss, self.best_score.accuracy, self.last.loss, self.last.accuracy]
                .map(f64::to_bits),
            queue,
        };
        let text = serde_json::to_string(&position)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("the position: {error}")))?;
        write_safetensors(Path::new(path), &tensors, &BTreeMap::from([(KEY.to_owned(), text)]))
    }

    /// Goes on from the file, where there is one.
    ///
    /// # Errors
    /// `Format` where it is damaged or no such file, `Mismatch` where it is of another run. Nothing has been changed then.
    pub(super) fn resume(&mut self, path: &str) -> Result<()> {
        let path = Path::new(path);
        if path.as_os_str().is_empty() || !path.exists() {
            return Ok(());
        }
        let mut state = weights::read(path)?;
        let text = state.metadata.get(KEY).map_or("", String::as_str);
        let position: Position = serde_json::from_str(text)
            .map_err(|error| Error::format(path, format!("no checkpoint of fine-tuning: {error}")))?;
        if position.format != FORMAT {
            return Err(Error::format(path, format!("format is {:?}, expected {FORMAT:?}", position.format)));
        }
        if position.identity != self.identity {
            return Err(Error::mismatch(format!(
                "{} is the checkpoint of another run (other settings, images, labels, teacher or student); remove it to \
                 start anew",
                path.display()
            )));
        }
        self.restore(position, &mut state).map_err(|error| error.context(path.display()))
    }

    fn restore(&mut self, position: Position, state: &mut StateDict) -> Result<()> {
        if position.best_epoch > position.epoch {
            return Err(Error::mismatch(format!("pass {} is the best of {}", position.best_epoch, position.epoch)));
        }
        let mut take = |prefix: &str| -> BTreeMap<String, HostTensor> {
            let names: Vec<String> = state.tensors.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
            let of = |name: String| Some((name[prefix.len()..].to_owned(), state.tensors.remove(&name)?));
            names.into_iter().filter_map(of).collect()
        };
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
                let kept = Network::blank(self.network.architecture(), Head::Classifier { classes }, Device::Cpu)?;
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

    /// Removes the file of a run that is done, so that the next one starts anew.
    pub(super) fn forget(&self, path: &str) {
        if path.is_empty() {
            return;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => log::warn!("cannot remove {path}: {error}"),
            _ => {}
        }
    }
}
