//! What embeddings are worth: neighbours, kNN recall, agreement with a teacher, and a report that a person can read.
//!
//! ```text
//! embeddings (N, D) → unit rows → neighbours (N, k) ─┬─ agreement with another network's neighbours
//!                                                    └─ votes → kNN accuracy and recall over splits → report
//! ```
//!
//! Everything works on host memory and needs no network, so stored embeddings can be judged long after they were made.

pub mod agreement;
pub mod bootstrap;
pub mod calibration;
pub mod confusion;
pub mod drift;
mod drift_file;
mod drift_input;
pub mod embedding_map;
pub mod embeddings;
pub mod fidelity;
pub mod judgement;
pub mod knn;
pub mod neighbours;
pub mod overlap;
pub mod regions;
pub mod roc;
pub mod selective;

pub use agreement::{agreement, mean_cosine};
pub use bootstrap::Interval;
pub use confusion::Confusion;
pub use drift::{DriftReference, DriftSignal};
pub use drift_input::DriftInput;
pub use embedding_map::{EmbeddingMap, MapConfig, MapMethod, embedding_map};
pub use embeddings::Embeddings;
pub use fidelity::{Fidelity, FidelityConfig, fidelity};
pub use judgement::{Judgement, judge};
pub use knn::{KnnConfig, KnnScore, SplitScores, Spread, classify, evaluate, evaluate_splits, score};
pub use neighbours::{Neighbours, nearest, nearest_to};
pub use overlap::MaskOverlap;
pub use regions::{Heat, region_overlap};
pub use roc::{auroc, auroc_one_against_rest};
pub use selective::Selected;
