//! A pickle machine that builds inert data and executes nothing.
//!
//! A pickle is a program for a stack machine: opcodes push scalars, collect them into containers, name globals and "call"
//! them. Python calls whatever is named; here a call is looked up in the short list of [`super::globals`] and anything else
//! makes an opaque object. Opcodes of protocols 2 to 5 as torch and Python's picklers emit them are understood, all others
//! are errors; [`super::limits`] bounds opcodes, stack, marks and memo.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::rc::Rc;

use super::fault::{Checked, Fault, zeroed};
use super::globals::{Callable, resolve};
use super::heap::{Heap, Node, Value};
use super::limits::{COPY_COST, MAX_GLOBAL_NAME, MAX_MARKS, MAX_MEMO, MAX_OPCODES, MAX_PICKLE_BYTES, MAX_STACK};
use super::rebuild::{self, StorageRef};

/// What a pickle held.
#[derive(Debug)]
pub(super) struct Pickled {
    pub heap: Heap,
    pub root: Value,
    /// Every storage that was referred to, by key.
    pub storages: BTreeMap<Rc<str>, StorageRef>,
}

/// Reads one pickle up to and with its STOP. `available` is the number of bytes that `input` can still give, so that a length
/// claimed beyond it is refused before memory is taken.
pub(super) fn read(input: impl Read, available: u64) -> Checked<Pickled> {
    let mut machine = Machine {
        input,
        remaining: available.min(MAX_PICKLE_BYTES),
        capped: available > MAX_PICKLE_BYTES,
        opcodes: 0,
        heap: Heap::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        storages: BTreeMap::new(),
    };
    let root = machine.run()?;
    Ok(Pickled { heap: machine.heap, root, storages: machine.storages })
}

struct Machine<R> {
    input: R,
    remaining: u64,
    /// The input is longer than a pickle may be, so its end is our limit's and not the file's.
    capped: bool,
    opcodes: u64,
    heap: Heap,
    stack: Vec<Value>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    storages: BTreeMap<Rc<str>, StorageRef>,
}

