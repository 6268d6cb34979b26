//! The named tensors of a network, in the order of torch's `state_dict`, and the numbers they start from.
//!
//! Layers and store share each tensor: a [`Tensor`] is a handle, so what is written in place through one (`f_copy_`,
//! `f_set_data`) is seen through the other. Nothing ever replaces a handle, and so the two cannot drift apart.

use std::fmt::Display;

use rand_core::RngCore;
use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use crate::data::random::{Purpose, generator};
use crate::error::Result;
use crate::sys::memory::room;
use crate::torch;

/// What a tensor starts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Initial {
    /// Every element the same.
    Constant(f64),
    /// N(0, std²).
    Normal { std: f64 },
    /// U(−bound, bound).
    Uniform { bound: f64 },
}

/// Whether the optimiser may change a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Parameter,
    Buffer,
}

/// One tensor with its torchvision key.
pub(crate) struct Entry {
    pub name: String,
    pub tensor: Tensor,
    pub role: Role,
}

/// Where random initial values come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Filling {
    /// ChaCha keyed by the seed and the tensor's number, so adding a head leaves the backbone's numbers alone.
    Random { seed: u64 },
    /// Zeros in place of random numbers, for a network that is about to be overwritten.
    Zeros,
    /// No numbers at all, for a network that is only counted. Its tensors have no device that tch knows.
    Shapes,
}

/// Collects the tensors while a network is built and keeps them afterwards.
pub(crate) struct Store {
    entries: Vec<Entry>,
    filling: Filling,
    device: Device,
    image_channels: i64,
    noise_layers: u64,
}

impl Store {
    /// For a network that takes images of `image_channels` numbers a pixel.
    pub fn new(filling: Filling, image_channels: i64, device: Device) -> Store {
        Store { entries: Vec::new(), filling, device, image_channels, noise_layers: 0 }
    }

    /// The place of the outermost module.
    pub fn root(&mut self) -> Path<'_> {
        Path { store: self, prefix: String::new() }
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn device(&self) -> Device {
        self.device
    }

    pub fn image_channels(&self) -> i64 {
        self.image_channels
    }

    /// Notes that the tensors were moved; they are moved by whoever calls this.
    pub fn set_device(&mut self, device: Device) {
        self.device = device;
    }

    fn add(&mut self, name: String, shape: &[i64], kind: Kind, initial: Initial, role: Role) -> Result<Tensor> {
        let tensor = match (initial, self.filling) {
            (_, Filling::Shapes) => torch::shape_only(shape, kind)?,
            (Initial::Constant(value), _) => {
                // The handle that `f_fill_` returns is the filled tensor itself.
                Tensor::f_zeros(shape, (kind, self.device))?.f_fill_(value)?
            }
            (_, Filling::Zeros) => Tensor::f_zeros(shape, (kind, self.device))?,
            (random, Filling::Random { seed }) => {
                let elements = shape.iter().product::<i64>() as usize;
                let values = draw(random, seed, self.entries.len() as u64, elements)?;
                Tensor::f_from_slice(&values)?.f_view(shape)?.f_to_device(self.device)?
            }
        };
        // Detached, it is a leaf of its own and not a view of the flat values.
        let tensor = tensor.f_detach()?;
        let tensor = if role == Role::Parameter { tensor.f_set_requires_grad(true)? } else { tensor };
        self.entries.push(Entry { name, tensor: tensor.shallow_clone(), role });
        Ok(tensor)
    }
}

/// Random values of tensor number `number`, in float32 as torch draws them.
fn draw(initial: Initial, seed: u64, number: u64, elements: usize) -> Result<Vec<f32>> {
    let mut random = generator(seed, number, 0, Purpose::Initialise);
    let mut value = || match initial {
        Initial::Constant(value) => value as f32,
        Initial::Normal { std } => {
            let normal: f64 = StandardNormal.sample(&mut random);
            (normal * std) as f32
        }
        Initial::Uniform { bound } => {
            // 53 bits make a double in [0, 1).
            let unit = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            ((2.0 * unit - 1.0) * bound) as f32
        }
    };
    let mut values = room(elements, "the first weights")?;
    values.extend((0..elements).map(|_| value()));
    Ok(values)
}

