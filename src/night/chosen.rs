//! Which frames a night works on, fixed when it begins.
//!
//! ```text
//! draw(id) = a number in [0, 1), a function of the folder's seed and id, the same for ever
//! held out: draw < share → never distilled on, never fine-tuned on      reference: the labelled frames of lowest draw in each class
//! learned: new frames that are not held out + older ones by lot, replay of all
//! ```
//!
//! The list keeps what the store said of each frame, so that the data set is the same one when the night goes on later: a frame that
//! the store has let go meanwhile counts as a broken image, which training skips.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::files::{read_json, write_json};
use super::folder::Folder;
use super::options::{FEWEST, NightOptions};
use crate::data::random::{Purpose, generator, unit};
use crate::data::{Dataset, EncodedImage};
use crate::store::{Filter, Labelled, Store};
use crate::sys::memory::{collected, gathered, reserve, spare};
use crate::{Error, ErrorKind, Result};

/// For messages.
const FRAMES: &str = "the frames of a night";

/// The frames of a night, in the file `frames.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Frames {
    /// The last frame that was there.
    pub last: i64,
    /// New frames, held-out ones included.
    pub new: u64,
    /// To distil on: new ones, then older ones.
    pub learned: Vec<EncodedImage>,
    /// How many of these are older.
    pub replayed: u64,
    /// To compare students on, the newest last.
    pub compared: Vec<EncodedImage>,
    /// Names of the classes that are learned, in the order of the store's numbers.
    pub classes: Vec<String>,
    /// To fine-tune on, with the class of each.
    pub labelled: (Vec<EncodedImage>, Vec<i32>),
    /// To judge by, with the class of each.
    pub reference: (Vec<EncodedImage>, Vec<i32>),
}

/// A class of the store: its number, what it is called, its frames by rising draw.
struct Class {
    name: String,
    frames: Vec<i64>,
}

fn draw(seed: u64, epoch: u64, id: i64) -> f64 {
    unit(&mut generator(seed, epoch, id as u64, Purpose::HeldOut))
}

/// Whether a frame is below `share`: no night learns from it, whatever label it gets.
pub(super) fn is_held_out(seed: u64, id: i64, share: f64) -> bool {
    draw(seed, 0, id) < share
}

fn by_draw(seed: u64, epoch: u64, ids: &mut [i64]) {
    ids.sort_unstable_by(|&a, &b| draw(seed, epoch, a).total_cmp(&draw(seed, epoch, b)).then(a.cmp(&b)));
}

impl Frames {
    /// Chooses among what is in the store; the inner error says why there is nothing to do.
    pub fn choose(
        store: &Store,
        seed: u64,
        night: u64,
        seen: i64,
        options: &NightOptions,
    ) -> Result<std::result::Result<Self, String>> {
        let all = store.list(&Filter::default())?;
        let new = all.iter().filter(|&&id| id > seen).count();
        let Some(&last) = all.last().filter(|_| new as u64 >= options.min_new_frames) else {
            let hint = match all.last() {
                Some(last) if *last < seen => {
                    format!(
                        "; the store's last frame is {last}, but frame {seen} was seen before: is it another store?"
                    )
                }
                _ => String::new(),
            };
            return Ok(Err(format!("{new} new frames, expected at least {}{hint}", options.min_new_frames)));
        };
        let classes = classes_of(store, seed, last, options)?;
        let mut labelled: Vec<(i64, i32)> = Vec::new();
        let mut reference: Vec<(i64, i32)> = Vec::new();
        for (number, class) in classes.iter().enumerate() {
            let count = class.frames.len();
            let share = ((options.held_out * count as f64).round() as usize).clamp(1, count - 1);
            // Classes are at most as many as frames that a person labelled.
            let with = |&id: &i64| (id, number as i32);
            reference.extend(class.frames[..share].iter().map(with));
            labelled
                .extend(class.frames[share..].iter().filter(|id| !is_held_out(seed, **id, options.held_out)).map(with));
        }
        let judged: BTreeSet<i64> = reference.iter().map(|&(id, _)| id).collect();
        let held_out = |id: i64| is_held_out(seed, id, options.held_out);
        let kept = |id: i64| held_out(id) || judged.contains(&id);
        let mut learned = gathered(all.iter().copied().filter(|&id| id > seen && !kept(id)), FRAMES)?;
        let fresh = learned.len();
        let mut older = gathered(all.iter().copied().filter(|&id| id <= seen && !kept(id)), FRAMES)?;
        by_draw(seed, night, &mut older);
        older.truncate((options.replay / (1.0 - options.replay) * fresh as f64).round() as usize);
        older.sort_unstable();
        let replayed = older.len() as u64;
        reserve(&mut learned, older.len(), FRAMES)?;
        learned.extend(older);
        // The newest; older ones only while there are few of tonight.
        let most = usize::try_from(options.max_compared).unwrap_or(usize::MAX);
        let tonight = all.iter().filter(|&&id| id > seen && held_out(id)).count();
        let wanted = tonight.max(FEWEST * 4).min(most);
        let mut compared = gathered(all.iter().copied().filter(|&id| held_out(id)), FRAMES)?;
        compared.drain(..compared.len().saturating_sub(wanted));
        if compared.len() < FEWEST || fresh == 0 {
            return Ok(Err(format!(
                "{fresh} frames to learn from and {} held out to compare on, expected at least 1 and {FEWEST}; wait for more \
                 frames",
                compared.len()
            )));
        }
        labelled.sort_unstable();
        reference.sort_unstable();
        Ok(Ok(Self {
            last,
            new: new as u64,
            learned: there(store, &learned)?,
            replayed,
            compared: there(store, &compared)?,
            classes: classes.into_iter().map(|class| class.name).collect(),
            labelled: with_classes(store, &labelled)?,
            reference: with_classes(store, &reference)?,
        }))
    }

