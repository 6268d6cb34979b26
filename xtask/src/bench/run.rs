//! `bench run`: from JPEG files on disk to a student, reading, views and all.

use std::path::{Path, PathBuf};

use super::options::{Options, shared};
use super::sides::{Programs, Python, in_turn, values};
use super::table::{Spread, Table};
use super::{links, step};
use crate::Outcome;

/// Options beside the common ones. `--data` replaces the usual folders.
pub const OPTIONS: &[&str] =
    &["--data", "--images", "--size", "--teacher", "--student", "--epochs", "--batch", "--queue", "--workers"];

/// (folder of real images, how many of them, side of the views)
const FOLDERS: [(&str, usize, &str); 2] = [("magnetic-tile/images", 192, "224"), ("cifar10/train", 192, "224")];

/// Both sides over the folders; `--workers` is PyTorch's number of loader processes, libseed takes its own default.
pub fn run(options: &Options) -> Outcome<Table> {
    let rounds = options.rounds(3)?;
    let (teacher, student) = (options.or("--teacher", "resnet50"), options.or("--student", "resnet18"));
    let (epochs, batch) = (options.or("--epochs", "1"), options.or("--batch", "32"));
    let (queue, workers) = (options.or("--queue", "4096"), options.or("--workers", "2"));
    let programs = Programs::build(&["run"])?;
    let python = Python::find(options)?;
    let folders: Vec<(PathBuf, usize, &str)> = match options.text("--data") {
        Some(folder) => vec![(PathBuf::from(folder), 448, "224")],
        None => FOLDERS.map(|(name, images, size)| (shared().join("data").join(name), images, size)).to_vec(),
    };
    let mut table = Table::new(
        format!(
            "Images/s of a run from JPEG files on {}, no frame decoded before: {teacher} → {student}, batch {batch}, K \
             {queue}, {epochs} epochs, PyTorch with {workers} loader processes, median (lowest–highest) of {rounds} \
             rounds. 10-NN of the student's features, accuracy / balanced, as a check of both",
            options.device()
        ),
        ["images", "settings", "PyTorch", "libseed", "ratio", "PyTorch 10-NN", "libseed 10-NN", "waiting", "peak MiB"],
    );
    for (folder, images, size) in folders {
        let images = options.number("--images", images)?;
        let size = options.or("--size", size);
        let links = links::folder(&folder, images)?;
        let data = links.to_str().ok_or("the path of the images is not UTF-8")?;
        // One of the three settings is left out: float32 throughout is what `bench step` is for.
        for (settings, precision, torch_options) in [step::SETTINGS[0], step::SETTINGS[2]] {
            let common = ["--data", data, "--teacher", teacher, "--student", student, "--size", size];
            let common = [&common[..], &["--epochs", epochs, "--batch", batch, "--queue", queue]].concat();
            let common = [&common[..], &["--device", options.device()]].concat();
            let found = in_turn(
                rounds,
                &mut [
                    python.oracle(&[&["run"], &common[..], &["--workers", workers], torch_options].concat())?,
                    programs.command("run", &[&common[..], &["--precision", precision]].concat()),
                ],
            )?;
            let figure = |side: usize, name: &str| values(&found[side], name);
            let knn = |side: usize| {
                let median = |name: &str| Spread::of(figure(side, name)).median;
                format!("{:.3} / {:.3}", median("knn10"), median("balanced"))
            };
            let (theirs, ours) = (figure(0, "images_per_s"), figure(1, "images_per_s"));
            table.row(vec![
                format!("{images} of {} {size}²", title(&folder)),
                settings.to_owned(),
                Spread::of(theirs.clone()).show(),
                Spread::of(ours.clone()).show(),
                Spread::of_ratios(&ours, &theirs).show(),
                knn(0),
                knn(1),
                format!("{:.0} %", Spread::of(figure(1, "waiting_share")).median * 100.0),
                Spread::of(figure(1, "peak_mib")).show(),
            ]);
        }
    }
    Ok(table)
}

/// The last two parts of a folder's path.
pub fn title(folder: &Path) -> String {
    let parts: Vec<_> = folder.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}