/// A place in the tree of modules: the store and the key's part so far.
pub(crate) struct Path<'a> {
    store: &'a mut Store,
    prefix: String,
}

impl Path<'_> {
    /// The module `part` of this one.
    pub fn at(&mut self, part: impl Display) -> Path<'_> {
        let prefix = self.key(part);
        Path { store: self.store, prefix }
    }

    /// A float32 tensor that the optimiser may change.
    pub fn parameter(&mut self, name: &str, shape: &[i64], initial: Initial) -> Result<Tensor> {
        let key = self.key(name);
        self.store.add(key, shape, Kind::Float, initial, Role::Parameter)
    }

    /// A tensor that belongs to the state but not to the optimiser.
    pub fn buffer(&mut self, name: &str, shape: &[i64], kind: Kind, value: f64) -> Result<Tensor> {
        let key = self.key(name);
        self.store.add(key, shape, kind, Initial::Constant(value), Role::Buffer)
    }

    /// Numbers of a pixel of the images: what the first layer takes.
    pub fn image_channels(&self) -> i64 {
        self.store.image_channels
    }

    /// The next number for a layer that draws noise while training.
    pub fn noise_layer(&mut self) -> u64 {
        let number = self.store.noise_layers;
        self.store.noise_layers += 1;
        number
    }

    fn key(&self, part: impl Display) -> String {
        if self.prefix.is_empty() { part.to_string() } else { format!("{}.{part}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(initial: Initial, seed: u64, number: u64, elements: usize) -> Vec<f32> {
        super::draw(initial, seed, number, elements).unwrap()
    }

    fn moments(values: &[f32]) -> (f64, f64) {
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, variance.sqrt())
    }

    #[test]
    fn draws_have_the_asked_moments_and_bounds() {
        let (mean, std) = moments(&draw(Initial::Normal { std: 0.5 }, 1, 2, 100_000));
        assert!(mean.abs() < 0.01 && (std - 0.5).abs() < 0.01, "{mean} {std}");
        let uniform = draw(Initial::Uniform { bound: 0.25 }, 1, 2, 100_000);
        let (mean, std) = moments(&uniform);
        assert!(mean.abs() < 0.005 && (std - 0.25 / 3f64.sqrt()).abs() < 0.005, "{mean} {std}");
        assert!(uniform.iter().all(|value| value.abs() <= 0.25));
    }

    #[test]
    fn draws_depend_on_seed_and_number_only() {
        let initial = Initial::Normal { std: 1.0 };
        assert_eq!(draw(initial, 7, 3, 50), draw(initial, 7, 3, 50));
        assert_ne!(draw(initial, 7, 3, 50), draw(initial, 8, 3, 50));
        assert_ne!(draw(initial, 7, 3, 50), draw(initial, 7, 4, 50));
    }

    #[test]
    fn keys_nest_and_keep_their_order() {
        let mut store = Store::new(Filling::Zeros, 3, Device::Cpu);
        let mut root = store.root();
        let mut layer = root.at("layer1");
        let weight = layer.at(0).parameter("weight", &[2, 3], Initial::Normal { std: 1.0 }).unwrap();
        let count = layer.buffer("count", &[], Kind::Int64, 0.0).unwrap();
        assert_eq!((weight.size(), count.kind()), (vec![2, 3], Kind::Int64));
        assert_eq!((root.noise_layer(), root.noise_layer()), (0, 1));
        let names: Vec<&str> = store.entries().iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["layer1.0.weight", "layer1.count"]);
        assert!(store.entries()[0].tensor.requires_grad());
        assert!(!store.entries()[1].tensor.requires_grad());
    }
}
