//! A machine for the pickles of torch checkpoints. It never executes what a pickle names.
//!
//! It knows dictionaries, lists, tuples, numbers, texts, and four of torch's own functions: those that rebuild a tensor
//! or parameter, an ordered dictionary and a size. Every other name becomes an inert value that can be called and built
//! without any effect, so that an optimiser's state or an argparse namespace beside the weights does no harm. Names that
//! run code are refused, since such a file is an attack.
//!
//! Values live in one arena and refer to each other by number: nesting of any depth costs no stack when it is dropped.

use std::collections::HashMap;
use std::io::Read;
use std::rc::Rc;

use super::HostType;
use super::storage::StridedView;

/// Longest pickle in bytes; one of a network of 10⁵ tensors has some 20 MiB.
const MAXIMUM_BYTES: u64 = 256 << 20;
/// Longest single text or byte string.
const MAXIMUM_TEXT: u64 = 16 << 20;
/// Most values on the stack and in the memo.
const MAXIMUM_VALUES: usize = 16 << 20;

/// Modules whose functions run code, open files or import.
const CODE_MODULES: &[&str] = &[
    "os", "posix", "nt", "subprocess", "sys", "importlib", "runpy", "socket", "shutil", "ctypes", "pickle", "_pickle",
    "cPickle", "marshal", "types", "code", "codeop", "pty", "commands", "webbrowser", "pip", "asyncio", "multiprocessing",
    "threading", "tempfile", "io", "_io", "operator", "functools", "timeit", "pdb", "bdb", "cProfile", "profile",
];
/// Functions of Python itself that do so.
const CODE_BUILTINS: &[&str] = &[
    "eval", "exec", "compile", "getattr", "setattr", "delattr", "__import__", "open", "input", "breakpoint", "globals",
    "locals", "vars", "apply", "execfile", "map", "filter", "reduce",
];

/// A place in the arena.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Node(usize);

/// What the machine computes with.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Nothing,
    Bool(bool),
    Int(i64),
    Long(Rc<[u8]>),
    Float,
    Text(Rc<str>),
    Bytes,
    Tuple(Node),
    List(Node),
    Dict(Node),
    /// A name, "module.function", that was not called yet.
    Global(Rc<str>),
    /// Something that is carried along without effect.
    Inert(Rc<str>),
    Storage(Rc<StorageRef>),
    Tensor(Rc<StridedView>),
}

/// A storage, as the pickle names it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StorageRef {
    pub dtype: HostType,
    pub key: String,
    /// First element of a view in the legacy format, else 0.
    pub offset: i64,
}

/// The items of containers; a dictionary's alternate key, value.
#[derive(Debug, Default)]
pub(super) struct Arena(Vec<Vec<Value>>);

impl Arena {
    fn add(&mut self, items: Vec<Value>) -> Node {
        self.0.push(items);
        Node(self.0.len() - 1)
    }

    /// The items at `node`, which this arena gave.
    pub fn items(&self, node: Node) -> &[Value] {
        self.0.get(node.0).map_or(&[], Vec::as_slice)
    }
}

/// What a pickle holds, with every storage that it named and in the order of first mention.
#[derive(Debug)]
pub(super) struct Unpickled {
    pub value: Value,
    pub arena: Arena,
    pub storages: Vec<Rc<StorageRef>>,
}

/// Reads one pickle from `input` and stops behind it. The error says what is wrong with it.
pub(super) fn unpickle(input: &mut dyn Read) -> Result<Unpickled, String> {
    let mut machine = Machine {
        input: input.take(MAXIMUM_BYTES),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        arena: Arena::default(),
        storages: Vec::new(),
    };
    let value = machine.run()?;
    Ok(Unpickled { value, arena: machine.arena, storages: machine.storages })
}

struct Machine<'a> {
    input: std::io::Take<&'a mut dyn Read>,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    arena: Arena,
    storages: Vec<Rc<StorageRef>>,
}

type Step<T = ()> = Result<T, String>;