impl<R: Read> Machine<R> {
    fn run(&mut self) -> Checked<Value> {
        loop {
            self.spend(1)?;
            let opcode = self.byte()?;
            match opcode {
                b'.' => return self.pop(),
                // PROTO and FRAME say how the rest is written; neither matters for what it means.
                0x80 => {
                    let version = self.byte()?;
                    if !(2..=5).contains(&version) {
                        return Err(Fault::new(format!("pickle protocol {version} is not read, only 2 to 5 are")));
                    }
                }
                0x95 => self.skip(8)?,
                b'(' => {
                    if self.marks.len() >= MAX_MARKS {
                        return Err(Fault::new(format!("the pickle nests more than {MAX_MARKS} levels deep")));
                    }
                    self.marks.push(self.stack.len());
                }
                b'0' => drop(self.pop()?),
                b'1' => drop(self.pop_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.push(top)?;
                }
                b'N' => self.push(Value::None)?,
                0x88 => self.push(Value::Bool(true))?,
                0x89 => self.push(Value::Bool(false))?,
                b'J' => {
                    let number = i32::from_le_bytes(self.array()?);
                    self.push(Value::Int(number.into()))?;
                }
                b'K' => {
                    let number = self.byte()?;
                    self.push(Value::Int(number.into()))?;
                }
                b'M' => {
                    let number = u16::from_le_bytes(self.array()?);
                    self.push(Value::Int(number.into()))?;
                }
                b'G' => {
                    let number = f64::from_be_bytes(self.array()?);
                    self.push(Value::Float(number))?;
                }
                0x8a => {
                    let length = self.byte()?;
                    self.long(length.into())?;
                }
                0x8b => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.long(length.into())?;
                }
                // Python 2's str, mostly a key of a dict, and unicode.
                b'U' | 0x8c => {
                    let length = self.byte()?;
                    self.text(length.into())?;
                }
                b'T' | b'X' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.text(length.into())?;
                }
                0x8d => {
                    let length = u64::from_le_bytes(self.array()?);
                    self.text(length)?;
                }
                b'C' => {
                    let length = self.byte()?;
                    self.bytes(length.into())?;
                }
                b'B' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.bytes(length.into())?;
                }
                0x8e | 0x96 => {
                    let length = u64::from_le_bytes(self.array()?);
                    self.bytes(length)?;
                }
                b'}' => self.add(Node::Dict(Vec::new()))?,
                b']' | 0x8f => self.add(Node::List(Vec::new()))?,
                b')' => self.add(Node::Tuple([].into()))?,
                0x85..=0x87 => {
                    let start = self.operands(usize::from(opcode - 0x84))?;
                    let items = self.stack.split_off(start);
                    self.add(Node::Tuple(items.into()))?;
                }
                b't' => {
                    let items = self.pop_mark()?;
                    self.add(Node::Tuple(items.into()))?;
                }
                b'l' | 0x91 => {
                    let items = self.pop_mark()?;
                    self.add(Node::List(items))?;
                }
                b'd' => {
                    let items = self.pop_mark()?;
                    self.add(Node::Dict(Vec::new()))?;
                    self.set_items(items)?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_mark()?;
                    self.append(items)?;
                }
                b's' => {
                    let start = self.operands(2)?;
                    let items = self.stack.split_off(start);
                    self.set_items(items)?;
                }
                b'u' => {
                    let items = self.pop_mark()?;
                    self.set_items(items)?;
                }
                b'h' => {
                    let index = self.byte()?;
                    self.recall(index.into())?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.recall(index)?;
                }
                b'q' => {
                    let index = self.byte()?;
                    self.memorise(index.into())?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.memorise(index)?;
                }
                0x94 => {
                    // The memo holds fewer entries than opcodes were spent, which fits u32.
                    let index = self.memo.len() as u32;
                    self.memorise(index)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    let global = resolve(&module, &name)?;
                    self.add(Node::Callable(global))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Some(module), Some(name)) = (self.heap.text(module), self.heap.text(name)) else {
                        return Err(Fault::new("the pickle names a global by something else than two texts"));
                    };
                    if module.len().max(name.len()) > MAX_GLOBAL_NAME {
                        return Err(Fault::new(format!("a global's name has more than {MAX_GLOBAL_NAME} bytes")));
                    }
                    let global = resolve(module, name)?;
                    self.add(Node::Callable(global))?;
                }
                // REDUCE, NEWOBJ and NEWOBJ_EX differ only in how Python would call.
                b'R' | 0x81 => {
                    let (arguments, callable) = (self.pop()?, self.pop()?);
                    self.call(callable, arguments)?;
                }
                0x92 => {
                    let (_keywords, arguments, callable) = (self.pop()?, self.pop()?, self.pop()?);
                    self.call(callable, arguments)?;
                }
                // BUILD sets Python attributes; no weights are in them.
                b'b' => drop(self.pop()?),
                b'Q' => self.persistent()?,
                _ => {
                    return Err(Fault::new(format!(
                        "pickle opcode 0x{opcode:02x} is not read; torch.save does not write it (damaged, or another program's pickle)"
                    )));
                }
            }
        }
    }

    /// Performs a call: known functions on checked arguments, anything else without effect.
    fn call(&mut self, callable: Value, arguments: Value) -> Checked<()> {
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
                let pairs = items.iter().find_map(|&item| self.heap.sequence(item)).unwrap_or_default();
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
    fn persistent(&mut self) -> Checked<()> {
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

    fn append(&mut self, items: Vec<Value>) -> Checked<()> {
        let target = self.top()?;
        match self.heap.node_mut(target) {
            Some(Node::List(list)) => list.extend(items),
            Some(Node::Opaque(_)) => {}
            _ => return Err(Fault::new(format!("the pickle appends to {}", self.heap.describe(target)))),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> Checked<()> {
        let target = self.top()?;
        if items.len() % 2 != 0 {
            return Err(Fault::new("the pickle fills a dict with a key that has no value"));
        }
        match self.heap.node_mut(target) {
            Some(Node::Dict(entries)) => entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            Some(Node::Opaque(_)) => {}
            _ => return Err(Fault::new(format!("the pickle sets items of {}", self.heap.describe(target)))),
        }
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Checked<()> {
        let value = self.memo.get(&index).copied();
        self.push(value.ok_or_else(|| Fault::new(format!("the pickle recalls memo {index}, which it never stored")))?)
    }

    fn memorise(&mut self, index: u32) -> Checked<()> {
        if index > MAX_MEMO {
            return Err(Fault::new(format!("the pickle stores memo {index}; at most {MAX_MEMO} are kept")));
        }
        let value = self.top()?;
        self.memo.insert(index, value);
        Ok(())
    }

    /// Pushes an integer of `length` little-endian bytes in two's complement.
    fn long(&mut self, length: u64) -> Checked<()> {
        if length > 8 {
            // Random states and the like; no length or index is that large.
            self.skip(length)?;
            return self.add(Node::Opaque("int".into()));
        }
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut word = [if negative { 0xff } else { 0 }; 8];
        word[..bytes.len()].copy_from_slice(&bytes);
        self.push(Value::Int(i64::from_le_bytes(word)))
    }

    fn text(&mut self, length: u64) -> Checked<()> {
        let bytes = self.take(length)?;
        // A Python 2 str may hold any bytes; it is no name of a tensor then, and its exact content is not needed.
        let text =
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        self.add(Node::Text(text.into()))
    }

    /// Skips raw bytes: numpy arrays, random states. No weights are in them.
    fn bytes(&mut self, length: u64) -> Checked<()> {
        self.skip(length)?;
        self.add(Node::Opaque("bytes".into()))
    }

    fn add(&mut self, node: Node) -> Checked<()> {
        let value = self.heap.add(node);
        self.push(value)
    }

    fn push(&mut self, value: Value) -> Checked<()> {
        if self.stack.len() >= MAX_STACK {
            return Err(Fault::new(format!("the pickle stacks more than {MAX_STACK} values")));
        }
        self.stack.push(value);
        Ok(())
    }

    /// Where the top `count` values begin, none of which may lie below the last mark.
    fn operands(&self, count: usize) -> Checked<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(count).filter(|&start| start >= floor);
        start.ok_or_else(|| Fault::new("the pickle takes more values than it has stacked"))
    }

    fn pop(&mut self) -> Checked<Value> {
        let start = self.operands(1)?;
        let top = self.stack.get(start).copied().unwrap_or(Value::None);
        self.stack.truncate(start);
        Ok(top)
    }

    fn top(&self) -> Checked<Value> {
        let start = self.operands(1)?;
        Ok(self.stack.get(start).copied().unwrap_or(Value::None))
    }

    fn pop_mark(&mut self) -> Checked<Vec<Value>> {
        // A mark's height never exceeds the stack's, because nothing is popped from below the last mark.
        let start = self.marks.pop().ok_or_else(|| Fault::new("the pickle closes a mark that it never set"))?;
        Ok(self.stack.split_off(start.min(self.stack.len())))
    }

    fn spend(&mut self, opcodes: u64) -> Checked<()> {
        self.opcodes += opcodes;
        if self.opcodes > MAX_OPCODES {
            return Err(Fault::new(format!("the pickle has more than {MAX_OPCODES} opcodes")));
        }
        Ok(())
    }

    /// Counts `length` bytes as read.
    fn consume(&mut self, length: u64) -> Checked<()> {
        self.remaining = self.remaining.checked_sub(length).ok_or_else(|| {
            Fault::new(match self.capped {
                true => format!("the pickle has more than {MAX_PICKLE_BYTES} bytes"),
                false => {
                    format!("the pickle is truncated: it wants {length} more bytes and {} are left", self.remaining)
                }
            })
        })?;
        Ok(())
    }

    fn byte(&mut self) -> Checked<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Checked<[u8; N]> {
        self.consume(N as u64)?;
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn take(&mut self, length: u64) -> Checked<Vec<u8>> {
        self.consume(length)?;
        let mut bytes = zeroed(length as usize)?;
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self, length: u64) -> Checked<()> {
        self.consume(length)?;
        let skipped = std::io::copy(&mut self.input.by_ref().take(length), &mut std::io::sink())?;
        match skipped == length {
            true => Ok(()),
            false => Err(Fault::new("the pickle is truncated")),
        }
    }

    /// A line of a GLOBAL, without its line feed.
    fn line(&mut self) -> Checked<String> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                byte => line.push(byte),
            }
            if line.len() > MAX_GLOBAL_NAME {
                return Err(Fault::new(format!("a global's name has more than {MAX_GLOBAL_NAME} bytes")));
            }
        }
        String::from_utf8(line).map_err(|_| Fault::new("a global's name is not UTF-8"))
    }
}
