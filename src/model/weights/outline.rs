//! A tensor of a file of weights as far as it is known without its bytes.

/// A tensor without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorOutline {
    /// Element type as torch calls it; also one that is not read.
    pub dtype: String,
    /// Length of each dimension.
    pub shape: Vec<usize>,
}
