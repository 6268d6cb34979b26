//! The same distillation twice, with the teacher in the loop and over a bank: wall time and kNN of the student of each.
//!
//! `--data FOLDER` holds one folder of images per class; `--teacher-weights FILE` is optional, random weights cost the
//! same time. Others: `--student`, `--teacher`, `--size`, `--dim`, `--batch`, `--epochs`, `--views`, `--device`,
//! `--precision`, `--seed`. The student of both runs is the same at the start and sees the same views.
//!
//! One line of JSON on standard output: {"fill_s", "online_s", "bank_s", "bank_bytes", "loss_online", "knn_online", …}; the
//! loss is the mean over the last steps.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use seed::config::{Config, Precision};
use seed::data::{Dataset, Input};
use seed::distill::{Bank, Targets};
use seed::eval::{Embeddings, KnnConfig, evaluate_splits};
use seed::infer::{Output, Session, SessionOptions};
use seed::model::{Architecture, Head, Network, Teacher};
use seed::train::{CancelToken, Control, Distillation, fill_bank};
use seed::{Error, Result};

fn main() -> Result<()> {
    let text = |name: &str, default: &str| argument(name).unwrap_or_else(|| default.to_owned());
    let number = |name: &str, default: u64| argument(name).and_then(|value| value.parse().ok()).unwrap_or(default);
    let folder = argument("--data").ok_or_else(|| Error::invalid("give --data FOLDER, a folder per class"))?;
    let mut config = Config {
        device: text("--device", "cpu"),
        precision: Precision::parse("--precision", &text("--precision", "auto"))?,
        batch_size: number("--batch", 32),
        epochs: number("--epochs", 8),
        view_count: number("--views", 4),
        queue_capacity: number("--queue", 4096),
        seed: number("--seed", 0),
        embedding_dim: number("--dim", 128),
        ..Config::default()
    };
    (config.view.input.width, config.view.input.height) = (number("--size", 224) as u32, number("--size", 224) as u32);
    let device = seed::device::parse(&config.device)?;
    let head = Head::Projection { hidden: 0, dim: config.embedding_dim as i64 };
    let architecture = Architecture::parse(&text("--teacher", "resnet50"))?;
    let teacher = match argument("--teacher-weights") {
        Some(file) => Teacher::from_file(architecture, Path::new(&file), device)?,
        None => Teacher::new(Network::new(architecture, head, 2, device)?)?,
    };
    let teacher = Arc::new(teacher.into_channels_last()?);
    config.embedding_dim = teacher.embedding_dim().unsigned_abs();
    let dataset = Arc::new(Dataset::from_folder(Path::new(&folder))?);
    let labels = labels(&dataset)?;
    let distil = |targets: Targets, epochs: u64| -> Result<(f64, f64, f64)> {
        let head = Head::Projection { hidden: 0, dim: config.embedding_dim as i64 };
        let student = Network::new(Architecture::parse(&text("--student", "resnet18"))?, head, 1, device)?;
        let student = Arc::new(Mutex::new(student));
        let config = Config { epochs, ..config.clone() };
        let input = config.view.input;
        let mut run = Distillation::new(config, Arc::clone(&student), targets, None, Some(Arc::clone(&dataset)))?;
        let start = Instant::now();
        let mut loss = f64::NAN;
        run.run(None, &CancelToken::new(), |progress| {
            loss = progress.loss;
            Control::Continue
        })?;
        let seconds = start.elapsed().as_secs_f64();
        Ok((seconds, loss, knn(&student, &input, &dataset, &labels)?))
    };

    // Frames are decoded and kernels chosen once before the clock counts.
    distil(Arc::clone(&teacher).into(), 1)?;
    let temporary = tempfile::tempdir().map_err(|error| Error::io("create", std::env::temp_dir(), &error))?;
    let path = temporary.path().join("teacher.bank");
    let start = Instant::now();
    fill_bank(&path, &config, &teacher, &dataset, None, &CancelToken::new(), |_| Control::Continue)?;
    let fill = start.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(&path).map_err(|error| Error::io("read", &path, &error))?.len();
    let (online, loss_online, knn_online) = distil(teacher.into(), config.epochs)?;
    let (over_bank, loss_bank, knn_bank) = distil(Arc::new(Bank::open(&path)?).into(), config.epochs)?;
    println!(
        "{{\"images\": {}, \"epochs\": {}, \"views\": {}, \"fill_s\": {fill:.2}, \"online_s\": {online:.2}, \"bank_s\": \
         {over_bank:.2}, \"speedup\": {:.3}, \"speedup_with_fill\": {:.3}, \"bank_bytes\": {bytes}, \"loss_online\": {loss_online:.5}, \"loss_bank\": {loss_bank:.5}, \"knn_online\": \
         {knn_online:.4}, \"knn_bank\": {knn_bank:.4}}}",
        dataset.len(),
        config.epochs,
        config.view_count,
        online / over_bank,
        online / (over_bank + fill),
    );
    Ok(())
}

/// Balanced recall of kNN on the student's features, over the standard splits.
fn knn(student: &Mutex<Network>, view: &Input, dataset: &Arc<Dataset>, labels: &[i64]) -> Result<f64> {
    let student = seed::train::shared::lock(student)?;
    let options = SessionOptions { device: student.device(), output: Output::Features, ..SessionOptions::default() };
    let session = Session::new(&student, view, options)?;
    let features = session.embed_dataset(dataset, 32, 0, &mut |_, _| true)?;
    let scores = evaluate_splits(&Embeddings::new(&features, session.dim())?, labels, &KnnConfig::default())?;
    Ok(scores.balanced_recall.mean)
}

/// The number of each image's folder.
fn labels(dataset: &Dataset) -> Result<Vec<i64>> {
    let folders: Vec<String> = (0..dataset.len())
        .map(|i| Ok(dataset.name(i)?.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned())))
        .collect::<Result<_>>()?;
    let classes: BTreeSet<&String> = folders.iter().collect();
    // Every folder is among the classes.
    Ok(folders.iter().map(|folder| classes.iter().position(|class| *class == folder).unwrap_or(0) as i64).collect())
}

/// The word after `name` on the command line.
fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|word| word != name).nth(1)
}
