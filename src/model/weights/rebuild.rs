//! Tensors of a checkpoint before their bytes are read: a window on a storage, checked the moment it is built.
//!
//! Element (i₀, …, iₙ) of a tensor is element `offset + Σ i_d · stride_d` of its storage.

use std::rc::Rc;

use super::fault::{Checked, Fault};
use super::globals::Element;
use super::heap::{Heap, Node, StorageRef, TensorRef, Value};
use super::limits::{MAX_NAME, MAX_RANK};

/// Performs `_rebuild_tensor*`: arguments (storage, offset, shape, strides, …); `dtype` for an untyped storage.
pub(super) fn tensor(heap: &Heap, arguments: &[Value], dtype: Option<Element>) -> Checked<TensorRef> {
    let [storage, offset, shape, strides, ..] = *arguments else {
        return Err(Fault::new(format!(
            "a tensor is rebuilt from {} arguments, at least 4 are needed",
            arguments.len()
        )));
    };
    let Some(Node::Storage(storage)) = heap.node(storage) else {
        return Err(Fault::new(format!("a tensor is rebuilt from {} instead of a storage", heap.describe(storage))));
    };
    let offset = index(heap, offset, "offset")? as u64;
    let shape = indices(heap, shape, "shape")?;
    let strides = indices(heap, strides, "strides")?;
    if shape.len() != strides.len() {
        return Err(Fault::new(format!("a tensor of shape {shape:?} has the strides {strides:?}")));
    }
    let element = dtype.unwrap_or(storage.element);
    let size = element.size() as u64;
    let available = storage.count.checked_mul(storage.element.size() as u64);
    let limits = || {
        let count = shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length))?;
        count.checked_mul(element.size()).filter(|&bytes| i64::try_from(bytes).is_ok())?;
        // An empty tensor touches nothing, whatever its offset and strides are.
        let touched = if count == 0 {
            0
        } else {
            let steps =
                shape.iter().zip(&strides).map(|(&length, &stride)| ((length - 1) as u64).checked_mul(stride as u64));
            steps.into_iter().try_fold(1u64, |sum, step| sum.checked_add(step?))?
        };
        let begin = if count == 0 { 0 } else { offset.checked_mul(size)? };
        let span = touched.checked_mul(size)?;
        let end = begin.checked_add(span)?;
        let before = storage.begin.checked_mul(storage.element.size() as u64)?;
        (end <= available?).then_some(()).and_then(|()| Some((count, before.checked_add(begin)?, span)))
    };
    let (count, begin, span) = limits().ok_or_else(|| {
        Fault::new(format!(
            "a tensor of shape {shape:?}, strides {strides:?} and offset {offset} reaches beyond its storage of {} elements",
            storage.count
        ))
    })?;
    Ok(TensorRef { key: storage.key.clone(), element, shape, strides, begin, span, count })
}

/// Performs the lookup of a persistent id of the form ('storage', class, key, location, count[, view]), where view is None or
/// (view key, offset, count).
pub(super) fn storage(heap: &Heap, fields: &[Value]) -> Checked<StorageRef> {
    let &[_, class, key, _, count, ref rest @ ..] = fields else {
        return Err(Fault::new(format!(
            "a storage's persistent id has {} fields, at least 5 are needed",
            fields.len()
        )));
    };
    let Some(Node::Callable(super::globals::Callable::Storage(element))) = heap.node(class) else {
        return Err(Fault::new(format!("a storage is of {} instead of a storage class", heap.describe(class))));
    };
    let key: Rc<str> = match (heap.text(key), key) {
        (Some(text), _) if text.len() <= MAX_NAME => text.into(),
        (Some(text), _) => {
            return Err(Fault::new(format!("a storage's key has {} bytes; at most {MAX_NAME} are read", text.len())));
        }
        (None, Value::Int(number)) => number.to_string().into(),
        _ => return Err(Fault::new(format!("a storage's key is {}", heap.describe(key)))),
    };
    let whole = index(heap, count, "number of elements")? as u64;
    let (begin, count) = match rest.first() {
        None | Some(Value::None) => (0, whole),
        Some(&view) => match heap.sequence(view) {
            Some(&[_, begin, count]) => {
                (index(heap, begin, "view offset")? as u64, index(heap, count, "view length")? as u64)
            }
            _ => return Err(Fault::new(format!("a storage's view is {}", heap.describe(view)))),
        },
    };
    if begin.checked_add(count).is_none_or(|end| end > whole) {
        return Err(Fault::new(format!(
            "a view of {count} elements from {begin} on reaches beyond its storage of {whole} elements"
        )));
    }
    Ok(StorageRef { element: *element, key, whole, begin, count })
}

fn indices(heap: &Heap, value: Value, what: &str) -> Checked<Vec<usize>> {
    let items =
        heap.sequence(value).ok_or_else(|| Fault::new(format!("a tensor's {what} is {}", heap.describe(value))))?;
    if items.len() > MAX_RANK {
        return Err(Fault::new(format!("a tensor has {} dimensions; at most {MAX_RANK} are read", items.len())));
    }
    items.iter().map(|&item| index(heap, item, what)).collect()
}

fn index(heap: &Heap, value: Value, what: &str) -> Checked<usize> {
    match value {
        Value::Int(number) => {
            usize::try_from(number).map_err(|_| Fault::new(format!("a tensor's {what} contains {number}")))
        }
        other => Err(Fault::new(format!("a tensor's {what} contains {}", heap.describe(other)))),
    }
}
