//! From what was pushed to what is stored: encoded, checked, and embedded where a network is there to do it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::queue::{Pixels, Pushed};
use super::record::{Entry, make_unit};
use crate::data::decode::{Decoded, decode_described};
use crate::data::{Encoding, FrameView, RawFrame};
use crate::error::{Error, ErrorKind, Result};
use crate::shutdown;

/// Turns frames into rows of one width, one after the other. Called by the store's writer, one call at a time.
pub type Embed = dyn Fn(&[FrameView<'_>]) -> Result<Vec<f32>> + Send + Sync;

/// What a frame's rows cost beside its image, embedding and texts.
pub(super) const ROW_BYTES: u64 = 256;

/// Before it is tried again. Short, since frames wait behind this one.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];

/// A frame that is ready to be stored.
pub(super) struct Prepared {
    pub id: i64,
    pub file: Vec<u8>,
    pub width: u32,
    pub height: u32,
    pub channels: u32,
    pub bits: u32,
    pub encoding: &'static str,
    pub crc32: u32,
    pub entry: Entry,
    pub priority: i64,
}

impl Prepared {
    /// What it counts for against the store's limit.
    pub fn bytes(&self) -> u64 {
        let vector = self.entry.embedding.as_ref().map_or(0, |vector| vector.len() * 4);
        let texts = self.entry.name.len() + self.entry.metadata.len();
        (self.file.len() + vector + texts) as u64 + ROW_BYTES
    }
}

/// What a file of pixels is.
struct Kind {
    width: u32,
    height: u32,
    channels: u32,
    bits: u32,
    encoding: &'static str,
}

/// Prepares what was pushed, in order; each comes with its memory, if that can be used again.
pub(super) fn prepare(
    pushed: Vec<Pushed>,
    encoding: Encoding,
    embed: Option<&Arc<Embed>>,
) -> Vec<(i64, Result<Prepared>, Option<Vec<u8>>)> {
    let mut found: Vec<_> = pushed.into_iter().map(|pushed| one(pushed, encoding, embed.is_some())).collect();
    if let Some(embed) = embed {
        let missing: Vec<usize> = (0..found.len()).filter(|&i| found[i].2.is_some()).collect();
        let frames: Vec<FrameView<'_>> = missing.iter().filter_map(|&i| found[i].2.as_ref().map(Shown::view)).collect();
        let rows = if frames.is_empty() {
            Ok(Vec::new())
        } else {
            patient(|| {
                let _running = shutdown::enter("the writer of a store");
                embed(&frames)
            })
        };
        let mut outcomes = Vec::new();
        for (k, _) in missing.iter().enumerate() {
            outcomes.push(match &rows {
                Ok(rows) if !rows.is_empty() && rows.len() % missing.len() == 0 => {
                    let dim = rows.len() / missing.len();
                    let mut row = rows[k * dim..][..dim].to_vec();
                    make_unit(&mut row).map(|()| row)
                }
                Ok(rows) => {
                    let message = format!("the network gave {} numbers for {} frames", rows.len(), missing.len());
                    Err(Error::new(ErrorKind::Mismatch, message))
                }
                Err(error) => Err(Error::new(error.kind(), error.message()).context("embedding")),
            });
        }
        for (&i, outcome) in missing.iter().zip(outcomes) {
            match (&mut found[i].1, outcome) {
                (Ok(prepared), Ok(row)) => prepared.entry.embedding = Some(row),
                (place, Err(error)) => *place = Err(error),
                (Err(_), Ok(_)) => {}
            }
        }
    }
    let memory = |shown: Option<Shown>| match shown {
        Some(Shown::Pushed(raw)) => Some(raw.into_bytes()),
        _ => None,
    };
    found.into_iter().map(|(id, prepared, shown, spare)| (id, prepared, spare.or(memory(shown)))).collect()
}

/// A frame whose embedding is still to be made.
enum Shown {
    /// In memory that the queue uses again.
    Pushed(RawFrame),
    Decoded(RawFrame),
}

impl Shown {
    fn view(&self) -> FrameView<'_> {
        match self {
            Self::Pushed(raw) | Self::Decoded(raw) => raw.view(),
        }
    }
}

/// What is tried again where there is no memory for it: often that lasts for a moment, and a frame that is given up is lost.
fn patient<T>(attempt: impl Fn() -> Result<T>) -> Result<T> {
    for pause in PAUSES {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::OutOfMemory => std::thread::sleep(pause),
            outcome => return outcome,
        }
    }
    attempt()
}

/// Whether it was said that depth is lost.
static DEPTH_LOST: AtomicBool = AtomicBool::new(false);

type One = (i64, Result<Prepared>, Option<Shown>, Option<Vec<u8>>);

fn one(pushed: Pushed, encoding: Encoding, embeds: bool) -> One {
    let Pushed { id, pixels, entry, priority, .. } = pushed;
    let wanted = embeds && entry.embedding.is_none();
    let finish = |file: Vec<u8>, kind: Kind, entry: Entry| {
        let Kind { width, height, channels, bits, encoding } = kind;
        let crc32 = crc32fast::hash(&file);
        Prepared { id, file, width, height, channels, bits, encoding, crc32, entry, priority }
    };
    match pixels {
        Pixels::Raw(raw) => {
            let channels = raw.channels().into();
            if raw.bits() > 8 && encoding != Encoding::Png && !DEPTH_LOST.swap(true, Ordering::Relaxed) {
                log::warn!(
                    "a store of JPEG keeps the upper 8 of a frame's {} bits, so a range in the frame's own samples does not fit it: \
                     take SEED_STORE_PNG",
                    raw.bits()
                );
            }
            let (bits, name) = if encoding == Encoding::Png { (raw.bits().into(), "png") } else { (8, "jpeg") };
            let kind = Kind { width: raw.width(), height: raw.height(), channels, bits, encoding: name };
            match patient(|| raw.encode(encoding)) {
                Ok(file) if wanted => (id, Ok(finish(file, kind, entry)), Some(Shown::Pushed(raw)), None),
                Ok(file) => (id, Ok(finish(file, kind, entry)), None, Some(raw.into_bytes())),
                Err(error) => (id, Err(error), None, Some(raw.into_bytes())),
            }
        }
        Pixels::File(file) => {
            // Decoded to its end, so that nothing is stored that a data set would have to skip.
            match patient(|| decode_described("the pushed image", &file)) {
                Ok(Decoded { frame, encoding, channels, bits, .. }) => {
                    let (width, height) = (frame.width(), frame.height());
                    let (channels, bits) = (u32::from(channels), u32::from(bits));
                    let kind = Kind { width, height, channels, bits, encoding };
                    let shown = wanted.then_some(Shown::Decoded(frame));
                    (id, Ok(finish(file, kind, entry)), shown, None)
                }
                Err(error) => (id, Err(error), None, None),
            }
        }
    }
}
