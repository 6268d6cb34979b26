//! The queue D (K,C): the teacher's last K embeddings, first in, first out.
//!
//! It starts as normalised Gaussian noise, as SEED does, so that the loss has K columns from the first step. A batch is
//! enqueued after the loss was taken over it (Fang et al., 2021, §3.2), so it is never among its own negatives.

use std::collections::BTreeMap;
use std::path::Path;

use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use crate::data::random::{Purpose, generator};
use crate::model::unit_rows;
use crate::model::weights::{self, HostTensor};
use crate::sys::memory::room;
use crate::{Error, Result, torch};

const FORMAT: &str = "libseed.queue.1";

/// A ring of K unit rows of width C in float32, with the place of the next row.
#[derive(Debug)]
pub struct Queue {
    rows: Tensor,
    pointer: i64,
    filled: i64,
}

/// A queue's whole state on the host.
#[derive(Debug)]
pub struct QueueSnapshot {
    /// (K,C), float32, on the CPU.
    pub rows: Tensor,
    /// Where the next row goes, below K.
    pub pointer: i64,
    /// How many rows were pushed, at most K; the others are noise.
    pub filled: i64,
}

impl Queue {
    /// K = `capacity` rows of width C = `width`, filled with normalised noise drawn from `seed`.
    pub fn new(capacity: i64, width: i64, seed: u64, device: Device) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let numbers = size_of_rows(capacity, width)?;
        let mut generator = generator(seed, 0, 0, Purpose::Queue);
        let mut noise: Vec<f32> = room(numbers as usize, "the queue")?;
        noise.extend((0..numbers).map(|_| -> f32 { StandardNormal.sample(&mut generator) }));
        let rows = Tensor::f_from_slice(&noise)?.f_reshape([capacity, width])?;
        Ok(Self { rows: unit_rows(&rows)?.f_to_device(device)?, pointer: 0, filled: 0 })
    }

    /// K, in rows.
    pub fn capacity(&self) -> i64 {
        self.rows.size()[0]
    }

    /// C, the width of an embedding.
    pub fn width(&self) -> i64 {
        self.rows.size()[1]
    }

    /// Rows that came from a teacher; the rest is still noise.
    pub fn len(&self) -> i64 {
        self.filled
    }

    /// No row was pushed yet.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// All K rows (K,C), noise included, in no particular order.
    pub fn rows(&self) -> &Tensor {
        &self.rows
    }

    /// Moves the rows to `device`.
    pub fn to_device(&mut self, device: Device) -> Result<()> {
        if self.rows.device() != device {
            self.rows = self.rows.f_to_device(device)?;
        }
        Ok(())
    }

    /// Enqueues `embeddings` (B,C), unit rows in float32; of more than K rows the last K stay. The oldest make room.
    pub fn push(&mut self, embeddings: &Tensor) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let (capacity, width) = (self.capacity(), self.width());
        let size = embeddings.size();
        if size.len() != 2 || size[1] != width {
            return Err(Error::invalid(format!("the queue takes embeddings (B,{width}), found {size:?}")));
        }
        let embeddings = torch::copy_to(&embeddings.f_to_kind(Kind::Float)?, self.rows.device())?;
        let kept = size[0].min(capacity);
        // Rows that the same push would overwrite move the pointer all the same.
        let mut place = (self.pointer + size[0] - kept) % capacity;
        let mut from = size[0] - kept;
        while from < size[0] {
            let count = (size[0] - from).min(capacity - place);
            self.rows.f_narrow(0, place, count)?.f_copy_(&embeddings.f_narrow(0, from, count)?)?;
            place = (place + count) % capacity;
            from += count;
        }
        self.pointer = place;
        self.filled = (self.filled + size[0]).min(capacity);
        Ok(())
    }

    /// Similarities of `queries` (B,C) with every row: (B,K). Row j of the queue is column j.
    pub fn similarities(&self, queries: &Tensor) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let size = queries.size();
        if size.len() != 2 || size[1] != self.width() {
            return Err(Error::invalid(format!("the queue takes queries (B,{}), found {size:?}", self.width())));
        }
        let _exact = torch::ExactFloat32::enter()?;
        let queries = torch::copy_to(queries, self.rows.device())?.f_to_kind(Kind::Float)?;
        Ok(queries.f_matmul(&self.rows.f_tr()?)?)
    }

    /// A copy of the whole state.
    pub fn snapshot(&self) -> Result<QueueSnapshot> {
        let _no_grad = tch::no_grad_guard();
        let rows = self.rows.f_to_device_(Device::Cpu, Kind::Float, false, true)?;
        Ok(QueueSnapshot { rows, pointer: self.pointer, filled: self.filled })
    }

    /// The queue that a snapshot was taken of, on the CPU.
    pub fn from_snapshot(snapshot: QueueSnapshot) -> Self {
        Self { rows: snapshot.rows, pointer: snapshot.pointer, filled: snapshot.filled }
    }

    /// Puts a snapshot of the same K and C back; nothing is changed on error.
    pub fn restore(&mut self, snapshot: &QueueSnapshot) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        if snapshot.rows.size() != self.rows.size() {
            return Err(Error::mismatch(format!(
                "the snapshot holds a queue of {:?}, expected {:?}",
                snapshot.rows.size(),
                self.rows.size()
            )));
        }
        snapshot.check()?;
        self.rows.f_copy_(&snapshot.rows)?;
        (self.pointer, self.filled) = (snapshot.pointer, snapshot.filled);
        Ok(())
    }

    /// Writes the queue to a safetensors file, atomically.
    pub fn save(&self, path: &Path) -> Result<()> {
        let state = self.snapshot()?.to_state()?;
        weights::write_safetensors(path, &state.tensors.into_iter().collect::<Vec<_>>(), &state.metadata)
    }

    /// The queue that [`Queue::save`] wrote, on `device`.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        let snapshot =
            QueueSnapshot::from_state(&weights::read(path)?).map_err(|error| error.context(path.display()))?;
        let (pointer, filled) = (snapshot.pointer, snapshot.filled);
        Ok(Self { rows: snapshot.rows.f_to_device(device)?, pointer, filled })
    }
}

