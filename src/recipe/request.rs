//! What the one call is asked for.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Config;
use crate::data::Dataset;
use crate::model::{Architecture, Teacher};

/// What is asked for.
pub struct Request {
    /// The frames, without labels. Classes of folders are used to judge the student, never to train it.
    pub dataset: Arc<Dataset>,
    /// Who is learned from.
    pub teacher: Arc<Teacher>,
    /// The student's backbone.
    pub architecture: Architecture,
    /// Weights that the student starts from; none: at random.
    pub weights: Option<PathBuf>,
    /// Time for everything.
    pub seconds: f64,
    /// Where the results go; made where it is not there.
    pub folder: PathBuf,
    /// What the caller has set is kept; the plan decides on everything else.
    pub config: Config,
}
