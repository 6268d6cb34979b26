//! One call from a data set and a teacher to a student: settings that fit the station and the time there is, the run, its report.
//!
//! ```text
//! frames, teacher, architecture, seconds → measure both networks → plan → bank → run → student.safetensors, report.html
//!                                          measure                 plan   └──── distil ────┘                page
//! ```

mod distil;
mod head;
mod measure;
mod page;
mod plan;
mod request;

pub use distil::{Distilled, Progress, Stage, distil};
pub use plan::{Plan, Wish};
pub use request::Request;
