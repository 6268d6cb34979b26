//! Classifiers: frames in; for each a class, its probability, all probabilities, or "unsure".
//!
//! ```text
//! frame → features h (d) → logits z = W·h + b (K) → p = softmax(z/T) → class argmax p, unsure where max p < θ
//! ```
//!
//! T makes the probabilities mean what they say, θ is the threshold of the reject option; both come from images that were
//! held out ([`crate::eval::calibration`], [`crate::eval::selective`]). All functions take `&self` and may be called from
//! several threads at once.
//!
//! ```
//! use seed::data::{FrameView, PixelFormat, Input};
//! use seed::infer::{Classifier, ClassifierHeader, SessionOptions};
//! use seed::model::{Architecture, Head, Network};
//! let network = Network::new(Architecture::MobileNetV3Small, Head::Classifier { classes: 2 }, 7, tch::Device::Cpu)?;
//! let header = ClassifierHeader::uncalibrated(vec!["good".into(), "crack".into()]);
//! let input = Input { width: 32, height: 32, ..Input::default() };
//! let classifier = Classifier::new(network, &input, header, SessionOptions::default())?;
//! let pixels = vec![128; 80 * 60];
//! let verdicts = classifier.classify(&[FrameView::new(&pixels, 80, 60, 80, PixelFormat::Mono8)?])?;
//! assert!(verdicts.probability(0) >= 0.5 && !verdicts.unsure(0));
//! # Ok::<(), seed::Error>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tch::Device;

use super::options::{Output, SessionOptions};
use super::rows::DatasetRows;
use super::session::Session;
use crate::config::Rate;
use crate::data::{Dataset, FrameView, Input};
use crate::error::{Error, Result};
use crate::eval::calibration::probabilities;
use crate::eval::judgement::{Judgement, answers, judge};
use crate::model::student_file::{CLASSIFIER as KEY, Holds, StudentHeader, load_with, save_with};
use crate::model::weights::StateDict;
use crate::model::{Head, Network};
use crate::sys::memory::filled;
use crate::warnings::Warnings;

pub use super::classifier_header::{CalibratedBy, Calibration, ClassifierHeader, NOTHING_IS_SURE, check_names};

/// An immutable classifier ready for frames.
pub struct Classifier {
    session: Session,
    /// What is saved and learned on from; the session has a copy of its own.
    network: Mutex<Network>,
    student: StudentHeader,
    header: ClassifierHeader,
}

/// The answers to some frames, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdicts {
    classes: usize,
    probabilities: Vec<f32>,
    answers: Vec<(usize, f64)>,
    threshold: f32,
}

impl Verdicts {
    fn new(logits: &[f32], header: &ClassifierHeader) -> Self {
        let classes = header.names.len();
        let probabilities = probabilities(logits, classes, header.temperature);
        let answers = answers(&probabilities, classes);
        Self { classes, probabilities, answers, threshold: header.threshold }
    }

    /// How many frames were answered.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether there was no frame.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// The most probable class of frame `i`.
    pub fn class(&self, i: usize) -> usize {
        self.answers[i].0
    }

    /// Its probability.
    pub fn probability(&self, i: usize) -> f32 {
        self.answers[i].1 as f32
    }

    /// Whether that is below the threshold.
    pub fn unsure(&self, i: usize) -> bool {
        self.probability(i) < self.threshold
    }

    /// (frames, classes).
    pub fn probabilities(&self) -> &[f32] {
        &self.probabilities
    }

    /// The probabilities of frame `i`.
    pub fn of(&self, i: usize) -> &[f32] {
        &self.probabilities[i * self.classes..][..self.classes]
    }
}

impl Classifier {
    /// A classifier of a network with a classifier as its head. Of `input`, the size, geometry, mean and deviation are used, of
    /// `options` device and precision.
    ///
    /// # Errors
    /// `InvalidArgument` where the head is another or the header does not fit it; those of [`Session::new`].
    pub fn new(mut network: Network, input: &Input, header: ClassifierHeader, options: SessionOptions) -> Result<Self> {
        let Head::Classifier { classes } = network.head() else {
            return Err(Error::invalid(format!(
                "a classifier needs a classifier as its head, not {:?}",
                network.head()
            )));
        };
        header.check(classes)?;
        let session = Session::new(&network, input, SessionOptions { output: Output::Logits, ..options })?;
        network.to_device(Device::Cpu)?;
        let student = StudentHeader::new(&network, session.input());
        header.warnings().into_iter().for_each(|warning| session.warnings.add(warning));
        Ok(Self { session, network: Mutex::new(network), student, header })
    }

    /// Reads a file of [`save`](Classifier::save); it is hostile until checked.
    ///
    /// # Errors
    /// Those of [`load_student`](crate::model::student_file::load_student); `Format` where the file is a student without a
    /// classifier, or its header is not sound.
    pub fn open(path: &Path, options: SessionOptions) -> Result<Self> {
        let (network, student, extra) = load_with(path, "")?;
        let text = extra.metadata.get(KEY).ok_or_else(|| {
            Error::format(
                path,
                format!("no classifier of libseed: the file holds {}", Holds::of(&extra.metadata).text()),
            )
        })?;
        let header: ClassifierHeader =
            serde_json::from_str(text).map_err(|error| Error::format(path, format!("{KEY} is not sound: {error}")))?;
        let Head::Classifier { classes } = student.head else {
            return Err(Error::format(path, format!("head is {:?}, expected a classifier", student.head)));
        };
        header.check(classes).map_err(|error| Error::format(path, error))?;
        Self::new(network, &student.input, header, options).map_err(|error| error.context(path.display()))
    }

