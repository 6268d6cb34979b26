//! Copying strided windows on storages into contiguous tensors.
//!
//! Element (i₀, …, iₙ) is read at byte `begin + size · Σ i_d · stride_d` of its storage; only the bytes between a window's first
//! and last element are read, and all tensors of a file together stay within [`tensor_budget`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::rc::Rc;

use super::fault::{Checked, Fault, zeroed};
use super::globals::Element;
use super::heap::TensorRef;
use super::heap::{Heap, Value};
use super::host::{HostTensor, HostType};
use super::limits::tensor_budget;

/// A torch checkpoint whose objects are read and whose storages are found but not read.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub heap: Heap,
    pub root: Value,
    pub storages: BTreeMap<Rc<str>, Storage>,
    pub order: ByteOrder,
}

/// Where a storage lies in the file. Both formats have checked that it lies within.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storage {
    pub start: u64,
    pub length: u64,
    /// Checksum of the whole storage, where the format keeps one.
    pub crc32: Option<u32>,
}

/// Order of the bytes of an element in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

/// Reads tensors one after the other and counts what they cost.
pub(super) struct Gather<'a> {
    file: &'a mut File,
    storages: &'a BTreeMap<Rc<str>, Storage>,
    order: ByteOrder,
    budget: u64,
    /// Storages whose checksum was compared.
    sound: BTreeSet<Rc<str>>,
}

impl<'a> Gather<'a> {
    /// `length` is the file's, in bytes.
    pub fn new(file: &'a mut File, length: u64, storages: &'a BTreeMap<Rc<str>, Storage>, order: ByteOrder) -> Self {
        Self { file, storages, order, budget: tensor_budget(length), sound: BTreeSet::new() }
    }

    /// The contiguous copy of one tensor.
    pub fn tensor(&mut self, window: &TensorRef) -> Checked<HostTensor> {
        let dtype = match window.element {
            Element::Known(dtype) => dtype,
            Element::Untyped => return Err(Fault::new("it has no element type")),
            Element::Foreign { name, .. } => return Err(Fault::new(format!("its element type {name} is not read"))),
        };
        // Cannot overflow: rebuild::tensor checked the product against i64.
        let needed = window.count * dtype.size();
        let cost = (needed as u64).max(window.span);
        self.budget = self.budget.checked_sub(cost).ok_or_else(|| {
            Fault::new(format!(
                "it needs {cost} bytes, which makes the tensors many times larger than the file: not a sound checkpoint"
            ))
        })?;
        let mut bytes = if window.count == 0 { Vec::new() } else { self.window(window)? };
        if !is_contiguous(window) {
            bytes = strided(&bytes, window, dtype.size())?;
        }
        debug_assert_eq!(bytes.len(), needed);
        if self.order == ByteOrder::Big {
            bytes.chunks_exact_mut(dtype.size()).for_each(<[u8]>::reverse);
        }
        if dtype == HostType::Bool {
            // Any other byte would be undefined behaviour as a C++ bool.
            bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
        Ok(HostTensor { dtype, shape: window.shape.clone(), bytes })
    }

    /// The bytes from the first to the last element.
    fn window(&mut self, window: &TensorRef) -> Checked<Vec<u8>> {
        let key = &window.key;
        let storage = *self
            .storages
            .get(key)
            .ok_or_else(|| Fault::new(format!("its storage {key:?} is missing from the file")))?;
        if window.begin.checked_add(window.span).is_none_or(|end| end > storage.length) {
            return Err(Fault::new(format!("it reaches beyond its storage {key:?} of {} bytes", storage.length)));
        }
        if let Some(expected) = storage.crc32
            && self.sound.insert(key.clone())
        {
            self.verify(key, storage, expected)?;
        }
        let mut bytes = zeroed(window.span as usize)?;
        self.file.seek(SeekFrom::Start(storage.start + window.begin))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Compares a storage's checksum, which finds what a bad disk or a broken copy has changed.
    fn verify(&mut self, key: &str, storage: Storage, expected: u32) -> Checked<()> {
        self.file.seek(SeekFrom::Start(storage.start))?;
        let mut hasher = crc32fast::Hasher::new();
        let mut block = zeroed(storage.length.min(1 << 20) as usize)?;
        let mut left = storage.length;
        while left > 0 {
            let part = block.get_mut(..left.min(1 << 20) as usize).unwrap_or_default();
            self.file.read_exact(part)?;
            hasher.update(part);
            left -= part.len() as u64;
        }
        match hasher.finalize() == expected {
            true => Ok(()),
            false => Err(Fault::new(format!("its storage {key:?} is damaged: the checksum differs"))),
        }
    }
}

fn is_contiguous(window: &TensorRef) -> bool {
    let mut step = 1;
    window.shape.iter().zip(&window.strides).rev().all(|(&length, &stride)| {
        let fits = length == 1 || stride == step;
        step *= length.max(1);
        fits
    }) || window.count == 0
}

/// Walks the window row by row; `bytes` begin at its first element.
fn strided(bytes: &[u8], window: &TensorRef, size: usize) -> Checked<Vec<u8>> {
    let mut out = Vec::new();
    out.try_reserve_exact(window.count * size).map_err(|_| Fault::Memory((window.count * size) as u64))?;
    let mut index = vec![0; window.shape.len()];
    let mut at = 0usize;
    for _ in 0..window.count {
        // The last element ends where the span ends, and no other lies behind it: rebuild::tensor computed it so.
        let element =
            bytes.get(at * size..(at + 1) * size).ok_or_else(|| Fault::new("a tensor reaches beyond its storage"))?;
        out.extend_from_slice(element);
        for ((place, &length), &stride) in index.iter_mut().zip(&window.shape).zip(&window.strides).rev() {
            *place += 1;
            at += stride;
            if *place < length {
                break;
            }
            at -= stride * length;
            *place = 0;
        }
    }
    Ok(out)
}
