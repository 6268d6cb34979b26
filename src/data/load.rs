//! How the frames of a [`Dataset`] come: read and decoded, or pushed; in their depth, or made levels by a [`Range`] and kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::broken::{BrokenImage, Skipped};
use super::cache::Place;
use super::dataset::Dataset;
use super::decode::decode_by;
use super::frame::{CLAMPED_BY_FULL, Frame};
use super::lock;
use super::range::Range;
use super::raw::RawFrame;
use super::scale::{Reading, ScaledFrame};
use super::source::{Source, Stamp};
use super::stored::{Stored, Told, read_scaled};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory::copied;

impl Dataset {
    /// The pixels of image `i` at their full size, decoded or from the cache, by the data set's range or the full one.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no image `i`; `Io` where it cannot be read now; `Format` where it is damaged, now or
    /// when it was last read, unless its file has changed since; `OutOfMemory`, which does not count as broken.
    pub fn load(&self, i: usize) -> Result<Arc<Frame>> {
        self.load_by(i, &Range::FULL)
    }

    /// As [`Dataset::load`], by `range` where the data set has none of its own.
    ///
    /// # Errors
    /// Those of [`Dataset::load`]; `InvalidArgument` or `Config` for a range that is not sound.
    pub fn load_by(&self, i: usize, range: &Range) -> Result<Arc<Frame>> {
        Ok(self.load_scaled(i, range, |_, _| Reading::WHOLE)?.frame)
    }

    /// Image `i` in the depth it has, at its full size and by no range, not kept.
    ///
    /// # Errors
    /// Those of [`Dataset::load`].
    pub fn load_raw(&self, i: usize) -> Result<Arc<RawFrame>> {
        let (source, page) = self.image(i, |image| (image.source.clone(), image.page))?;
        let options = self.options_of(page);
        match &source {
            Source::Deep(frame) => return Ok(Arc::clone(frame)),
            Source::Memory(frame) => return Ok(Arc::new(copy_of(frame)?)),
            Source::File(_) | Source::Encoded { .. } => {}
        }
        let read = |(place, bytes): (PathBuf, Vec<u8>)| decode_by(&place.to_string_lossy(), &bytes, &options);
        let decoded = self.try_reading(i, &source, read)?;
        self.tell(&self.name(i)?, Told::of(&decoded));
        Ok(Arc::new(decoded.frame))
    }

    /// As [`Dataset::load`], but a JPEG of 1 or 3 components is read as `choose` says of its width and height. What
    /// cannot be decoded smaller comes at its full size. `choose` must depend on its arguments alone.
    ///
    /// # Errors
    /// Those of [`Dataset::load_by`].
    pub fn load_scaled(&self, i: usize, range: &Range, choose: impl Fn(u32, u32) -> Reading) -> Result<ScaledFrame> {
        let range = self.range().unwrap_or(*range);
        range.check().and_then(|()| range.check_measured())?;
        // Before anything that another call may change.
        let age = lock(&self.cache).age;
        let (source, page) = self.image(i, |image| (image.source.clone(), image.page))?;
        let options = self.options_of(page);
        match &source {
            Source::Memory(frame) if range.is_full() => return Ok(ScaledFrame::whole(Arc::clone(frame))),
            Source::Memory(frame) => {
                return self.made_of(age, (i, 1, range.key()), || copy_of(frame)?.into_frame(&range));
            }
            Source::Deep(frame) => {
                return self.made_of(age, (i, 1, range.key()), || {
                    if frame.view().is_clamped_by(&range) {
                        self.warnings().add(CLAMPED_BY_FULL);
                    }
                    frame.to_frame(&range)
                });
            }
            Source::File(_) | Source::Encoded { .. } => {}
        }
        let reading = |stored: Stored| stored.sides().map_or(Reading::WHOLE, |(width, height)| choose(width, height));
        let known = lock(&self.cache).file(i);
        let key = known.map(|stored| (i, reading(stored).scale, range.key()));
        if let Some(frame) = key.and_then(|key| lock(&self.cache).frame(key)) {
            return Ok(frame);
        }
        let (stored, reading, frame, told) =
            self.try_reading(i, &source, |(place, bytes)| read_scaled(&place, &bytes, &range, &options, reading))?;
        self.tell(&self.name(i)?, told);
        let mut cache = lock(&self.cache);
        cache.learn(age, i, stored);
        if reading.keep {
            cache.keep(age, (i, reading.scale, range.key()), &frame);
        }
        Ok(frame)
    }

