//! The engine that libseed brings along: networks in float32, in Rust alone.
//!
//! ```text
//! Program   operations with their weights as numbers                     program
//! Layers    sizes found, weights packed for a set of instructions        layers, level
//! Plan      which steps lead to what is wanted, and where values lie     plan
//! Pass      some images through a plan, by one thread or several         run, team
//! kernels   what computes, written once over vectors of any width        kernels, lanes
//! ```
//!
//! Maps lie in memory pixel by pixel, (B, H, W, C), a pixel's channels up to whole vectors. A convolution is a product of pixels and packed
//! weights that reads the map where it lies; bias, shortcut and activation are applied before a result is written. Batches go through in
//! pieces of a few images, one for each thread; a single image is divided among them. A number comes out the same to the last bit
//! whatever the number of threads, the batch that its image is in, and its place there.
//!
//! ```
//! use seed::engine::embedded::{Activation, Embedded, Level, Operation, Program, Step};
//! let linear = Operation::Convolution {
//!     weight: vec![1.0, 2.0, 3.0],
//!     bias: vec![0.5],
//!     kernel: [1, 1],
//!     stride: 1,
//!     padding: [0; 4],
//!     groups: 1,
//!     other: None,
//!     activation: Activation::Relu,
//! };
//! let program = Program { image: [1, 2, 3], steps: vec![Step { operation: linear, input: 0 }] };
//! let engine = Embedded::new(program, Level::best(), 1)?;
//! let mut map = vec![0.0; 2];
//! engine.run(&[1.0, 1.0, 1.0, -1.0, 0.0, 0.0], &[1], &mut [&mut map])?;
//! assert_eq!(map, [6.5, 0.0]);
//! # Ok::<(), seed::Error>(())
//! ```

mod kernels;
mod lanes;
mod layers;
mod level;
mod lines;
mod plan;
mod program;
mod run;
mod team;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use self::level::Level;
pub use self::program::{Activation, Operation, Program, Step};

use self::layers::Layers;
use self::lines::Lines;
use self::plan::Plan;
use self::run::Pass;
use self::team::{Crew, together};
use crate::error::{Error, ErrorKind, Result};

/// Images that one thread takes through the network at once: memory is that of so many for each, however many a batch has.
const PIECE: usize = 4;

/// A program that is ready to run. Several threads may run it at once.
pub struct Embedded {
    layers: Layers,
    level: Level,
    threads: usize,
    /// By the values that are wanted.
    plans: Mutex<BTreeMap<Vec<usize>, Arc<Plan>>>,
    /// Memory of passes that are over, at most one for each thread.
    spare: Mutex<Vec<Lines>>,
}

