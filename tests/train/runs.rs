//! What tests of runs share: frames, the losses of a run, and the files of its checkpoint.

use std::collections::BTreeMap;
use std::path::Path;

use seed::data::Frame;
use seed::train::{CancelToken, Control, Distillation};

/// A grey frame of 32 × 32 pixels, another one for each number.
pub fn frame(image: usize) -> Frame {
    let pixels = (0..32 * 32).map(|i| (i / (1 + image % 5) * (image + 3) % (40 + 7 * image)) as u8).collect();
    Frame::new(32, 32, 1, pixels).unwrap()
}

/// The losses that a run of so many more steps reports, but for the report before the first step.
pub fn losses(run: &mut Distillation, steps: Option<u64>) -> Vec<f64> {
    let mut losses = Vec::new();
    run.run(steps, &CancelToken::new(), |progress| {
        losses.extend(Some(progress.loss).filter(|loss| loss.is_finite()));
        Control::Continue
    })
    .unwrap();
    losses
}

/// Every file of a checkpoint, but for the manifest: student, optimiser, queue and what a method keeps beside them.
pub fn state(run: &Distillation, folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let path = folder.join("state");
    run.save(&path).unwrap();
    let files = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files
        .filter(|name| name != "manifest.json")
        .map(|name| (name.clone(), std::fs::read(path.join(name)).unwrap()))
        .collect()
}