impl QueueSnapshot {
    fn check(&self) -> Result<()> {
        let capacity = self.rows.size()[0];
        if !(0..capacity).contains(&self.pointer) || !(0..=capacity).contains(&self.filled) {
            return Err(Error::mismatch(format!(
                "a queue of {capacity} rows cannot have its pointer at {} and {} rows filled",
                self.pointer, self.filled
            )));
        }
        Ok(())
    }

    /// As tensors and metadata of a safetensors file.
    pub fn to_state(&self) -> Result<weights::StateDict> {
        let metadata =
            [("format", FORMAT.to_owned()), ("pointer", self.pointer.to_string()), ("filled", self.filled.to_string())];
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let tensors = BTreeMap::from([("queue".to_owned(), HostTensor::from_tensor(&self.rows)?)]);
        Ok(weights::StateDict { tensors, metadata })
    }

    /// From what [`QueueSnapshot::to_state`] gave; the file is not trusted.
    pub fn from_state(state: &weights::StateDict) -> Result<Self> {
        let format = state.metadata.get("format").map_or("none", String::as_str);
        if format != FORMAT {
            return Err(Error::mismatch(format!("the file's format is \"{format}\", expected \"{FORMAT}\"")));
        }
        let number = |key: &str| -> Result<i64> {
            let text = state.metadata.get(key).map_or("", String::as_str);
            text.parse().map_err(|_| Error::mismatch(format!("the queue's {key} is \"{text}\", expected a number")))
        };
        let rows = state.tensors.get("queue").ok_or_else(|| Error::mismatch("the file has no tensor \"queue\""))?;
        let rows = rows.to_tensor()?;
        let size = rows.size();
        if size.len() != 2 || rows.kind() != Kind::Float {
            return Err(Error::mismatch(format!("the queue is {:?} {size:?}, expected Float (K,C)", rows.kind())));
        }
        size_of_rows(size[0], size[1]).map_err(|error| Error::mismatch(error.message()))?;
        if rows.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            return Err(Error::mismatch("the queue holds numbers that are not finite"));
        }
        let snapshot = Self { rows, pointer: number("pointer")?, filled: number("filled")? };
        snapshot.check()?;
        Ok(snapshot)
    }
}

