//! A classifier as one ONNX file: frames in, calibrated answers out.
//!
//! ```text
//! images → network → logits z (B, K) → softmax((z − max z)/T) = probabilities (B, K)
//!                                    → argmax = class (B), max = confidence (B), unsure (B) = not confidence ≥ θ
//! ```
//!
//! The highest logit is taken away before the division: a small T would enlarge the rounding of large logits. A confidence that is NaN
//! is unsure.

use std::path::Path;

use serde_json::Value;

use super::check::Comparison;
use super::{ExportInput, Options, onnx_file, use_texts};
use crate::error::{Error, ErrorKind, Result};
use crate::infer::{Classifier, ClassifierHeader};
use crate::model::Network;
use crate::model::student_file::{CLASSIFIER, EXPORT_FORMAT, StudentHeader};
use crate::onnx::Writer;
use crate::onnx::proto::{Attribute, BOOL, FLOAT, Graph, INT64, ValueInfo};

/// The outputs, in order.
const OUTPUTS: [&str; 4] = ["probabilities", "class", "confidence", "unsure"];

/// Writes a classifier as an ONNX model of operator set 17 to `path`. Its outputs are
///
/// - "probabilities", float32 (B, K), as [`Verdicts::probabilities`](crate::infer::Verdicts::probabilities),
/// - "class", int64 (B), of equal probabilities the first,
/// - "confidence", float32 (B), the probability of that class,
/// - "unsure", bool (B), whether it lies below the threshold.
///
/// The metadata has what [`export`](super::export) writes, and under "classifier" the JSON of the [`ClassifierHeader`]. On an error
/// what stood at `path` is as it was.
///
/// # Errors
/// `Unsupported` for an operation that cannot be written, naming it, a temperature that float32 cannot hold, and 2 GB of weights and
/// more; `InvalidArgument` where the network gives NaN or infinity; `Io` from writing; `Internal` where the file cannot be read back.
///
/// ```
/// use seed::data::Input;
/// use seed::export::{ExportInput, export_classifier};
/// use seed::infer::{Classifier, ClassifierHeader, SessionOptions};
/// use seed::model::student_file::read_about;
/// use seed::model::{Architecture, Head, Network};
/// let network = Network::new(Architecture::MobileNetV3Small, Head::Classifier { classes: 2 }, 7, tch::Device::Cpu)?;
/// let header = ClassifierHeader::uncalibrated(vec!["good".into(), "crack".into()]);
/// let view = Input { width: 32, height: 32, ..Input::default() };
/// let classifier = Classifier::new(network, &view, header, SessionOptions::default())?;
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("classifier.onnx");
/// export_classifier(&path, &classifier, ExportInput::Bytes)?;
/// assert_eq!(read_about(&path)?.head, Head::Classifier { classes: 2 });
/// # Ok::<(), seed::Error>(())
/// ```
pub fn export_classifier(path: &Path, classifier: &Classifier, input: ExportInput) -> Result<()> {
    let network = classifier.network()?;
    let about = classifier.header();
    let provenance = provenance(&about.training);
    let mut header = StudentHeader::new(&network, classifier.input());
    if let Some(provenance) = provenance {
        header.provenance = provenance.clone();
    }
    let mut texts = header.texts(EXPORT_FORMAT)?;
    texts.extend(use_texts(&header, input, &OUTPUTS));
    let text = serde_json::to_string(about).map_err(|error| Error::internal("the classifier's header", error))?;
    texts.insert(CLASSIFIER.to_owned(), text);
    let _no_grad = tch::no_grad_guard();
    Comparison::new(&network, &header, &Options { input, ..Options::default() }, 1)?.check_finite()?;
    onnx_file::write(path, graph(&network, &header, about, input)?, &texts)
}

/// Where the student comes from that the classifier was made of: a classifier that was fitted again has the record of the one before.
fn provenance(training: &Value) -> Option<&Value> {
    let mut found = training.get("student").filter(|student| student.is_object())?;
    while let Some(earlier) = found.get("student").filter(|student| student.is_object()) {
        found = earlier;
    }
    Some(found)
}

fn graph(network: &Network, header: &StudentHeader, about: &ClassifierHeader, input: ExportInput) -> Result<Graph> {
    let (operations, _, output) = network.graph()?;
    let mut writer = Writer::new(&header.input, input)?;
    let logits = writer.network(&operations, "", &[output])?;
    writer.answers(&logits[0], about)?;
    let [probabilities, class, confidence, unsure] = OUTPUTS;
    let outputs = vec![
        ValueInfo::batch_of(probabilities, FLOAT, &[network.output_dim()]),
        ValueInfo::batch_of(class, INT64, &[]),
        ValueInfo::batch_of(confidence, FLOAT, &[]),
        ValueInfo::batch_of(unsure, BOOL, &[]),
    ];
    Ok(writer.finish(network.architecture().name(), outputs))
}

impl Writer {
    fn answers(&mut self, logits: &str, about: &ClassifierHeader) -> Result<()> {
        let sharpness = (1.0 / about.temperature) as f32;
        if !sharpness.is_normal() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("a temperature of {} cannot be written as float32", about.temperature),
            ));
        }
        let [probabilities, class, confidence, unsure] = OUTPUTS;
        let over = |keep: i64| vec![Attribute::ints("axes", &[1]), Attribute::int("keepdims", keep)];
        let highest = self.node("ReduceMax", &[logits], "highest_logit", over(1));
        let below = self.node("Sub", &[logits, &highest], "logits_below", Vec::new());
        let sharpness = self.scalar("sharpness", sharpness)?;
        let scaled = self.node("Mul", &[&below, &sharpness], "logits_scaled", Vec::new());
        self.node("Softmax", &[&scaled], probabilities, vec![Attribute::int("axis", 1)]);
        let along = vec![Attribute::int("axis", 1), Attribute::int("keepdims", 0)];
        self.node("ArgMax", &[probabilities], class, along);
        self.node("ReduceMax", &[probabilities], confidence, over(0));
        let threshold = self.scalar("threshold", about.threshold)?;
        let sure = self.node("GreaterOrEqual", &[confidence, &threshold], "sure", Vec::new());
        self.node("Not", &[&sure], unsure, Vec::new());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_provenance_is_the_students() {
        let student = json!({ "library": "libseed", "line": 3 });
        let once = json!({ "mode": "linear", "student": student });
        let twice = json!({ "mode": "full", "student": once });
        for training in [&once, &twice] {
            assert_eq!(provenance(training), Some(&student));
        }
        for training in [json!(null), json!({ "student": null }), json!({ "mode": "linear" })] {
            assert_eq!(provenance(&training), None);
        }
    }
}
