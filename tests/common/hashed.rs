//! Numbers that the scripts in tests/golden make as well, so that weights and images need not be stored.

// Every test program that takes part of this compiles all of it.
#![allow(dead_code)]

use std::collections::HashMap;

use crate::golden::golden;
use tch::Tensor;

/// The number under which pixels are hashed.
const IMAGE: u32 = 1_000_000;

pub fn read_golden(name: &str) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(golden(name)).unwrap().into_iter().collect()
}

/// Values in `low..high` from a hash of (number, element), in float32 exactly as make_models.py computes them.
pub fn between(number: u32, shape: &[i64], low: f32, high: f32) -> Tensor {
    let count = shape.iter().product::<i64>() as u32;
    let start = number.wrapping_mul(0x9E37_79B1);
    let value = |element: u32| {
        let mut x = start.wrapping_add(element.wrapping_mul(0x85EB_CA77));
        x ^= x >> 16;
        x = x.wrapping_mul(0x7FEB_352D);
        x ^= x >> 15;
        x = x.wrapping_mul(0x846C_A68B);
        x ^= x >> 16;
        low + (high - low) * ((x >> 8) as f32 / (1u32 << 24) as f32)
    };
    Tensor::from_slice(&(0..count).map(value).collect::<Vec<f32>>()).reshape(shape)
}

pub fn images(number: u32, batch: i64, height: i64, width: i64) -> Tensor {
    between(IMAGE + number, &[batch, 3, height, width], -2.0, 2.0)
}

/// max |a − b| / max |b|.
pub fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let difference = (found - expected).abs().max().double_value(&[]);
    difference / expected.abs().max().double_value(&[])
}

/// A file of names: per network a line with its name, then lines "key side,side,…".
pub fn read_keys(name: &str) -> HashMap<String, Vec<String>> {
    let text = std::fs::read_to_string(golden(name)).unwrap();
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if line.contains(' ') {
            found.get_mut(&current).unwrap().push(line.to_owned());
        } else {
            current = line.to_owned();
            found.insert(current.clone(), Vec::new());
        }
    }
    found
}

/// A tensor as a line of such a file.
pub fn key_line(name: &str, shape: &[i64]) -> String {
    let sides: Vec<String> = shape.iter().map(i64::to_string).collect();
    format!("{name} {}", sides.join(","))
}
