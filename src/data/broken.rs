//! The record of images and folders that could not be used, by name and reason.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::lock;
use super::source::Stamp;
use crate::error::{Error, ErrorKind};

/// Reasons that [`Broken::nothing_to_read`] gives.
const REASONS: usize = 3;

/// An image, or a folder, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The name as [`Dataset::name`](super::Dataset::name) gives it.
    pub name: String,
    /// Why, for a person.
    pub reason: String,
}

/// What could not be used of one data set.
#[derive(Default)]
pub(super) struct Broken {
    /// Folders that could not be searched.
    pub folders: Vec<Skipped>,
    /// By the number of the image.
    pub images: BTreeMap<usize, BrokenImage>,
}

/// Why an image is broken, and when to try it again.
#[derive(Clone)]
pub(super) struct BrokenImage {
    pub skipped: Skipped,
    pub kind: ErrorKind,
    /// The file as it was before it was read; none for what is no file.
    pub stamp: Option<Stamp>,
}

impl Broken {
    /// Folders first, then images by number.
    pub fn all(&self) -> impl Iterator<Item = &Skipped> {
        self.folders.iter().chain(self.images.values().map(|image| &image.skipped))
    }

    /// How many these are.
    pub fn len(&self) -> usize {
        self.folders.len() + self.images.len()
    }

    /// The error for work on the images of these numbers that found none it could use.
    pub fn nothing_to_read(&self, numbers: impl ExactSizeIterator<Item = usize>) -> Error {
        let count = numbers.len();
        let (mut unreadable, mut damaged, mut reasons) = (0usize, 0usize, Vec::new());
        for image in numbers.filter_map(|number| self.images.get(&number)) {
            match image.kind {
                ErrorKind::Io => unreadable += 1,
                _ => damaged += 1,
            }
            if reasons.len() < REASONS {
                reasons.push(image.skipped.reason.as_str());
            }
        }
        if unreadable + damaged > REASONS {
            reasons.push("…");
        }
        let kind = if unreadable > 0 { ErrorKind::Io } else { ErrorKind::Format };
        let found = format!("{unreadable} cannot be opened or read, {damaged} are damaged");
        let message = format!("none of the {count} images can be read ({found}): {}", reasons.join("; "));
        Error::new(kind, message)
    }
}

/// What a part of a data set knows of the whole.
pub(super) struct Whole {
    pub broken: Arc<Mutex<Broken>>,
    /// Numbers in the whole.
    pub numbers: Vec<usize>,
    /// Where the whole is a part itself.
    pub above: Option<Arc<Whole>>,
}

impl Whole {
    /// Does the same to the records of every whole that image `i` of the part is in; one that was pushed to the part is in none.
    pub fn tell(&self, i: usize, tell: impl Fn(&mut Broken, usize)) {
        let (mut place, mut whole) = (i, Some(self));
        while let Some(above) = whole {
            let Some(&number) = above.numbers.get(place) else { return };
            tell(&mut lock(&above.broken), number);
            (place, whole) = (number, above.above.as_deref());
        }
    }
}
