//! What a [`Dataset`] ignores: of every image, and of single ones.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::dataset::Dataset;
use super::ignored::Ignored;
use super::lock;
use super::name::NAMES;
use crate::error::Result;
use crate::sys::memory::collected;

impl Dataset {
    /// From now on these pixels of image `image`, or of every image, are ignored by detectors that learn from the data set; None: none. What
    /// is ignored of every image is so of a single one, too.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no such image.
    pub fn set_ignored(&self, image: Option<usize>, ignored: Option<Ignored>) -> Result<()> {
        if let Some(image) = image {
            self.name(image)?;
        }
        let mut known = lock(&self.ignored);
        let ignored = ignored.map(Arc::new);
        match (image, ignored) {
            (None, ignored) => known.all = ignored,
            (Some(image), Some(ignored)) => _ = known.one.insert(image, ignored),
            (Some(image), None) => _ = known.one.remove(&image),
        }
        Ok(())
    }

    /// As [`set_ignored`](Dataset::set_ignored), beside what is ignored already.
    ///
    /// # Errors
    /// As there, and those of [`Ignored::joined`]; then nothing has changed.
    pub fn ignore(&self, image: Option<usize>, ignored: Ignored) -> Result<()> {
        let known = lock(&self.ignored).clone();
        let known = image.map_or(known.all, |image| known.one.get(&image).cloned());
        let joined = known.map(|known| known.joined(&ignored)).transpose()?;
        self.set_ignored(image, Some(joined.unwrap_or(ignored)))
    }

    /// What is ignored of every image.
    pub fn ignored(&self) -> Option<Arc<Ignored>> {
        lock(&self.ignored).all.clone()
    }

    /// What is ignored of image `image`.
    ///
    /// # Errors
    /// Those of [`Ignored::joined`], with the image's name.
    pub fn ignored_of(&self, image: usize) -> Result<Option<Arc<Ignored>>> {
        // Joining takes time, and a title other locks.
        let (all, one) = {
            let known = lock(&self.ignored);
            (known.all.clone(), known.one.get(&image).cloned())
        };
        match (all, one) {
            (Some(all), Some(one)) => {
                let joined = all.joined(&one).map_err(|error| error.context(self.title(image)))?;
                Ok(Some(Arc::new(joined)))
            }
            (all, one) => Ok(all.or(one)),
        }
    }

    /// A hash of all that is ignored; empty where nothing is. Those who learn from what is left go by it beside [`Dataset::identity`].
    pub(crate) fn ignored_identity(&self) -> String {
        let known = lock(&self.ignored).clone();
        if known.all.is_none() && known.one.is_empty() {
            return String::new();
        }
        let mut hash = Sha256::new();
        let of_all = known.all.iter().map(|all| (u64::MAX, all));
        for (image, ignored) in of_all.chain(known.one.iter().map(|(&image, one)| (image as u64, one))) {
            let (width, height) = ignored.sides();
            [image, width.into(), height.into()].into_iter().for_each(|word| hash.update(word.to_le_bytes()));
            hash.update(ignored.marks());
        }
        crate::sys::hash::text(hash)
    }

    /// The same images, with `more` ignored in every one.
    ///
    /// # Errors
    /// Those of [`Dataset::subset`] and [`Ignored::joined`].
    pub(crate) fn with_ignored(&self, more: &Ignored) -> Result<Self> {
        let numbers = collected(0..self.len(), NAMES)?;
        let same = self.subset(&numbers)?;
        same.ignore(None, more.clone())?;
        Ok(same)
    }
}
