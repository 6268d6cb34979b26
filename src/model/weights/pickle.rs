//! A pickle machine that builds inert data and executes nothing.
//!
//! A pickle is a program for a stack machine: opcodes push scalars, collect them into containers, name globals and "call"
//! them. Python calls whatever is named; here a call is looked up in the short list of [`super::globals`] and anything else
//! makes an opaque object. Opcodes of protocols 2 to 5 as torch and Python's picklers emit them are understood, all others
//! are errors; [`super::limits`] bounds opcodes, stack, marks and memo.

mod call;
mod input;
mod stack;

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::rc::Rc;

use super::fault::{Checked, Fault};
use super::globals::resolve;
use super::heap::StorageRef;
use super::heap::{Heap, Node, Value};
use super::limits::{MAX_GLOBAL_NAME, MAX_PICKLE_BYTES};

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
                b'(' => self.mark()?,
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
}
