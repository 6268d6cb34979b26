//! The library from other languages: programs in C, C++ and Python that are compiled against this build and run.

#[path = "../common/programs.rs"]
mod programs;
#[allow(dead_code)]
#[path = "../../xtask/src/prototypes.rs"]
mod prototypes;
#[path = "../common/shared.rs"]
mod shared;
#[path = "../common/skipped.rs"]
mod skipped;

mod c;
mod cpp_bindings;
mod onnx_teacher;
mod snippets;
mod sweep;

// xtask's own, which prototypes.rs names.
use programs::root;
type Outcome<T = ()> = Result<T, String>;
