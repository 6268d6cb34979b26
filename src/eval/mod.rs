//!
//! ```text
//! embeddings (N, D) → unit rows → neighbours (N, k) ─┬─ agreement with another network's neighbours
//! ```
//!
//! Everything works on host memory and needs no network, so stored embeddings can be judged long after they were made.

pub mod agreement;
pub mod embeddings;
pub mod knn;
pub mod neighbours;

pub use agreement::{agreement, mean_cosine};
pub use embeddings::Embeddings;
pub use knn::{KnnConfig, KnnScore, SplitScores, Spread, classify, evaluate, evaluate_splits, score};
pub use neighbours::{Neighbours, nearest, nearest_to};
