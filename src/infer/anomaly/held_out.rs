//! The good parts that are held out to set the threshold.
//!
//! Whole groups are held out. Frames of one part are near-duplicates: were some of them learned, the others would lie nearer to the
//! memory than those of a further part ever do, and the threshold would be too low.

use std::collections::BTreeMap;

use crate::config::{AnomalyConfig, Group};
use crate::data::Dataset;
use crate::data::random::{Purpose, generator, shuffle};
use crate::error::Result;
use crate::sys::memory::{collected, filled, push, room};

/// Keeps the order within groups apart from what else is drawn for [`Purpose::Split`].
const WITHIN: u64 = 1 << 32;

/// Scores of held-out good parts, group after group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeldOut {
    scores: Vec<f32>,
    /// Scores of each group, at least one.
    sizes: Vec<usize>,
}

impl HeldOut {
    /// Of parts that are groups by themselves.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn single(scores: Vec<f32>) -> Result<HeldOut> {
        let sizes = collected(scores.iter().map(|_| 1), "groups of held-out parts")?;
        Ok(HeldOut { scores, sizes })
    }

    /// Of groups of these sizes. None where they are no groups of these scores.
    pub fn grouped(scores: Vec<f32>, sizes: Vec<usize>) -> Option<HeldOut> {
        let sum = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
        (sum == Some(scores.len()) && !sizes.contains(&0)).then_some(HeldOut { scores, sizes })
    }

    /// Adds a score: of the last group, or of a new one where `new` says so.
    pub(super) fn add(&mut self, score: f32, new: bool) -> Result<()> {
        push(&mut self.scores, score, "scores of held-out parts")?;
        match self.sizes.last_mut() {
            Some(size) if !new => *size += 1,
            _ => push(&mut self.sizes, 1, "groups of held-out parts")?,
        }
        Ok(())
    }

    /// One for each part.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Parts of each group.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The scores of each group.
    pub fn groups(&self) -> impl Iterator<Item = &[f32]> {
        let mut begin = 0;
        self.sizes.iter().map(move |&size| {
            begin += size;
            &self.scores[begin - size..begin]
        })
    }
}

/// Which images are learned and which are held out.
pub(crate) struct Split {
    pub learned: Vec<usize>,
    /// Group after group; within a group in random order.
    pub held: Vec<usize>,
    /// The group of each image, by the image's number.
    pub of: Vec<usize>,
    /// How many groups there are.
    pub groups: usize,
}

impl Split {
    /// Holds out the share "anomaly.held_out" of the groups that "anomaly.group" says, drawn from `seed` and `draw`; at least one
    /// group is learned.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(good: &Dataset, settings: &AnomalyConfig, seed: u64, draw: u64) -> Result<Split> {
        let of = groups(good, settings)?;
        let groups = of.iter().max().map_or(0, |last| last + 1);
        let mut order: Vec<usize> = collected(0..groups, "the order of good parts")?;
        shuffle(&mut generator(seed, 0, draw, Purpose::Split), &mut order);
        let mut place = filled(0usize, groups, "the order of good parts")?;
        order.iter().enumerate().for_each(|(at, &group)| place[group] = at);
        let mut held: Vec<usize> = collected(0..of.len(), "the order of good parts")?;
        held.sort_unstable_by_key(|&image| (place[of[image]], image));
        let count = ((settings.held_out * groups as f64).round() as usize).min(groups.saturating_sub(1));
        let end = held.partition_point(|&image| place[of[image]] < count);
        let learned = collected(held[end..].iter().copied(), "the order of good parts")?;
        held.truncate(end);
        for (number, group) in held.chunk_by_mut(|&a, &b| of[a] == of[b]).enumerate() {
            shuffle(&mut generator(seed, WITHIN + draw, number as u64, Purpose::Split), group);
        }
        Ok(Split { learned, held, of, groups })
    }

    /// Adds the scores of `images`, which are those of `held` that are sound.
    pub fn add(&self, held_out: &mut HeldOut, images: &[usize], scores: impl Iterator<Item = f32>) -> Result<()> {
        let mut last = None;
        for (&image, score) in images.iter().zip(scores) {
            let group = Some(self.of[image]);
            held_out.add(score, last != group)?;
            last = group;
        }
        Ok(())
    }
}

