//! The network's input as bytes, for whoever runs an exported student elsewhere.
//!
//! ```text
//! frame → resized as `Input::resize` says → (height, width, channels) bytes     x = (v/255 − mean) / std
//! ```
//!
//! The resize is Pillow's bilinear one, whose triangle filter widens with the factor of reduction (antialiased). OpenCV's and other
//! filters give other embeddings.

use super::Session;
use crate::data::render::frame_levels;
use crate::data::{FrameView, Scratch};
use crate::error::{Error, Result};

impl Session {
    /// The bytes that the network's numbers are made of: (frames, height, width, channels), red, green, blue. An exported student
    /// whose input is bytes gives for them what [`embed`](Session::embed) gives for the frames. `out` is left alone on an error.
    ///
    /// # Errors
    /// `InvalidArgument` for a frame that is not sound (names its place) or where `out` is not frames · height · width · channels
    /// long; `OutOfMemory`.
    pub fn preprocess<'a>(
        &self,
        count: usize,
        frame: impl Fn(usize) -> Result<FrameView<'a>>,
        out: &mut [u8],
    ) -> Result<()> {
        let length = self.input().view_len();
        if count.checked_mul(length) != Some(out.len()) {
            return Err(Error::invalid(format!(
                "the output holds {} bytes, expected {} for {count} frames",
                out.len(),
                count.saturating_mul(length)
            )));
        }
        // A frame that is not sound must be found before anything is written.
        let mut levels = crate::sys::memory::filled(0u8, out.len(), "the network's input")?;
        let mut scratch = Scratch::new();
        for (number, view) in levels.chunks_exact_mut(length).enumerate() {
            let drawn = frame(number)
                .and_then(|frame| frame_levels(&self.levels_of(&frame)?, self.input(), view, &mut scratch));
            drawn.map_err(|error| error.context(format!("frame {number}")))?;
        }
        out.copy_from_slice(&levels);
        Ok(())
    }
}