    /// The frame that `make` makes of a pushed one, or the one that it made before.
    fn made_of(&self, age: u64, key: Place, make: impl FnOnce() -> Result<Frame>) -> Result<ScaledFrame> {
        if let Some(frame) = lock(&self.cache).frame(key) {
            return Ok(frame);
        }
        let frame = ScaledFrame::whole(Arc::new(make()?));
        lock(&self.cache).keep(age, key, &frame);
        Ok(frame)
    }

    /// What `read` makes of the encoded bytes of image `i`, and where they are from; says in the list of broken images how that went.
    fn try_reading<T>(
        &self,
        i: usize,
        source: &Source,
        read: impl FnOnce((PathBuf, Vec<u8>)) -> Result<T>,
    ) -> Result<T> {
        if let Some(error) = self.still_broken(i, source) {
            return Err(error);
        }
        // Before reading: a file that is written meanwhile has another one afterwards.
        let stamp = source.stamp();
        // Decoded without a lock held: two threads may decode the same image, none waits for another.
        match source.read(&self.name(i)?).and_then(read) {
            Ok(found) => {
                self.found_sound(i, stamp)?;
                Ok(found)
            }
            Err(error) => {
                if error.kind() != ErrorKind::OutOfMemory {
                    self.record(i, &error, stamp)?;
                }
                Err(error)
            }
        }
    }

    /// The error of a damaged image whose file is as it was; none for what is to be read.
    fn still_broken(&self, i: usize, source: &Source) -> Option<Error> {
        let known = lock(&self.broken).images.get(&i).cloned()?;
        let same = known.kind != ErrorKind::Io && known.stamp == source.stamp();
        same.then(|| Error::new(known.kind, known.skipped.reason))
    }

    fn record(&self, i: usize, error: &Error, stamp: Option<Stamp>) -> Result<()> {
        let name = self.name(i)?;
        let skipped = Skipped { name, reason: error.message().to_owned() };
        let image = BrokenImage { skipped, kind: error.kind(), stamp };
        let known = lock(&self.broken).images.insert(i, image.clone());
        if known.is_none_or(|known| known.skipped.reason != image.skipped.reason) {
            log::warn!("skipping {}: {error}", image.skipped.name);
        }
        if let Some(whole) = &self.whole {
            whole.tell(i, |broken, number| _ = broken.images.insert(number, image.clone()));
        }
        Ok(())
    }

    /// Image `i` could be read from a file of this stamp.
    fn found_sound(&self, i: usize, stamp: Option<Stamp>) -> Result<()> {
        if let Some(stamp) = stamp {
            self.image(i, |image| image.bytes.store(stamp.bytes, Ordering::Relaxed))?;
        }
        let known = lock(&self.broken).images.remove(&i);
        if let Some(known) = known {
            log::info!("{} can be read again", known.skipped.name);
        }
        if let Some(whole) = &self.whole {
            whole.tell(i, |broken, number| _ = broken.images.remove(&number));
        }
        Ok(())
    }
}

/// A pushed frame to change.
fn copy_of(frame: &Frame) -> Result<RawFrame> {
    let pixels = copied(frame.pixels(), "a frame")?;
    Ok(Frame::new(frame.width(), frame.height(), frame.channels(), pixels)?.into())
}
