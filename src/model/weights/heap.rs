//! What a pickle builds, as inert data. All objects lie in one flat [`Heap`] and refer to each other by number, so shared,
//! deeply nested or cyclic objects cost what their opcodes cost: nothing is ever walked, copied or dropped recursively.

use std::rc::Rc;

use super::globals::{Callable, Element};

/// Number of a node in its heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(u32);

/// A value on the stack, in the memo or in a container.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Node(NodeId),
}

/// A pickled object that is more than a scalar.
#[derive(Debug)]
pub(super) enum Node {
    Text(Box<str>),
    Tuple(Box<[Value]>),
    /// Lists and sets: nothing here depends on their difference.
    List(Vec<Value>),
    /// In the order of insertion; a key may occur twice, the last one counts.
    Dict(Vec<(Value, Value)>),
    Callable(Callable),
    Storage(Box<StorageRef>),
    Tensor(Box<TensorRef>),
    /// Something that is not understood, by name. Calling or filling it has no effect.
    Opaque(Rc<str>),
}

/// A storage by its key in the file.
#[derive(Clone, Debug)]
pub(super) struct StorageRef {
    pub element: Element,
    pub key: Rc<str>,
    /// Elements of the whole storage in the file.
    pub whole: u64,
    /// First element of the view that this is of the whole.
    pub begin: u64,
    /// Elements of the view.
    pub count: u64,
}

/// A tensor as a strided window on a storage.
#[derive(Clone, Debug)]
pub(super) struct TensorRef {
    pub key: Rc<str>,
    pub element: Element,
    pub shape: Vec<usize>,
    /// In elements, one for each dimension.
    pub strides: Vec<usize>,
    /// Bytes before the first element, from the beginning of the whole storage.
    pub begin: u64,
    /// Bytes from the first to behind the last element that the window touches.
    pub span: u64,
    /// Π shape.
    pub count: usize,
}

/// The objects of one pickle.
#[derive(Debug, Default)]
pub(super) struct Heap {
    nodes: Vec<Node>,
}

impl Heap {
    /// Adds a node. The machine's limit on opcodes keeps the number far below `u32::MAX`.
    pub fn add(&mut self, node: Node) -> Value {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        Value::Node(id)
    }

    /// The node behind a value; `None` for scalars.
    pub fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(NodeId(index)) => self.nodes.get(index as usize),
            _ => None,
        }
    }

    pub fn node_mut(&mut self, value: Value) -> Option<&mut Node> {
        match value {
            Value::Node(NodeId(index)) => self.nodes.get_mut(index as usize),
            _ => None,
        }
    }

    pub fn text(&self, value: Value) -> Option<&str> {
        match self.node(value) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The elements of a tuple or list.
    pub fn sequence(&self, value: Value) -> Option<&[Value]> {
        match self.node(value) {
            Some(Node::Tuple(items)) => Some(items),
            Some(Node::List(items)) => Some(items),
            _ => None,
        }
    }

    pub fn dict(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.node(value) {
            Some(Node::Dict(entries)) => Some(entries),
            _ => None,
        }
    }

    /// What a value is, in words for an error.
    pub fn describe(&self, value: Value) -> String {
        match (value, self.node(value)) {
            (Value::None, _) => "None".into(),
            (Value::Bool(value), _) => format!("the bool {value}"),
            (Value::Int(value), _) => format!("the integer {value}"),
            (Value::Float(value), _) => format!("the float {value}"),
            (_, Some(Node::Text(_))) => "a text".into(),
            (_, Some(Node::Tuple(_))) => "a tuple".into(),
            (_, Some(Node::List(_))) => "a list".into(),
            (_, Some(Node::Dict(_))) => "a dict".into(),
            (_, Some(Node::Callable(_))) => "a class or function".into(),
            (_, Some(Node::Storage(_))) => "a storage".into(),
            (_, Some(Node::Tensor(_))) => "a tensor".into(),
            (_, Some(Node::Opaque(name))) => format!("an object of {name}"),
            (_, None) => "nothing".into(),
        }
    }
}
