//! Labels by folder: the first folder of an image's name is its class.
//!
//! ```
//! use seed::data::labels::FolderLabels;
//! use seed::data::{Dataset, Frame};
//! let images = Dataset::in_memory();
//! for name in ["good/1.png", "crack/7.png", "unknown.png", "good/2.png"] {
//!     images.push_frame(name, Frame::new(1, 1, 1, vec![0])?)?;
//! }
//! let labels = FolderLabels::of(&images)?;
//! assert_eq!(labels.names, ["crack", "good"]);
//! assert_eq!(labels.labels, [1, 0, -1, 1]);
//! # Ok::<(), seed::Error>(())
//! ```

use std::collections::BTreeSet;

use super::Dataset;
use crate::error::{Error, Result};
use crate::sys::memory::room;

/// The classes of a data set and the class of each image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderLabels {
    /// The folders' names in order.
    pub names: Vec<String>,
    /// For each image the number of its class, or −1 where its name has no folder.
    pub labels: Vec<i32>,
}

impl FolderLabels {
    /// The labels that the names of `images` say.
    ///
    /// # Errors
    /// `InvalidArgument` where there are more classes than a label can number.
    pub fn of(images: &Dataset) -> Result<Self> {
        let count = images.len();
        let folder = |i: usize| -> Result<Option<String>> {
            Ok(images.name(i)?.split_once('/').map(|(folder, _)| folder.to_owned()).filter(|folder| !folder.is_empty()))
        };
        let mut names = BTreeSet::new();
        for i in 0..count {
            names.extend(folder(i)?);
        }
        let names: Vec<String> = names.into_iter().collect();
        if i32::try_from(names.len()).is_err() {
            return Err(Error::invalid(format!("{} classes are more than {}", names.len(), i32::MAX)));
        }
        let mut labels = room(count, "the labels of a data set")?;
        for i in 0..count {
            let place = folder(i)?.and_then(|folder| names.binary_search(&folder).ok());
            labels.push(place.map_or(-1, |place| place as i32));
        }
        Ok(Self { names, labels })
    }
}