    /// Writes everything to one safetensors file with torchvision's key names, atomically.
    ///
    /// # Errors
    /// `Io`; what stood at `path` is as it was then.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text =
            serde_json::to_string(&self.header).map_err(|error| Error::internal("the classifier's header", error))?;
        let metadata = BTreeMap::from([(KEY.to_owned(), text)]);
        save_with(path, &self.lock(), &self.student, StateDict { metadata, ..StateDict::default() })
    }

    /// Names, temperature, threshold and how well it did.
    pub fn header(&self) -> &ClassifierHeader {
        &self.header
    }

    /// K.
    pub fn classes(&self) -> usize {
        self.header.names.len()
    }

    /// How images are made.
    pub fn input(&self) -> &Input {
        self.session.input()
    }

    /// How it computes, for a person.
    pub fn describe(&self) -> String {
        self.session.describe()
    }

    /// What a caller should know about the classifier although nothing failed.
    pub fn warnings(&self) -> &Warnings {
        self.session.warnings()
    }

    /// A copy of the network, on the CPU.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn network(&self) -> Result<Network> {
        self.lock().deep_copy()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Network> {
        // The network is only read after it was put here.
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answers to `frames`.
    ///
    /// # Errors
    /// Those of [`Session::embed`].
    pub fn classify(&self, frames: &[FrameView<'_>]) -> Result<Verdicts> {
        Ok(Verdicts::new(&self.session.embed(frames)?, &self.header))
    }

    /// As [`classify`](Classifier::classify), of `count` frames that `frame` gives by number.
    ///
    /// # Errors
    /// Those of [`Session::embed_each`].
    pub fn classify_each<'a>(
        &self,
        count: usize,
        frame: impl Fn(usize) -> Result<FrameView<'a>> + Sync,
    ) -> Result<Verdicts> {
        let numbers = count.checked_mul(self.classes()).ok_or_else(|| Error::invalid("too many frames"))?;
        let mut logits = filled(0.0, numbers, "logits")?;
        self.session.embed_each(count, frame, &mut logits)?;
        Ok(Verdicts::new(&logits, &self.header))
    }

    /// What calls over whole data sets leave to others, and where it computes.
    pub fn pace(&self) -> (Rate, Device) {
        (self.session.rate(), self.session.device())
    }

    /// Logits (images, K) of a data set; see [`Session::embed_marked`] for the arguments and broken images.
    ///
    /// # Errors
    /// Those of [`Session::embed_marked`].
    pub fn logits_of(
        &self,
        dataset: &Arc<Dataset>,
        batch: usize,
        workers: usize,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<DatasetRows> {
        self.session.embed_marked(dataset, batch, workers, progress)
    }

    /// The answers to the images of a data set, and which of them are broken: what is answered to those means nothing.
    ///
    /// # Errors
    /// Those of [`Session::embed_marked`].
    pub fn classify_dataset(
        &self,
        dataset: &Arc<Dataset>,
        batch: usize,
        workers: usize,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<(Verdicts, BTreeSet<usize>)> {
        let logits = self.logits_of(dataset, batch, workers, progress)?;
        Ok((Verdicts::new(&logits.values, &self.header), logits.broken))
    }

    /// How well it does on the labelled images of a data set; `labels` has a class for each image, −1 for none. Images that
    /// are broken are left out.
    ///
    /// # Errors
    /// `InvalidArgument` where labels and images do not fit together or no sound image has a label; those of
    /// [`Session::embed_marked`].
    pub fn judge(
        &self,
        dataset: &Dataset,
        labels: &[i32],
        batch: usize,
        workers: usize,
        progress: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Judgement> {
        let chosen = labelled(labels, dataset.len(), self.classes())?;
        let part = Arc::new(dataset.subset(&chosen)?);
        let logits = self.logits_of(&part, batch, workers, progress)?;
        let rows = logits.values.chunks_exact(self.classes()).zip(&chosen).enumerate();
        let sound = rows.filter(|(place, _)| !logits.broken.contains(place));
        // `labelled` gives images whose label is a class.
        let (rows, truth): (Vec<&[f32]>, Vec<usize>) = sound.map(|(_, (row, &i))| (row, labels[i] as usize)).unzip();
        let threshold = f64::from(self.header.threshold);
        judge(&rows.concat(), self.classes(), &truth, self.header.temperature, threshold)
    }
}

/// The numbers of the images that have a label.
///
/// # Errors
/// `InvalidArgument` where there is not a label for each image, one is not −1 or a class, or none has one.
pub fn labelled(labels: &[i32], images: usize, classes: usize) -> Result<Vec<usize>> {
    if labels.len() != images {
        return Err(Error::invalid(format!("{} labels for {images} images, expected one for each", labels.len())));
    }
    for (i, &label) in labels.iter().enumerate() {
        if label < -1 || usize::try_from(label).is_ok_and(|label| label >= classes) {
            return Err(Error::invalid(format!(
                "the label of image {i} is {label}, expected 0 to {} or −1 for none",
                classes.saturating_sub(1)
            )));
        }
    }
    let chosen: Vec<usize> = (0..images).filter(|&i| labels[i] >= 0).collect();
    if chosen.is_empty() {
        return Err(Error::invalid("no image has a label"));
    }
    Ok(chosen)
}

impl std::fmt::Debug for Classifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Classifier({:?}, {:?})", self.header.names, self.session)
    }
}
