//! Using a network: frames in; features, embeddings or verdicts out.

pub mod anomaly;
pub mod classifier;
mod classifier_header;
mod contest;
mod embedded_engine;
mod feature_maps;
mod gather;
mod host;
mod input;
mod onnx_engine;
mod options;
mod plan;
mod programs;
mod rows;
pub mod segmenter;
mod session;
mod stitched;
mod swap;
mod tensor;

pub use anomaly::AnomalyDetector;
pub use classifier::{Classifier, ClassifierHeader, Verdicts};
pub use contest::ALIKE;
pub use embedded_engine::EmbeddedNetwork;
pub use options::{EngineChoice, Output, SessionOptions};
pub use programs::BEARABLE;
pub(crate) use programs::calibration_images;
pub use rows::{Chunk, DatasetRows};
pub use segmenter::Segmenter;
pub use session::Session;
pub use swap::LiveSession;
