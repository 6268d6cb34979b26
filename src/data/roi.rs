//! [`Roi`]: the region of interest, which cuts every frame before anything else looks at it.
//!
//! ```
//! use seed::data::Roi;
//! let roi = Roi { x: 100, y: 20, width: 640, height: 480 };
//! assert_eq!(roi.within(800, 600)?.left, 100);
//! let error = roi.within(640, 480).unwrap_err();
//! assert!(error.message().contains("640×480 pixels at (100, 20) is not inside of a frame of 640×480"));
//! # Ok::<(), seed::Error>(())
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use super::frame::MAX_SIDE;
use crate::error::{Error, ErrorKind, Result};

/// A rectangle in the pixels of a frame; of no width and height: all of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roi {
    /// First column of the region of interest, in pixels of the frame.
    pub x: u32,
    /// Its first row.
    pub y: u32,
    /// Its width in columns; 0: the whole frame.
    pub width: u32,
    /// Its height in rows; 0: the whole frame.
    pub height: u32,
}

/// A rectangle of whole pixels inside a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
}

// `cargo xtask settings` reads the defaults here.
#[expect(clippy::derivable_impls)]
impl Default for Roi {
    fn default() -> Self {
        Self { x: 0, y: 0, width: 0, height: 0 }
    }
}

impl Roi {
    /// All of the frame.
    pub const NONE: Self = Self { x: 0, y: 0, width: 0, height: 0 };

    /// Whether it is all of the frame.
    pub fn is_none(&self) -> bool {
        self.width == 0 && self.height == 0
    }

    /// # Errors
    /// `Config` where one of the four numbers is missing, or no frame is so large.
    pub fn check(&self) -> Result<()> {
        let Self { x, y, width, height } = *self;
        let is_part = width > 0
            && height > 0
            && u64::from(x) + u64::from(width) <= MAX_SIDE.into()
            && u64::from(y) + u64::from(height) <= MAX_SIDE.into();
        if is_part || *self == Self::NONE {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Config,
            format!(
                "roi.x is {x}, roi.y {y}, roi.width {width} and roi.height {height}, expected a region of at least one pixel that ends by \
                 {MAX_SIDE}, or four zeros for the whole frame"
            ),
        ))
    }

    /// What a frame of these sides shows of it.
    ///
    /// # Errors
    /// `InvalidArgument` where it is not inside of the frame.
    pub fn within(&self, width: u32, height: u32) -> Result<Crop> {
        let crop = self.of(width, height);
        let inside = |start: u32, length: u32, side: u32| start.checked_add(length).is_some_and(|end| end <= side);
        if inside(crop.left, crop.width, width) && inside(crop.top, crop.height, height) {
            return Ok(crop);
        }
        Err(Error::invalid(format!("the region of interest of {self} is not inside of a frame of {width}×{height}")))
    }

    /// As [`within`](Roi::within), whether it is inside of the frame or not.
    pub(super) fn of(&self, width: u32, height: u32) -> Crop {
        match self.is_none() {
            true => Crop { left: 0, top: 0, width, height },
            false => Crop { left: self.x, top: self.y, width: self.width, height: self.height },
        }
    }
}

impl fmt::Display for Roi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{} pixels at ({}, {})", self.width, self.height, self.x, self.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_region_is_none() {
        let of = |x, y, width, height| Roi { x, y, width, height }.check().is_ok();
        assert!(of(0, 0, 0, 0) && of(3, 4, 1, 1) && of(0, 0, MAX_SIDE, MAX_SIDE));
        for (x, y, width, height) in [
            (1, 0, 0, 0),
            (0, 0, 5, 0),
            (0, 0, 0, 5),
            (1, 0, MAX_SIDE, 1),
            (u32::MAX, 0, 1, 1),
            (0, u32::MAX, 1, u32::MAX),
        ] {
            assert!(!of(x, y, width, height), "{x} {y} {width} {height}");
        }
        assert!(Roi { x: u32::MAX, y: 0, width: 2, height: 1 }.within(9, 9).is_err());
    }
}