    pub fn save(&self, folder: &Folder) -> Result<()> {
        write_json(&folder.frames(), self)
    }

    pub fn load(folder: &Folder) -> Result<Self> {
        let path = folder.frames();
        let frames: Self = read_json(&path)?
            .ok_or_else(|| Error::format(&path, "it is missing; the night cannot go on without it"))?;
        let fits = |(images, classes): &(Vec<EncodedImage>, Vec<i32>)| {
            let known = |&class: &i32| usize::try_from(class).is_ok_and(|class| class < frames.classes.len());
            images.len() == classes.len() && classes.iter().all(known)
        };
        if !fits(&frames.labelled) || !fits(&frames.reference) {
            return Err(Error::format(&path, "images and classes do not fit together"));
        }
        Ok(frames)
    }

    /// Why the night cannot go on with what is left of its frames.
    pub fn gone(&self, store: &Store) -> Result<Option<String>> {
        for (what, images, fewest) in [("to learn from", &self.learned, 1), ("to compare on", &self.compared, FEWEST)] {
            let left = still_there(store, images)?.len();
            if left < fewest.max(images.len() / 2) {
                return Ok(Some(format!("{left} of {} frames {what} are left in the store", images.len())));
            }
        }
        Ok(None)
    }
}

/// A data set of `images`, those that have gone included.
pub(super) fn dataset(store: &Store, images: &[EncodedImage]) -> Result<Arc<Dataset>> {
    spare(images.iter().map(|image| size_of::<EncodedImage>() + image.name.len() + 32).sum(), FRAMES)?;
    Ok(Arc::new(store.dataset_of(images.to_vec())?))
}

/// Numbers of the images that are there still.
pub(super) fn still_there(store: &Store, images: &[EncodedImage]) -> Result<Vec<usize>> {
    let ids = collected(images.iter().map(|image| image.key), FRAMES)?;
    let found = store.present(&ids)?;
    gathered(found.iter().enumerate().filter(|(_, found)| found.is_some()).map(|(i, _)| i), FRAMES)
}

/// Those that are there: a store that is full lets frames go while it is read.
fn there(store: &Store, ids: &[i64]) -> Result<Vec<EncodedImage>> {
    gathered(store.present(ids)?.into_iter().flatten(), FRAMES)
}

fn with_classes(store: &Store, frames: &[(i64, i32)]) -> Result<(Vec<EncodedImage>, Vec<i32>)> {
    let ids: Vec<i64> = frames.iter().map(|&(id, _)| id).collect();
    let found = store.present(&ids)?.into_iter().zip(frames).filter_map(|(image, &(_, class))| Some((image?, class)));
    Ok(found.unzip())
}

/// The classes with enough labelled frames up to `last`, by rising number.
fn classes_of(store: &Store, seed: u64, last: i64, options: &NightOptions) -> Result<Vec<Class>> {
    let filter = Filter { ids: (i64::MIN, last), labelled: Labelled::Yes, ..Filter::default() };
    let mut classes: BTreeMap<i64, (String, Vec<i64>)> = BTreeMap::new();
    for id in store.list(&filter)? {
        let (label, text) = match store.record(id) {
            Ok(record) => match record.label {
                Some(label) => label,
                None => continue,
            },
            Err(error) if error.kind() == ErrorKind::InvalidArgument => continue,
            Err(error) => return Err(error),
        };
        let class = classes.entry(label).or_default();
        if !text.is_empty() {
            class.0 = text;
        }
        class.1.push(id);
    }
    classes.retain(|_, (_, frames)| frames.len() as u64 >= options.min_labels);
    let mut taken = BTreeSet::new();
    let named = classes.into_iter().map(|(label, (text, mut frames))| {
        by_draw(seed, 0, &mut frames);
        let name = sound_name(label, &text, &taken);
        taken.insert(name.clone());
        Class { name, frames }
    });
    Ok(named.collect())
}

/// A name that a classifier takes: what the class is called, its number behind it where another is called the same.
fn sound_name(label: i64, text: &str, taken: &BTreeSet<String>) -> String {
    let mut name: String = text.chars().filter(|character| !character.is_control()).take(100).collect();
    if name.is_empty() {
        name = format!("class {label}");
    }
    while taken.contains(&name) {
        name = format!("{name} ({label})");
    }
    name
}