/// The group of each image, numbered by first occurrence.
fn groups(good: &Dataset, settings: &AnomalyConfig) -> Result<Vec<usize>> {
    let count = good.len();
    match settings.group {
        Group::Folder => {
            let mut known: BTreeMap<String, usize> = BTreeMap::new();
            let mut of = room(count, "groups of good parts")?;
            for image in 0..count {
                let mut name = good.name(image)?;
                name.truncate(name.rfind('/').unwrap_or(0));
                let next = known.len();
                of.push(*known.entry(name).or_insert(next));
            }
            Ok(of)
        }
        Group::Block => {
            let size = usize::try_from(settings.block_size).unwrap_or(usize::MAX);
            collected((0..count).map(|image| image / size.max(1)), "groups of good parts")
        }
        Group::Image => collected(0..count, "groups of good parts"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Frame;

    fn dataset(names: &[String]) -> Dataset {
        let dataset = Dataset::in_memory();
        for name in names {
            dataset.push_frame(name, Frame::new(8, 8, 1, vec![0; 64]).unwrap()).unwrap();
        }
        dataset
    }

    #[test]
    fn groups_are_held_out_whole() {
        // Frames of 40 parts come one after the other from four cameras.
        let names: Vec<String> = (0..160).map(|i| format!("line/part-{}/{i}.png", i % 40)).collect();
        let good = dataset(&names);
        let settings = AnomalyConfig { group: Group::Folder, held_out: 0.25, ..AnomalyConfig::default() };
        let split = Split::new(&good, &settings, 3, 0).unwrap();
        assert_eq!((split.groups, split.held.len(), split.learned.len()), (40, 40, 120));
        let part = |&image: &usize| image % 40;
        assert!(split.learned.iter().all(|image| !split.held.iter().map(part).any(|held| held == part(image))));
        assert!(split.held.chunks(4).all(|group| group.iter().all(|image| part(image) == part(&group[0]))));
        assert!(split.held.chunks(4).any(|group| !group.is_sorted()), "within a group the order is random");
        let mut all = [split.held.clone(), split.learned.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..160).collect::<Vec<_>>());

        let blocks = AnomalyConfig { group: Group::Block, block_size: 40, held_out: 0.25, ..settings.clone() };
        let mut held = Split::new(&good, &blocks, 3, 0).unwrap().held;
        held.sort_unstable();
        assert!(held.len() == 40 && held[0].is_multiple_of(40) && held[39] == held[0] + 39, "{held:?}");

        let own = AnomalyConfig { group: Group::Image, ..settings };
        let draws: Vec<Vec<usize>> = (0..2).map(|seed| Split::new(&good, &own, seed, 0).unwrap().held).collect();
        assert!(draws[0].len() == 40 && draws[0] != draws[1]);
    }

    #[test]
    fn one_group_is_learned() {
        let settings = AnomalyConfig { group: Group::Folder, ..AnomalyConfig::default() };
        let split = Split::new(&dataset(&["a.png".into(), "b.png".into()]), &settings, 0, 0).unwrap();
        assert_eq!((split.groups, split.held.len(), split.learned.len()), (1, 0, 2));
        assert_eq!(Split::new(&dataset(&[]), &settings, 0, 0).unwrap().groups, 0);
    }

    #[test]
    fn scores_stay_with_their_groups() {
        let mut held_out = HeldOut::default();
        for (score, new) in [(1.0, true), (2.0, false), (3.0, true)] {
            held_out.add(score, new).unwrap();
        }
        assert_eq!(Some(&held_out), HeldOut::grouped(vec![1.0, 2.0, 3.0], vec![2, 1]).as_ref());
        assert_eq!(held_out.groups().collect::<Vec<_>>(), [&[1.0, 2.0][..], &[3.0]]);
        assert!(HeldOut::grouped(vec![1.0], vec![1, 0]).is_none());
        assert!(HeldOut::grouped(vec![1.0, 2.0], vec![usize::MAX, 3]).is_none());
    }
}
