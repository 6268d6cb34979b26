//! The machine's stack with its marks, the memo, and the containers that are filled from the stack.

use super::Machine;
use crate::model::weights::fault::{Checked, Fault};
use crate::model::weights::heap::{Node, Value};
use crate::model::weights::limits::{MAX_MARKS, MAX_MEMO, MAX_OPCODES, MAX_STACK};

impl<R> Machine<R> {
    pub(super) fn append(&mut self, items: Vec<Value>) -> Checked<()> {
        let target = self.top()?;
        match self.heap.node_mut(target) {
            Some(Node::List(list)) => list.extend(items),
            Some(Node::Opaque(_)) => {}
            _ => return Err(Fault::new(format!("the pickle appends to {}", self.heap.describe(target)))),
        }
        Ok(())
    }

    pub(super) fn set_items(&mut self, items: Vec<Value>) -> Checked<()> {
        let target = self.top()?;
        if !items.len().is_multiple_of(2) {
            return Err(Fault::new("the pickle fills a dict with a key that has no value"));
        }
        match self.heap.node_mut(target) {
            Some(Node::Dict(entries)) => entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            Some(Node::Opaque(_)) => {}
            _ => return Err(Fault::new(format!("the pickle sets items of {}", self.heap.describe(target)))),
        }
        Ok(())
    }

    pub(super) fn recall(&mut self, index: u32) -> Checked<()> {
        let value = self.memo.get(&index).copied();
        self.push(value.ok_or_else(|| Fault::new(format!("the pickle recalls memo {index}, which it never stored")))?)
    }

    pub(super) fn memorise(&mut self, index: u32) -> Checked<()> {
        if index > MAX_MEMO {
            return Err(Fault::new(format!("the pickle stores memo {index}; at most {MAX_MEMO} are kept")));
        }
        let value = self.top()?;
        self.memo.insert(index, value);
        Ok(())
    }

    pub(super) fn add(&mut self, node: Node) -> Checked<()> {
        let value = self.heap.add(node);
        self.push(value)
    }

    pub(super) fn push(&mut self, value: Value) -> Checked<()> {
        if self.stack.len() >= MAX_STACK {
            return Err(Fault::new(format!("the pickle stacks more than {MAX_STACK} values")));
        }
        self.stack.push(value);
        Ok(())
    }

    /// Where the top `count` values begin, none of which may lie below the last mark.
    pub(super) fn operands(&self, count: usize) -> Checked<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(count).filter(|&start| start >= floor);
        start.ok_or_else(|| Fault::new("the pickle takes more values than it has stacked"))
    }

    pub(super) fn pop(&mut self) -> Checked<Value> {
        let start = self.operands(1)?;
        let top = self.stack.get(start).copied().unwrap_or(Value::None);
        self.stack.truncate(start);
        Ok(top)
    }

    pub(super) fn top(&self) -> Checked<Value> {
        let start = self.operands(1)?;
        Ok(self.stack.get(start).copied().unwrap_or(Value::None))
    }

    pub(super) fn mark(&mut self) -> Checked<()> {
        if self.marks.len() >= MAX_MARKS {
            return Err(Fault::new(format!("the pickle nests more than {MAX_MARKS} levels deep")));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    pub(super) fn pop_mark(&mut self) -> Checked<Vec<Value>> {
        // A mark's height never exceeds the stack's, because nothing is popped from below the last mark.
        let start = self.marks.pop().ok_or_else(|| Fault::new("the pickle closes a mark that it never set"))?;
        Ok(self.stack.split_off(start.min(self.stack.len())))
    }

    pub(super) fn spend(&mut self, opcodes: u64) -> Checked<()> {
        self.opcodes += opcodes;
        if self.opcodes > MAX_OPCODES {
            return Err(Fault::new(format!("the pickle has more than {MAX_OPCODES} opcodes")));
        }
        Ok(())
    }
}
