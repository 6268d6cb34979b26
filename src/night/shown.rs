//! What the report shows of single frames, kept until the night is done, so that it can be drawn again: `shown.safetensors`.
//!
//! | what | where |
//! |---|---|
//! | the new student's embeddings (N, C) | tensor `embeddings` |
//! | the frames, their classes, the new classifier's answers | metadata `frames`, as JSON |
//!
//! N is bounded, whatever the store holds: [`MOST_REFERENCE`] of the reference, [`MOST_HELD_OUT`] other held-out frames.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::classifiers::Answered;
use super::folder::Folder;
use crate::data::EncodedImage;
use crate::eval::Embeddings;
use crate::gate::Finding;
use crate::model::weights::{self, HostTensor, HostType, write_safetensors};
use crate::sys::memory::room;
use crate::{Error, ErrorKind, Result};

/// Frames of the reference, as many of each class.
const MOST_REFERENCE: usize = 1000;
/// Other held-out frames.
const MOST_HELD_OUT: usize = 500;
const ROWS: &str = "embeddings";
const KEY: &str = "frames";

/// Some frames with the new student's embeddings.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ShownFrames {
    pub frames: Vec<ShownFrame>,
    rows: Vec<f32>,
    dim: usize,
}

/// A frame, as it was when it was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShownFrame {
    pub image: EncodedImage,
    /// Its class, for a frame of the reference; else −1.
    pub class: i32,
    /// The new classifier's answer; −1: none.
    pub answer: i32,
    /// Its probability.
    pub probability: f32,
}

impl ShownFrames {
    /// Those of the reference, whose `classes` are known, and of `compared`, that both were found sound.
    pub fn choose(
        found: &Finding,
        compared: &[EncodedImage],
        reference: &[EncodedImage],
        classes: &[i32],
        answered: Option<&Answered>,
        dim: usize,
    ) -> Result<Self> {
        let mut shown = Self { dim, ..Self::default() };
        let mut of_class: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (place, &image) in found.known.iter().enumerate() {
            of_class.entry(classes[image]).or_default().push(place);
        }
        let share = (MOST_REFERENCE / of_class.len().max(1)).max(1);
        for (&class, places) in of_class.iter().take(MOST_REFERENCE) {
            for place in spread(places, share) {
                let image = found.known[place];
                let answer = answered.and_then(|answered| answered.answers[image]);
                shown.add(&reference[image], class, answer, &found.known_rows[place * dim..][..dim])?;
            }
        }
        let judged: BTreeSet<i64> = reference.iter().map(|image| image.key).collect();
        let others: Vec<usize> =
            (0..found.frames.len()).filter(|&place| !judged.contains(&compared[found.frames[place]].key)).collect();
        let [_, _, by_new] = &found.rows;
        for place in spread(&others, MOST_HELD_OUT) {
            shown.add(&compared[found.frames[place]], -1, None, &by_new[place * dim..][..dim])?;
        }
        Ok(shown)
    }

    fn add(&mut self, image: &EncodedImage, class: i32, answer: Option<(usize, f64)>, row: &[f32]) -> Result<()> {
        let (answer, probability) = answer.map_or((-1, 0.0), |(class, share)| (class as i32, share as f32));
        self.frames.push(ShownFrame { image: image.clone(), class, answer, probability });
        self.rows.try_reserve(row.len()).map_err(|_| Error::new(ErrorKind::OutOfMemory, "no room for embeddings"))?;
        self.rows.extend_from_slice(row);
        Ok(())
    }

    /// Their embeddings; an error where there are none.
    pub fn embeddings(&self) -> Result<Embeddings<'_>> {
        Embeddings::new(&self.rows, self.dim)
    }

    pub fn save(&self, folder: &Folder) -> Result<()> {
        let frames =
            serde_json::to_string(&self.frames).map_err(|error| Error::internal("the frames of the report", error))?;
        let mut bytes = room(self.rows.len() * 4, "embeddings of the report")?;
        self.rows.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        let rows = HostTensor::new(HostType::F32, vec![self.frames.len(), self.dim], bytes)?;
        write_safetensors(&folder.shown(), &[(ROWS.to_owned(), rows)], &BTreeMap::from([(KEY.to_owned(), frames)]))
    }

    /// Those that were kept; none where there is no file.
    ///
    /// # Errors
    /// `Io`; `Format` where the file is something else.
    pub fn read(folder: &Folder) -> Result<Option<Self>> {
        let path = folder.shown();
        if !path.exists() {
            return Ok(None);
        }
        let state = weights::read(&path)?;
        let text = state.metadata.get(KEY).map_or("", String::as_str);
        let frames: Vec<ShownFrame> = serde_json::from_str(text).map_err(|error| Error::format(&path, error))?;
        let rows = state.tensors.get(ROWS).filter(|rows| rows.dtype == HostType::F32);
        let rows = rows.ok_or_else(|| Error::format(&path, format!("it has no tensor {ROWS:?} of float32")))?;
        let dim = match rows.shape[..] {
            [count, dim] if count == frames.len() => dim,
            _ => return Err(Error::format(&path, format!("{:?} embeddings for {} frames", rows.shape, frames.len()))),
        };
        let mut values = room(rows.bytes.len() / 4, "embeddings of the report")?;
        let (numbers, _) = rows.bytes.as_chunks::<4>();
        values.extend(numbers.iter().map(|&number| f32::from_le_bytes(number)));
        Ok(Some(Self { frames, rows: values, dim }))
    }
}

/// At most `count` of `places`, evenly.
fn spread(places: &[usize], count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(places.len());
    (0..count).map(move |i| places[i * places.len() / count])
}