impl Embedded {
    /// `program` for a set of instructions; up to `threads` threads compute at once.
    ///
    /// # Errors
    /// `Unsupported` where the CPU lacks the instructions, or, naming the operation, where one has no kernel; `InvalidArgument` where a map is empty or too
    /// large; `OutOfMemory`.
    pub fn new(program: Program, level: Level, threads: usize) -> Result<Embedded> {
        let kernels = level.kernels().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, format!("this CPU does not have the instructions of {}", level.name()))
        })?;
        let layers = Layers::new(program, kernels)?;
        let (plans, spare) = (Mutex::default(), Mutex::default());
        Ok(Embedded { layers, level, threads: threads.max(1), plans, spare })
    }

    /// The set of instructions that it computes by.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Threads that compute at once.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// C, H and W of a value of the program; of a row, its length, 1 and 1.
    ///
    /// # Errors
    /// `Internal` where there is none of that number.
    pub fn sides(&self, value: usize) -> Result<[usize; 3]> {
        let shape = self.layers.shapes[self.value(value)?];
        Ok([shape.channels, shape.height, shape.width])
    }

    /// Values of the program, each (B, C, H, W), for views (B, H, W, C).
    ///
    /// # Errors
    /// `InvalidArgument` where there is no view, or a slice's length is not that of whole images; `OutOfMemory`.
    pub fn run(&self, views: &[f32], wanted: &[usize], outputs: &mut [&mut [f32]]) -> Result<()> {
        let program::Shape { height, width, channels, .. } = self.layers.shapes[0];
        let of_view = height * width * channels;
        let images = views.len() / of_view;
        if images == 0 || !views.len().is_multiple_of(of_view) {
            return Err(Error::invalid(format!(
                "{} numbers were given, expected one or more views of {height}×{width}×{channels}",
                views.len()
            )));
        }
        let values = wanted.iter().map(|&value| self.value(value)).collect::<Result<Vec<_>>>()?;
        for (&value, output) in values.iter().zip(&*outputs) {
            let shape = self.layers.shapes[value];
            let expected = (shape.pixels() * shape.channels).checked_mul(images);
            if expected != Some(output.len()) || values.len() != outputs.len() {
                let reason =
                    format!("the output holds {} numbers, expected {expected:?} for {images} views", output.len());
                return Err(Error::invalid(reason));
            }
        }
        let plan = self.plan(&values)?;
        // A piece for each thread, as long as there are as many images; else all threads work on each.
        let piece = if images < self.threads { images } else { images.div_ceil(self.threads).min(PIECE) };
        let places: Vec<Place> = outputs.iter_mut().map(|output| Place(output.as_mut_ptr())).collect();
        let go = |first: usize, count: usize, memory: *mut f32, crew: &Crew| {
            let views = &views[first * of_view..][..count * of_view];
            let pass = Pass { layers: &self.layers, plan: &plan, views, images: count, memory };
            if crew.members() == 1 {
                pass.run(crew, 0);
            } else {
                together(crew.members(), &|member| pass.run(crew, member));
            }
            for (&value, place) in values.iter().zip(&places) {
                // SAFETY: outputs are as long as all images' values, and no other piece writes these images'.
                unsafe { self.give(&pass, value, place, first) };
            }
        };
        let pieces = images.div_ceil(piece);
        if pieces == 1 {
            let mut memory = self.memory(plan.numbers(piece, self.threads))?;
            go(0, images, memory.numbers_mut().as_mut_ptr(), &Crew::new(self.threads, plan.order.len()));
            self.keep(memory);
            return Ok(());
        }
        let members = self.threads.min(pieces);
        let memories = (0..members).map(|_| self.memory(plan.numbers(piece, 1)).map(Mutex::new));
        let memories = memories.collect::<Result<Vec<_>>>()?;
        let crew = Crew::new(members, 1);
        together(members, &|member| {
            // Each member has its own, so nobody waits here.
            let mut memory = memories[member].lock().unwrap_or_else(PoisonError::into_inner);
            let memory = memory.numbers_mut().as_mut_ptr();
            crew.each(0, pieces, |number| {
                let first = number * piece;
                go(first, piece.min(images - first), memory, &Crew::alone());
            });
        });
        memories.into_iter().for_each(|memory| self.keep(memory.into_inner().unwrap_or_else(PoisonError::into_inner)));
        Ok(())
    }

    /// Writes a value of the images of a pass, the first of which is image `first` of the batch, plane by plane.
    unsafe fn give(&self, pass: &Pass<'_>, value: usize, to: &Place, first: usize) {
        let shape = self.layers.shapes[value];
        let pixels = shape.pixels();
        for image in 0..pass.images {
            // SAFETY: by this function's contract.
            unsafe {
                let from = pass.value(value).add(image * pass.pitch(value));
                let to = to.0.add((first + image) * pixels * shape.channels);
                for channel in 0..shape.channels {
                    for pixel in 0..pixels {
                        *to.add(channel * pixels + pixel) = *from.add(pixel * shape.pitch + channel);
                    }
                }
            }
        }
    }

    fn value(&self, value: usize) -> Result<usize> {
        let found = self.layers.values.get(value).copied();
        found.ok_or_else(|| Error::new(ErrorKind::Internal, format!("there is no value {value}")))
    }

    fn plan(&self, values: &[usize]) -> Result<Arc<Plan>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(values) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(Plan::new(&self.layers, values)?);
        plans.insert(values.to_vec(), Arc::clone(&plan));
        Ok(plan)
    }

    /// Memory of at least so many numbers.
    fn memory(&self, count: usize) -> Result<Lines> {
        let kept = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match kept.filter(|memory| memory.numbers().len() >= count) {
            Some(memory) => Ok(memory),
            None => Lines::zeros(count, "the maps of the embedded engine"),
        }
    }

    fn keep(&self, memory: Lines) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < self.threads {
            spare.push(memory);
        }
    }
}

/// Where a value is given.
struct Place(*mut f32);

// SAFETY: pieces write apart from each other.
unsafe impl Sync for Place {}
