//! How the frames of a drift reference became the network's input.

use std::collections::HashMap;
use std::path::Path;

use crate::data::augment::MAX_VIEW_SIDE;
use crate::data::{Resize, ViewConfig};
use crate::error::{Error, Result};

/// How the frames of a reference became the network's input. Embeddings of another kind cannot be compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriftInput {
    /// Pixels in a row of the network's images.
    pub width: u32,
    /// Rows of the network's images.
    pub height: u32,
    /// 3, or 1 of a grey network.
    pub channels: u32,
    /// How a frame becomes an image.
    pub resize: Resize,
}

impl DriftInput {
    /// What `view` makes.
    pub fn of(view: &ViewConfig) -> Self {
        let &ViewConfig { width, height, channels, resize, .. } = view;
        Self { width, height, channels, resize }
    }

    /// Of a file's metadata; None where it says nothing.
    pub(super) fn read(path: &Path, metadata: &HashMap<String, String>) -> Result<Option<Self>> {
        let Some(word) = metadata.get("resize") else { return Ok(None) };
        let side = |key: &str| -> Result<u32> {
            let text = metadata.get(key).map_or("", String::as_str);
            let side = text.parse().ok().filter(|side| (1..=MAX_VIEW_SIDE).contains(side));
            side.ok_or_else(|| Error::format(path, format!("{key} is {text:?}, expected 1 to {MAX_VIEW_SIDE}")))
        };
        let resize = Resize::parse("resize", word).map_err(|error| Error::format(path, error))?;
        Ok(Some(Self { width: side("width")?, height: side("height")?, channels: side("channels")?, resize }))
    }
}

impl std::fmt::Display for DriftInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}×{}×{} by resize \"{}\"", self.width, self.height, self.channels, self.resize.word())
    }
}
