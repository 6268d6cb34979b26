//! Which labelled images are learned from and which are held out: by class, and the same for the same seed.
//!
//! Of the n images of a class, round(n·held_out) are held out (at least 1 where n ≥ 2 and held_out > 0, and never the last
//! one); of the others, round(n·label_fraction) or at most labels_per_class are learned from, at least 1.

use crate::config::FinetuneConfig;
use crate::data::random::{Purpose, generator, shuffle};

/// Numbers of images, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// To learn from.
    pub train: Vec<usize>,
    /// To judge by.
    pub held_out: Vec<usize>,
}

/// Splits the images `labelled` by `labels`, which has a class below `classes` for each of them.
pub fn split(labels: &[i32], labelled: &[usize], classes: usize, config: &FinetuneConfig, seed: u64) -> Split {
    let mut of_class = vec![Vec::new(); classes];
    for &image in labelled {
        if let Some(members) = usize::try_from(labels[image]).ok().and_then(|class| of_class.get_mut(class)) {
            members.push(image);
        }
    }
    let mut split = Split { train: Vec::new(), held_out: Vec::new() };
    for (class, mut members) in of_class.into_iter().enumerate() {
        shuffle(&mut generator(seed, 0, class as u64, Purpose::Split), &mut members);
        let share = |share: f64, of: usize| (share * of as f64).round() as usize;
        let held = match config.held_out > 0.0 && members.len() >= 2 {
            true => share(config.held_out, members.len()).clamp(1, members.len() - 1),
            false => 0,
        };
        let rest = members.split_off(held);
        split.held_out.extend(members);
        let mut kept = share(config.label_fraction, rest.len());
        if config.labels_per_class > 0 {
            kept = kept.min(usize::try_from(config.labels_per_class).unwrap_or(usize::MAX));
        }
        split.train.extend(&rest[..kept.clamp(1.min(rest.len()), rest.len())]);
    }
    split.train.sort_unstable();
    split.held_out.sort_unstable();
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> (Vec<i32>, Vec<usize>) {
        // 100 of class 0, 10 of class 1, 1 of class 2, none of class 3; each third image has no label.
        let mut labels: Vec<i32> = [vec![0; 100], vec![1; 10], vec![2; 1]].concat();
        labels = labels.into_iter().flat_map(|label| [label, -1]).collect();
        let labelled = (0..labels.len()).filter(|&i| labels[i] >= 0).collect();
        (labels, labelled)
    }

    fn count(images: &[usize], labels: &[i32], class: i32) -> usize {
        images.iter().filter(|&&image| labels[image] == class).count()
    }

    #[test]
    fn classes_keep_their_shares() {
        let (labels, labelled) = labels();
        let config = FinetuneConfig { held_out: 0.2, ..FinetuneConfig::default() };
        let found = split(&labels, &labelled, 4, &config, 7);
        assert_eq!([0, 1, 2].map(|class| count(&found.held_out, &labels, class)), [20, 2, 0]);
        assert_eq!([0, 1, 2].map(|class| count(&found.train, &labels, class)), [80, 8, 1]);
        assert_eq!(found, split(&labels, &labelled, 4, &config, 7));
        assert_ne!(found, split(&labels, &labelled, 4, &config, 8));
        assert!(found.train.iter().all(|image| !found.held_out.contains(image)));
    }

    #[test]
    fn few_labels_come_from_each_class_and_do_not_change_what_is_held_out() {
        let (labels, labelled) = labels();
        let all = FinetuneConfig::default();
        let few = FinetuneConfig { label_fraction: 0.1, ..all.clone() };
        let five = FinetuneConfig { labels_per_class: 5, ..all.clone() };
        let [all, few, five] = [all, few, five].map(|config| split(&labels, &labelled, 4, &config, 7));
        assert_eq!([0, 1, 2].map(|class| count(&few.train, &labels, class)), [8, 1, 1]);
        assert_eq!([0, 1, 2].map(|class| count(&five.train, &labels, class)), [5, 5, 1]);
        assert!(all.held_out == few.held_out && all.held_out == five.held_out);
        let none = FinetuneConfig { held_out: 0.0, ..FinetuneConfig::default() };
        assert!(split(&labels, &labelled, 4, &none, 7).held_out.is_empty());
    }
}
