//! What the machine reads: bytes counted against what the file still has, and the literals made of them.

use std::io::Read;

use super::Machine;
use crate::model::weights::fault::{Checked, Fault, zeroed};
use crate::model::weights::heap::{Node, Value};
use crate::model::weights::limits::{MAX_GLOBAL_NAME, MAX_PICKLE_BYTES};

impl<R: Read> Machine<R> {
    /// Pushes an integer of `length` little-endian bytes in two's complement.
    pub(super) fn long(&mut self, length: u64) -> Checked<()> {
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

    pub(super) fn text(&mut self, length: u64) -> Checked<()> {
        let bytes = self.take(length)?;
        // A Python 2 str may hold any bytes; it is no name of a tensor then, and its exact content is not needed.
        let text =
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        self.add(Node::Text(text.into()))
    }

    /// Skips raw bytes: numpy arrays, random states. No weights are in them.
    pub(super) fn bytes(&mut self, length: u64) -> Checked<()> {
        self.skip(length)?;
        self.add(Node::Opaque("bytes".into()))
    }

    /// Counts `length` bytes as read.
    pub(super) fn consume(&mut self, length: u64) -> Checked<()> {
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

    pub(super) fn byte(&mut self) -> Checked<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Checked<[u8; N]> {
        self.consume(N as u64)?;
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn take(&mut self, length: u64) -> Checked<Vec<u8>> {
        self.consume(length)?;
        let mut bytes = zeroed(length as usize)?;
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn skip(&mut self, length: u64) -> Checked<()> {
        self.consume(length)?;
        let skipped = std::io::copy(&mut self.input.by_ref().take(length), &mut std::io::sink())?;
        match skipped == length {
            true => Ok(()),
            false => Err(Fault::new("the pickle is truncated")),
        }
    }

    /// A line of a GLOBAL, without its line feed.
    pub(super) fn line(&mut self) -> Checked<String> {
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
