//! An anomaly detector as one ONNX file: frames in; score, alarm and heat map out.
//!
//! ```text
//! images → backbone → feature maps → patches and memory (onnx_patchcore), or a second network's maps (onnx_stfpm)
//!        → score (B), map (B, H, W) in the resized image's pixels → alarm (B) = not score ≤ threshold
//! ```
//!
//! Enlarging a map and blurring it are linear, each side for itself, so both together are two products by constant matrices:
//! A (H, h) · map (h, w) · Bᵀ (w, W). No node resizes or pads by a rule that engines read differently.

use std::path::Path;

use serde_json::json;

use super::{ExportInput, onnx_file, use_texts};
use crate::data::Resize;
use crate::error::{Error, ErrorKind, Result};
use crate::infer::anomaly::AnomalyDetector;
use crate::infer::anomaly::memory::{Known, Memory};
use crate::infer::anomaly::parts::Part;
use crate::infer::anomaly::score::enlarging;
use crate::infer::calibration_images;
use crate::model::student_file::{DETECTOR, EXPORT_FORMAT, StudentHeader};
use crate::model::{Network, count};
use crate::onnx::Writer;
use crate::onnx::proto::{BOOL, FLOAT, Graph, ValueInfo};
use crate::torch::fused::Value;

/// The outputs, in order.
pub(super) const OUTPUTS: [&str; 3] = ["score", "alarm", "map"];

/// Writes a detector as it is now, with its memory or second network, as an ONNX model of operator set 17 to `path`. Its outputs are
///
/// - "score", float32 (B), and "alarm", bool (B), as [`Anomaly`](crate::infer::anomaly::Anomaly) has them,
/// - "map", float32 (B, H, W), the heat map in the pixels of the resized image; [`Resize::placement`] says where these lie in the
///   frame.
///
/// The metadata has what [`export`](super::export) writes, and "anomaly", the JSON of the detector's
/// [`Settings`](crate::infer::anomaly::Settings), "threshold" and "rate", numbers or null, and "map", how the map belongs to a frame. On
/// an error what stood at `path` is as it was.
///
/// # Errors
/// `Unsupported` for an operation that cannot be written, naming it, and 2 GB of weights and more; `Mismatch` where a network gives NaN
/// or infinity; `Io` from writing; `Internal` where the file cannot be read back.
pub fn export_detector(path: &Path, detector: &AnomalyDetector, input: ExportInput) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    let memory = detector.current();
    if memory.ignored.is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a detector that ignores pixels cannot be exported: the file takes resized images, what is ignored lies in frames",
        ));
    }
    if !memory.settings.tile.is_none() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a detector of tiles cannot be exported: the file takes one resized image, its frames are judged by many",
        ));
    }
    let (network, header) = (detector.network()?, detector.header());
    let mut texts = header.texts(EXPORT_FORMAT)?;
    texts.extend(use_texts(header, input, &OUTPUTS));
    let settings =
        serde_json::to_string(&memory.settings).map_err(|error| Error::internal("the detector's settings", error))?;
    let finite = |value: f64| if value.is_finite() { json!(value) } else { json!(null) };
    let threshold = memory.threshold;
    let map = match header.input.resize {
        Resize::Whole => "pixels of the resized image, all of the frame: resize the map to the frame",
        Resize::Letterbox => {
            "pixels of the resized image: cut the padding off, resize the rest of the map to the frame"
        }
        Resize::Centre => {
            "pixels of the resized image, the middle of the frame: resize the map to that part; the rest of the frame is not judged"
        }
    };
    let map = match header.input.roi.is_none() {
        true => map.to_owned(),
        false => format!(
            "of the region of interest, the rest of the frame is not judged: {}",
            map.replace("frame", "region")
        ),
    };
    let further = [
        (DETECTOR, settings),
        // As the float32 that is compared with.
        ("threshold", if threshold.score.is_finite() { threshold.score.to_string() } else { "null".to_owned() }),
        ("rate", finite(threshold.rate).to_string()),
        ("map", map),
    ];
    texts.extend(further.map(|(key, text)| (key.to_owned(), text)));
    let (height, width) = (i64::from(header.input.height), i64::from(header.input.width));
    let images = calibration_images(1, i64::from(header.input.channels), height, width)?;
    let names = |_: usize| "a made picture".to_owned();
    let part = Part::whole(0, &header.input, None);
    memory.scores(&detector.session, &detector.stages, &images, Some((height, width)), &names, &[part])?;
    onnx_file::write(path, graph(detector, &network, header, &memory, input)?, &texts)
}

