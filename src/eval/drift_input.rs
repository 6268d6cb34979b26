//! How the frames of a drift reference became the network's input.

use std::collections::HashMap;
use std::path::Path;

use crate::data::input::MAX_VIEW_SIDE;
use crate::data::{Input, Range, Resize, Roi};
use crate::error::{Error, Result};

/// How the frames of a reference became the network's input. Embeddings of another kind cannot be compared with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DriftInput {
    /// Pixels in a row of the network's images.
    pub width: u32,
    /// Rows of the network's images.
    pub height: u32,
    /// 3, or 1 of a grey network.
    pub channels: u32,
    /// How a frame becomes an image.
    pub resize: Resize,
    /// Which samples of a frame become which levels.
    pub range: Range,
    /// Which part of a frame is looked at.
    pub roi: Roi,
}

impl DriftInput {
    /// What `input` makes.
    pub fn of(input: &Input) -> Self {
        let &Input { width, height, channels, resize, range, roi, .. } = input;
        Self { width, height, channels, resize, range, roi }
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
        let range = match metadata.get("range") {
            Some(text) => serde_json::from_str(text).map_err(|error| Error::format(path, format!("range: {error}")))?,
            None => Range::FULL,
        };
        let roi = match metadata.get("roi") {
            Some(text) => serde_json::from_str(text).map_err(|error| Error::format(path, format!("roi: {error}")))?,
            None => Roi::NONE,
        };
        roi.check().map_err(|error| Error::format(path, error))?;
        let (width, height, channels) = (side("width")?, side("height")?, side("channels")?);
        Ok(Some(Self { width, height, channels, resize, range, roi }))
    }
}

impl std::fmt::Display for DriftInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let range = if self.range.is_full() { String::new() } else { format!(", {}", self.range.pairs()) };
        let roi = if self.roi.is_none() { String::new() } else { format!(", the part of {}", self.roi) };
        write!(f, "{}×{}×{} by resize \"{}\"{range}{roi}", self.width, self.height, self.channels, self.resize.word())
    }
}
