//! How good a student's feature maps are for segmentation: a head from few masks, judged on other frames, over repeated splits.
//!
//! For each of some seeds: a third of the masks of each class is kept for testing (a mask counts as the class that most of its marked
//! pixels have), of the others at most "segment.masks_per_class" are learned from. Pixels of all test frames are counted together.

use super::cells::Masked;
use super::{layers, learn, parts, stopped};
use crate::config::{Config, FinetuneConfig};
use crate::error::{Error, Result};
use crate::eval::MaskOverlap;
use crate::eval::knn::{MAX_SPLITS, Spread};
use crate::eval::overlap::check_classes;
use crate::infer::segmenter::Segmenter;
use crate::model::Network;
use crate::model::student_file::StudentHeader;
use crate::train::cancel::CancelToken;
use crate::train::finetune::split::split;
use crate::train::pace::counted;

/// Share of each class's masks that is for testing.
const TEST_FRACTION: f64 = 1.0 / 3.0;

/// What was found, over the splits.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentScores {
    /// Mean IoU.
    pub mean_iou: Spread,
    /// Share of the pixels that got their class.
    pub accuracy: Spread,
    /// IoU of each class; NaN where no split has a true or predicted pixel of it.
    pub ious: Vec<Spread>,
}

/// Judges the backbone of `network` by `splits` splits of the seeds from "seed" on. Splits depend on the masks and the seed alone, so that
/// networks can be compared. `progress` is told how many frames of how many were looked at.
///
/// # Errors
/// `InvalidArgument` for 0 splits or too many, masks that do not fit, or too few to test on; those of [`fit`](super::fit).
pub fn evaluate(
    network: Network,
    header: &StudentHeader,
    config: &Config,
    (masked, classes): (Masked<'_>, usize),
    splits: u32,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<SegmentScores> {
    config.validate()?;
    check_classes(classes)?;
    if !(1..=MAX_SPLITS).contains(&splits) {
        return Err(Error::invalid(format!("{splits} splits, expected 1 to {MAX_SPLITS}")));
    }
    let chosen = masked.check(classes)?;
    let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let labels: Vec<i32> = (0..masked.masks.len()).map(|number| masked.main_class(number, classes)).collect();
    // What cannot be learned is refused before anything is computed.
    let (first, device) = parts(&network, header, config, masked.dataset)?;
    crate::infer::anomaly::stages(&first.0, &layers(&first.0, config))?;
    drop(first);
    let total = chosen.len().saturating_mul(splits as usize);
    // The network goes with the work, which may be done on a thread of its own.
    let work = move |told: &mut dyn FnMut(usize, usize) -> bool| -> Result<Vec<MaskOverlap>> {
        let mut found = Vec::new();
        for number in 0..u64::from(splits) {
            let seed = config.seed.wrapping_add(number);
            let outer = FinetuneConfig {
                held_out: TEST_FRACTION,
                labels_per_class: config.segment.masks_per_class,
                ..FinetuneConfig::default()
            };
            let split = split(&labels, &chosen, classes, &outer, seed);
            if split.train.is_empty() || split.held_out.is_empty() {
                return Err(Error::invalid("a part of the split is empty: there are too few masks"));
            }
            let before = number as usize * chosen.len();
            let own = Config { seed, ..config.clone() };
            let (parts, _) = parts(&network, header, config, masked.dataset)?;
            let segmenter =
                learn(parts, &own, masked, &names, &split.train, &mut |done, _| told(before + done, total))?;
            let after = before + split.train.len();
            found.push(judge(&segmenter, masked, &split.held_out, classes, &mut |done| told(after + done, total))?);
        }
        told(total, total);
        Ok(found)
    };
    let found = counted(config, device, cancel, work, &mut |done, all| progress(done, all) && !cancel.wait().1)?;
    let spread =
        |of: &dyn Fn(&MaskOverlap) -> Option<f64>| Spread::of(&found.iter().filter_map(of).collect::<Vec<_>>());
    Ok(SegmentScores {
        mean_iou: spread(&|overlap| Some(overlap.mean_iou())),
        accuracy: spread(&|overlap| Some(overlap.accuracy())),
        ious: (0..classes).map(|class| spread(&|overlap| overlap.iou(class))).collect(),
    })
}

/// Counts the pixels of the frames `chosen`; broken ones are left out.
fn judge(
    segmenter: &Segmenter,
    masked: Masked<'_>,
    chosen: &[usize],
    classes: usize,
    told: &mut dyn FnMut(usize) -> bool,
) -> Result<MaskOverlap> {
    let mut overlap = MaskOverlap::new(classes)?;
    let mut found = 0;
    for (place, &number) in chosen.iter().enumerate() {
        let Some(frame) = masked.frame(number, &segmenter.input().range)? else { continue };
        masked.check_size(number, &frame)?;
        let segmented = segmenter.segment_frame(&frame)?;
        let truth = masked.pixels(number);
        overlap.add(&segmented.classes, &truth).map_err(|error| error.context(masked.dataset.title(number)))?;
        found += 1;
        if !told(place + 1) {
            return Err(stopped());
        }
    }
    if found == 0 {
        return Err(masked.dataset.nothing_to_read());
    }
    Ok(overlap)
}
