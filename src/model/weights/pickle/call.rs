//! Calls and persistent ids: the two opcodes through which a pickle could reach outside itself.

use super::Machine;
use crate::model::weights::fault::{Checked, Fault};
use crate::model::weights::globals::Callable;
use crate::model::weights::heap::{Node, Value};
use crate::model::weights::limits::COPY_COST;
use crate::model::weights::rebuild;

impl<R> Machine<R> {
    /// Performs a call: known functions on checked arguments, anything else without effect.
    pub(super) fn call(&mut self, callable: Value, arguments: Value) -> Checked<()> {
        let function = match self.heap.node(callable) {
            Some(Node::Callable(function)) => function.clone(),
            Some(Node::Opaque(name)) => Callable::Inert(name.clone()),
            _ => return Err(Fault::new(format!("the pickle calls {}", self.heap.describe(callable)))),
        };
        if let Callable::Inert(name) = function {
            return self.add(Node::Opaque(name));
        }
        let Some(items) = self.heap.sequence(arguments) else {
            return Err(Fault::new(format!("the pickle calls a function with {}", self.heap.describe(arguments))));
        };
        match function {
            Callable::RebuildTensor => {
                let tensor = rebuild::tensor(&self.heap, items, None)?;
                self.add(Node::Tensor(Box::new(tensor)))
            }
            Callable::RebuildTensorV3 => {
                let Some(Node::Callable(Callable::DType(dtype))) =
                    items.get(6).and_then(|&dtype| self.heap.node(dtype))
                else {
                    return Err(Fault::new("a tensor is rebuilt without its dtype"));
                };
                let tensor = rebuild::tensor(&self.heap, items, Some(*dtype))?;
                self.add(Node::Tensor(Box::new(tensor)))
            }
            Callable::RebuildParameter => match items.first() {
                Some(&tensor) if matches!(self.heap.node(tensor), Some(Node::Tensor(_))) => self.push(tensor),
                Some(&other) => Err(Fault::new(format!("a parameter is rebuilt from {}", self.heap.describe(other)))),
                None => Err(Fault::new("a parameter is rebuilt from nothing")),
            },
            Callable::RebuildFromType => match *items {
                // The function may not be this one again: that would recurse as deep as the file likes.
                [inner, _, arguments, ..]
                    if !matches!(self.heap.node(inner), Some(Node::Callable(Callable::RebuildFromType))) =>
                {
                    self.call(inner, arguments)
                }
                _ => Err(Fault::new(
                    "a tensor subclass is rebuilt from something else than a function, a type and arguments",
                )),
            },
            Callable::Mapping => {
                // OrderedDict(pairs) or defaultdict(factory, pairs); a longer list of arguments is not searched.
                let pairs = items.iter().take(2).find_map(|&item| self.heap.sequence(item)).unwrap_or_default();
                let pairs = pairs.iter().map(|&pair| match self.heap.sequence(pair) {
                    Some(&[key, value]) => Ok((key, value)),
                    _ => Err(Fault::new("a dict is made of something else than pairs")),
                });
                let pairs = pairs.collect::<Checked<Vec<_>>>()?;
                self.spend(pairs.len() as u64 * COPY_COST)?;
                self.add(Node::Dict(pairs))
            }
            Callable::Sequence => match items.first() {
                // The same node serves as the copy: copying could be asked for again and again.
                Some(&first) if self.heap.sequence(first).is_some() => self.push(first),
                _ => self.add(Node::List(Vec::new())),
            },
            // A storage or dtype that is called, rather than referred to, is no part of a tensor.
            Callable::Storage(_) | Callable::DType(_) | Callable::Inert(_) => {
                self.add(Node::Opaque("torch storage or dtype".into()))
            }
        }
    }

    /// Replaces a persistent id by the storage, or by the class of a module whose source was saved along.
    pub(super) fn persistent(&mut self) -> Checked<()> {
        let id = self.pop()?;
        let fields = self.heap.sequence(id).unwrap_or_default();
        match fields.first().and_then(|&tag| self.heap.text(tag)) {
            Some("storage") => {
                let storage = rebuild::storage(&self.heap, fields)?;
                let known = self.storages.entry(storage.key.clone()).or_insert_with(|| storage.clone());
                if known.element != storage.element || known.whole != storage.whole {
                    return Err(Fault::new(format!(
                        "storage {:?} is referred to with two types or lengths",
                        storage.key
                    )));
                }
                self.add(Node::Storage(Box::new(storage)))
            }
            Some("module") => {
                let class = fields.get(1).copied().unwrap_or(Value::None);
                self.push(class)
            }
            _ => Err(Fault::new(format!("the pickle refers to something outside it by {}", self.heap.describe(id)))),
        }
    }
}
