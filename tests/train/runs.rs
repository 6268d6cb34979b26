//! What tests of runs share: the losses of a run, and the files of its checkpoint.

use std::collections::BTreeMap;
use std::path::Path;

use seed::train::{CancelToken, Control, Distillation};

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