/// K·C, checked: both from 1, together at most 2³⁴ bytes of float32.
fn size_of_rows(capacity: i64, width: i64) -> Result<i64> {
    let numbers = capacity.checked_mul(width).filter(|&n| capacity > 0 && width > 0 && n <= 1 << 32);
    numbers.ok_or_else(|| {
        Error::invalid(format!(
            "a queue of {capacity} rows of {width} was asked for; expected both ≥ 1 and at most 2^32 numbers"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` rows that are all `value`: not unit, so that a test can tell them apart.
    fn rows(values: std::ops::Range<i64>) -> Tensor {
        Tensor::arange_start(values.start, values.end, (Kind::Float, Device::Cpu)).unsqueeze(1).expand([-1, 3], false)
    }

    fn content(queue: &Queue) -> Vec<f32> {
        Vec::try_from(queue.rows().select(1, 0).contiguous()).unwrap()
    }

    #[test]
    fn starts_as_unit_noise_that_the_seed_decides() {
        let queue = Queue::new(100, 8, 1, Device::Cpu).unwrap();
        let norms = queue.rows().norm_scalaropt_dim(2.0, [1i64].as_slice(), false);
        assert!((norms - 1.0).abs().max().double_value(&[]) < 1e-6);
        assert!(queue.is_empty());
        assert_eq!(content(&queue), content(&Queue::new(100, 8, 1, Device::Cpu).unwrap()));
        assert_ne!(content(&queue), content(&Queue::new(100, 8, 2, Device::Cpu).unwrap()));
    }

    #[test]
    fn any_batch_size_agrees_with_a_ring_of_one_by_one() {
        for capacity in [1, 2, 5, 7] {
            for batch in [1, 2, 3, 5, 8, 17] {
                let mut queue = Queue::new(capacity, 3, 0, Device::Cpu).unwrap();
                let mut one_by_one = content(&queue);
                for push in 0..5 {
                    let (from, to) = (push * batch + 1, (push + 1) * batch + 1);
                    queue.push(&rows(from..to)).unwrap();
                    for value in from..to {
                        one_by_one[((value - 1) % capacity) as usize] = value as f32;
                    }
                    assert_eq!(content(&queue), one_by_one, "capacity {capacity}, batch {batch}");
                    assert_eq!(queue.len(), ((push + 1) * batch).min(capacity));
                }
            }
        }
    }

    #[test]
    fn snapshot_restore_and_file_keep_the_future() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.safetensors");
        let mut queue = Queue::new(5, 3, 0, Device::Cpu).unwrap();
        queue.push(&rows(1..4)).unwrap();
        queue.save(&path).unwrap();
        let snapshot = queue.snapshot().unwrap();
        queue.push(&rows(4..8)).unwrap();
        let future = content(&queue);

        let mut loaded = Queue::load(&path, Device::Cpu).unwrap();
        assert_eq!((loaded.capacity(), loaded.width(), loaded.len()), (5, 3, 3));
        loaded.push(&rows(4..8)).unwrap();
        assert_eq!(content(&loaded), future);

        queue.restore(&snapshot).unwrap();
        queue.push(&rows(4..8)).unwrap();
        assert_eq!(content(&queue), future);
        let mut other = Queue::new(6, 3, 0, Device::Cpu).unwrap();
        assert!(other.restore(&snapshot).is_err());
    }

    #[test]
    fn misuse_is_refused() {
        assert!(Queue::new(0, 3, 0, Device::Cpu).is_err());
        assert!(Queue::new(i64::MAX, 3, 0, Device::Cpu).is_err());
        let mut queue = Queue::new(5, 3, 0, Device::Cpu).unwrap();
        assert!(queue.push(&Tensor::ones([2, 4], (Kind::Float, Device::Cpu))).is_err());
        assert!(queue.similarities(&Tensor::ones([2, 4], (Kind::Float, Device::Cpu))).is_err());
        assert_eq!(queue.similarities(&rows(1..3)).unwrap().size(), [2, 5]);
        let mut file = queue.snapshot().unwrap().to_state().unwrap();
        let nothing = Tensor::zeros([0, 3], (Kind::Float, Device::Cpu));
        file.tensors.insert("queue".to_owned(), HostTensor::from_tensor(&nothing).unwrap());
        assert_eq!(QueueSnapshot::from_state(&file).err().unwrap().kind(), crate::ErrorKind::Mismatch);
    }
}
