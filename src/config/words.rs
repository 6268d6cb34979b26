//! The settings of runs and sessions that are one of a few words.

use crate::choice::choice;

choice! {
    /// Number format of the networks' forward passes.
    pub enum Precision {
        /// bfloat16 where the device computes in it, else float32.
        Auto = "auto",
        /// float32.
        Fp32 = "fp32",
        /// bfloat16.
        Bf16 = "bf16",
    }
}

choice! {
    /// What a session gives.
    pub enum OutputName {
        /// Unit rows, as distilled.
        Embedding = "embedding",
        /// The backbone's features, before the head.
        Features = "features",
    }
}

choice! {
    /// What runs a session's network.
    pub enum EngineName {
        /// libtorch's programs.
        Libtorch = "libtorch",
        /// libseed's own, which needs nothing else.
        Embedded = "embedded",
        /// ONNX Runtime.
        OnnxRuntime = "onnxruntime",
        /// The fastest that agrees with libtorch.
        Auto = "auto",
    }
}

choice! {
    /// What changes the weights.
    pub enum Optimiser {
        /// SGD with momentum.
        Sgd = "sgd",
        /// SGD whose step of each tensor is as long as the tensor itself allows.
        Lars = "lars",
    }
}

choice! {
    /// What batch norm divides by in training.
    pub enum BatchNorm {
        /// The statistics of the step's batch.
        Batch = "batch",
        /// The running statistics, which stay as they are.
        Running = "running",
    }
}

choice! {
    /// What is done to a teacher's embeddings before a student learns them.
    pub enum Standardise {
        /// They are learned as they are.
        None = "none",
        /// Their mean over the data set is taken away.
        Centre = "centre",
        /// All their directions get the same variance, too.
        Whiten = "whiten",
    }
}

choice! {
    /// What the queue's first rows are.
    pub enum QueueFill {
        /// The teacher's embeddings of the data set, where a run has one.
        Dataset = "dataset",
        /// Unit vectors at random, as in the paper.
        Noise = "noise",
    }
}
