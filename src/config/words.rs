//! The words of settings that are one of a few.

/// What changes the weights.
pub const OPTIMISERS: [&str; 2] = ["sgd", "lars"];

/// Statistics of batch norm in training.
pub const BATCH_NORMS: [&str; 2] = ["batch", "running"];

/// "dataset": the teacher's embeddings of the data set, where a run has one. "noise": unit vectors at random, as in the paper.
pub const QUEUE_FILLS: [&str; 2] = ["dataset", "noise"];