impl Machine<'_> {
    fn run(&mut self) -> Step<Value> {
        loop {
            let op = self.byte()?;
            match op {
                0x80 => {
                    let protocol = self.byte()?;
                    if protocol > 5 {
                        return Err(format!("pickle protocol {protocol}, expected at most 5"));
                    }
                }
                0x95 => drop(self.number::<8>()?), // FRAME: a hint about length
                b'.' => return self.pop(),
                b'(' => {
                    self.marks.push(self.stack.len());
                    self.bounded(self.marks.len())?;
                }
                b'0' => drop(self.pop()?),
                b'1' => drop(self.pop_to_mark()?),
                b'2' => {
                    let top = self.stack.last().cloned().ok_or("the stack is empty")?;
                    self.push(top)?;
                }
                b'N' => self.push(Value::Nothing)?,
                0x88 => self.push(Value::Bool(true))?,
                0x89 => self.push(Value::Bool(false))?,
                b'J' => {
                    let value = self.number::<4>()? as u32 as i32;
                    self.push(Value::Int(value.into()))?;
                }
                b'K' => {
                    let value = self.number::<1>()?;
                    self.push(Value::Int(value as i64))?;
                }
                b'M' => {
                    let value = self.number::<2>()?;
                    self.push(Value::Int(value as i64))?;
                }
                0x8a => {
                    let length = self.number::<1>()?;
                    self.long(length)?;
                }
                0x8b => {
                    let length = self.number::<4>()?;
                    self.long(length)?;
                }
                b'I' | b'L' => self.decimal()?,
                b'G' => {
                    self.number::<8>()?;
                    self.push(Value::Float)?;
                }
                b'F' => {
                    self.line()?;
                    self.push(Value::Float)?;
                }
                b'X' => self.text::<4>()?,
                0x8c => self.text::<1>()?,
                0x8d => self.text::<8>()?,
                b'T' => self.text::<4>()?,
                b'U' => self.text::<1>()?,
                b'B' => self.byte_string::<4>()?,
                b'C' => self.byte_string::<1>()?,
                0x8e | 0x96 => self.byte_string::<8>()?,
                b')' => self.push_new(Vec::new(), Value::Tuple)?,
                0x85..=0x87 => {
                    let count = usize::from(op - 0x84);
                    let start = self.stack.len().checked_sub(count).ok_or("the stack is too short for a tuple")?;
                    let items = self.stack.split_off(start);
                    self.push_new(items, Value::Tuple)?;
                }
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push_new(items, Value::Tuple)?;
                }
                b']' => self.push_new(Vec::new(), Value::List)?,
                b'l' => {
                    let items = self.pop_to_mark()?;
                    self.push_new(items, Value::List)?;
                }
                b'}' => self.push_new(Vec::new(), Value::Dict)?,
                b'd' => {
                    let items = self.pop_to_mark()?;
                    self.push_new(items, Value::Dict)?;
                }
                0x8f => self.push(Value::Inert("set".into()))?,
                0x90 => drop(self.pop_to_mark()?), // ADDITEMS: the set below stays inert
                0x91 => {
                    self.pop_to_mark()?;
                    self.push(Value::Inert("frozenset".into()))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend(vec![item])?;
                }
                b'e' | b'u' => {
                    let items = self.pop_to_mark()?;
                    self.extend(items)?;
                }
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.extend(vec![key, value])?;
                }
                b'q' => {
                    let slot = self.number::<1>()?;
                    self.memoise(slot)?;
                }
                b'r' => {
                    let slot = self.number::<4>()?;
                    self.memoise(slot)?;
                }
                0x94 => self.memoise(self.memo.len() as u64)?,
                b'h' => {
                    let slot = self.number::<1>()?;
                    self.recall(slot)?;
                }
                b'j' => {
                    let slot = self.number::<4>()?;
                    self.recall(slot)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(&module, &name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(name), Value::Text(module)) = (name, module) else {
                        return Err("a name that is no text".to_owned());
                    };
                    self.global(&module, &name)?;
                }
                b'R' | 0x81 => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    let result = self.call(&function, &arguments)?;
                    self.push(result)?;
                }
                0x92 => {
                    self.pop()?;
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    let result = self.call(&function, &arguments)?;
                    self.push(result)?;
                }
                b'b' => drop(self.pop()?), // BUILD: an object's state; nothing that is read here has one
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(&id)?;
                    self.push(storage)?;
                }
                other => return Err(format!("operation 0x{other:02x} is not one of a torch checkpoint")),
            }
        }
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.number::<1>()? as u8)
    }

    /// `N` bytes as a little-endian number.
    fn number<const N: usize>(&mut self) -> Step<u64> {
        let mut bytes = [0u8; 8];
        let target = bytes.get_mut(..N).ok_or("a number of more than 8 bytes")?;
        self.input.read_exact(target).map_err(|_| "the pickle is cut off")?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// `length` bytes; memory grows with what is there, not with what is claimed.
    fn bytes(&mut self, length: u64) -> Step<Vec<u8>> {
        if length > MAXIMUM_TEXT {
            return Err(format!("a text of {length} bytes, expected at most {MAXIMUM_TEXT}"));
        }
        let mut bytes = Vec::new();
        let found = (&mut self.input).take(length).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if found as u64 != length {
            return Err("the pickle is cut off".to_owned());
        }
        Ok(bytes)
    }

    fn line(&mut self) -> Step<String> {
        let mut bytes = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                _ if bytes.len() >= 4096 => return Err("a line of more than 4096 bytes".to_owned()),
                byte => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).map_err(|_| "a line that is not UTF-8".to_owned())
    }

    fn text<const N: usize>(&mut self) -> Step {
        let length = self.number::<N>()?;
        let text = String::from_utf8(self.bytes(length)?).map_err(|_| "a text that is not UTF-8")?;
        self.push(Value::Text(text.into()))
    }

    fn byte_string<const N: usize>(&mut self) -> Step {
        let length = self.number::<N>()?;
        self.bytes(length)?;
        self.push(Value::Bytes)
    }

    fn long(&mut self, length: u64) -> Step {
        let bytes = self.bytes(length)?;
        let value = if bytes.len() <= 8 {
            let fill = if bytes.last().is_some_and(|top| top & 0x80 != 0) { 0xff } else { 0 };
            let mut full = [fill; 8];
            full[..bytes.len()].copy_from_slice(&bytes);
            Value::Int(i64::from_le_bytes(full))
        } else {
            Value::Long(bytes.into())
        };
        self.push(value)
    }

    fn decimal(&mut self) -> Step {
        let line = self.line()?;
        let value = match line.as_str() {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            number => Value::Int(number.trim_end_matches('L').parse().map_err(|_| format!("\"{number}\" is no number"))?),
        };
        self.push(value)
    }

    fn bounded(&self, count: usize) -> Step {
        if count > MAXIMUM_VALUES { Err(format!("more than {MAXIMUM_VALUES} values")) } else { Ok(()) }
    }

    fn push(&mut self, value: Value) -> Step {
        self.stack.push(value);
        self.bounded(self.stack.len())
    }

    fn push_new(&mut self, items: Vec<Value>, kind: fn(Node) -> Value) -> Step {
        let node = self.arena.add(items);
        self.bounded(self.arena.0.len())?;
        self.push(kind(node))
    }

    /// The top of the stack; what lies below a mark cannot be reached past it.
    fn pop(&mut self) -> Step<Value> {
        if self.marks.last().is_some_and(|&mark| self.stack.len() <= mark) {
            return Err("a mark stands where a value is expected".to_owned());
        }
        self.stack.pop().ok_or_else(|| "the stack is empty".to_owned())
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Value>> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len()).ok_or("no mark on the stack")?;
        Ok(self.stack.split_off(mark))
    }

    /// Adds `items` to the container on top of the stack.
    fn extend(&mut self, items: Vec<Value>) -> Step {
        match self.stack.last() {
            Some(Value::List(node) | Value::Dict(node)) => {
                let container = self.arena.0.get_mut(node.0).ok_or("a container that does not exist")?;
                container.extend(items);
                Ok(())
            }
            Some(Value::Inert(_)) => Ok(()),
            _ => Err("items for something that is no list or dictionary".to_owned()),
        }
    }

    fn memoise(&mut self, slot: u64) -> Step {
        let slot = u32::try_from(slot).map_err(|_| "the memo is too large")?;
        let top = self.stack.last().cloned().ok_or("the stack is empty")?;
        self.memo.insert(slot, top);
        self.bounded(self.memo.len())
    }

    fn recall(&mut self, slot: u64) -> Step {
        let value = u32::try_from(slot).ok().and_then(|slot| self.memo.get(&slot)).cloned();
        self.push(value.ok_or_else(|| format!("memo {slot} was never set"))?)
    }

    fn global(&mut self, module: &str, name: &str) -> Step {
        let root = module.split('.').next().unwrap_or(module);
        let builtin = matches!(root, "builtins" | "__builtin__");
        let nested = (module, name) == ("torch.storage", "_load_from_bytes");
        if CODE_MODULES.contains(&root) || (builtin && CODE_BUILTINS.contains(&name)) || nested {
            return Err(format!("it wants to call {module}.{name}; a file of weights that runs code is not read"));
        }
        self.push(Value::Global(format!("{module}.{name}").into()))
    }

    /// The four functions that rebuild what a state_dict holds; everything else has no effect.
    fn call(&mut self, function: &Value, arguments: &Value) -> Step<Value> {
        let name = match function {
            Value::Global(name) => Rc::clone(name),
            Value::Inert(name) => return Ok(Value::Inert(Rc::clone(name))),
            other => return Err(format!("a call of {other:?}")),
        };
        let Value::Tuple(node) = arguments else {
            return Ok(Value::Inert(name));
        };
        let arguments = self.arena.items(*node);
        match &*name {
            "torch._utils._rebuild_tensor_v2" => self.tensor(arguments).map(|view| Value::Tensor(Rc::new(view))),
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                arguments.first().cloned().ok_or_else(|| "a parameter without a tensor".to_owned())
            }
            "collections.OrderedDict" => {
                let mut items = Vec::new();
                if let Some(Value::List(pairs)) = arguments.first() {
                    for pair in self.arena.items(*pairs) {
                        let (Value::List(pair) | Value::Tuple(pair)) = pair else { continue };
                        items.extend_from_slice(self.arena.items(*pair).get(..2).unwrap_or(&[]));
                    }
                }
                Ok(Value::Dict(self.arena.add(items)))
            }
            "torch.Size" => arguments.first().cloned().ok_or_else(|| "a size without sides".to_owned()),
            _ => Ok(Value::Inert(name)),
        }
    }

    /// (storage, offset, size, stride, …) of `_rebuild_tensor_v2`.
    fn tensor(&self, arguments: &[Value]) -> Step<StridedView> {
        let [Value::Storage(storage), Value::Int(offset), Value::Tuple(size), Value::Tuple(stride), ..] = arguments else {
            return Err("a tensor is not described by storage, offset, size and stride".to_owned());
        };
        let numbers = |node: Node| -> Step<Vec<i64>> {
            let number = |value: &Value| match value {
                Value::Int(number) => Ok(*number),
                other => Err(format!("a side of {other:?}")),
            };
            self.arena.items(node).iter().map(number).collect()
        };
        let offset = offset.checked_add(storage.offset).ok_or("an offset that is too large")?;
        let (shape, strides) = (numbers(*size)?, numbers(*stride)?);
        Ok(StridedView { dtype: storage.dtype, key: storage.key.clone(), offset, shape, strides })
    }

    /// ("storage", type, key, location, elements[, view]) of a persistent id.
    fn storage(&mut self, id: &Value) -> Step<Value> {
        let Value::Tuple(node) = id else { return Err("a persistent id that is no tuple".to_owned()) };
        let [Value::Text(kind), Value::Global(class), Value::Text(key), _, _, view @ ..] = self.arena.items(*node) else {
            return Err("a persistent id that is no storage".to_owned());
        };
        if &**kind != "storage" {
            return Err(format!("a persistent id of \"{kind}\", expected \"storage\""));
        }
        // The legacy format shares storages by (key of the view, offset, elements).
        let offset = match view.first() {
            Some(Value::Tuple(view)) => match self.arena.items(*view) {
                [_, Value::Int(offset), _] => *offset,
                _ => return Err("a view of a storage without an offset".to_owned()),
            },
            _ => 0,
        };
        let dtype = storage_type(class).ok_or_else(|| format!("a storage of {class}, which is not read"))?;
        let storage = Rc::new(StorageRef { dtype, key: key.to_string(), offset });
        if !self.storages.contains(&storage) {
            self.storages.push(Rc::clone(&storage));
        }
        Ok(Value::Storage(storage))
    }
}

fn storage_type(class: &str) -> Option<HostType> {
    Some(match class.strip_prefix("torch.")? {
        "FloatStorage" => HostType::F32,
        "DoubleStorage" => HostType::F64,
        "HalfStorage" => HostType::F16,
        "BFloat16Storage" => HostType::BF16,
        "LongStorage" => HostType::I64,
        "IntStorage" => HostType::I32,
        "ShortStorage" => HostType::I16,
        "CharStorage" => HostType::I8,
        "ByteStorage" => HostType::U8,
        "BoolStorage" => HostType::Bool,
        _ => return None,
    })
}