fn graph(
    detector: &AnomalyDetector,
    network: &Network,
    header: &StudentHeader,
    memory: &Memory,
    input: ExportInput,
) -> Result<Graph> {
    let (height, width) = (i64::from(header.input.height), i64::from(header.input.width));
    let stages: Vec<&str> = detector.stages.iter().map(|stage| stage.name.as_str()).collect();
    let mut writer = Writer::new(&header.input, input)?;
    let maps = writer.maps(network, &stages, "", (height, width))?;
    let [score, alarm, map] = OUTPUTS;
    match &memory.known {
        Known::Patches(rows) => writer.patchcore(&maps, rows, &memory.settings, (height, width))?,
        Known::Copy(copy) => {
            let own = writer.maps(&copy.network()?, &stages, "student_", (height, width))?;
            writer.stfpm(&maps, &own, (height, width))?;
        }
    }
    let threshold = writer.scalar("threshold", memory.threshold.score)?;
    let quiet = writer.node("LessOrEqual", &[score, &threshold], "quiet", Vec::new());
    // A score that is NaN is an alarm.
    writer.node("Not", &[&quiet], alarm, Vec::new());
    let outputs = vec![
        ValueInfo::batch_of(score, FLOAT, &[]),
        ValueInfo::batch_of(alarm, BOOL, &[]),
        ValueInfo::batch_of(map, FLOAT, &[height, width]),
    ];
    Ok(writer.finish(network.architecture().name(), outputs))
}

/// A feature map (B, C, h, w).
pub(super) struct FeatureMap {
    pub name: String,
    pub channels: i64,
    /// h, w.
    pub size: (i64, i64),
}

impl Writer {
    /// The feature maps of a network at these stages.
    fn maps(
        &mut self,
        network: &Network,
        stages: &[&str],
        prefix: &str,
        (height, width): (i64, i64),
    ) -> Result<Vec<FeatureMap>> {
        let (operations, values) = network.maps_graph(stages)?;
        let sizes = count(&operations, height, width)?;
        let names = self.network(&operations, prefix, &values)?;
        let map = |(name, value): (String, &Value)| -> Result<FeatureMap> {
            let map = sizes.map(*value)?;
            Ok(FeatureMap { name, channels: map.channels, size: (map.height, map.width) })
        };
        names.into_iter().zip(&values).map(map).collect()
    }

    /// `map` (…, h, w) at another size, blurred there by `sigma` pixels; gives the name of the result, which is `map` where nothing
    /// is to do.
    pub fn enlarged(
        &mut self,
        map: &str,
        (from_h, from_w): (i64, i64),
        (to_h, to_w): (i64, i64),
        sigma: f64,
        output: &str,
    ) -> Result<String> {
        if (from_h, from_w) == (to_h, to_w) && sigma <= 0.0 {
            return Ok(map.to_owned());
        }
        let down = enlarging(from_h, to_h, sigma)?; // (H, h)
        let across = enlarging(from_w, to_w, sigma)?.f_tr()?.f_contiguous()?; // (w, W)
        let down = self.weights(format!("{output}_down"), &down, &[to_h, from_h])?;
        let across = self.weights(format!("{output}_across"), &across, &[from_w, to_w])?;
        let tall = self.node("MatMul", &[&down, map], &format!("{output}_tall"), Vec::new());
        Ok(self.node("MatMul", &[&tall, &across], output, Vec::new()))
    }
}
