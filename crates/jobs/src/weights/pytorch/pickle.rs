//! Python's pickles, as far as `torch.save` writes them: a tree is read, nothing is ever called.
//!
//! Values are nodes of one table and refer to each other by number, as Python's objects do by
//! address: what a file names twice is one node, and memory grows with the length of the file
//! alone.

mod objects;
mod scalars;

use std::{
    collections::HashMap,
    io::{self, BufRead, Read},
};

use anyhow::{Context, Result, bail, ensure};

use super::object::{Id, PickleNode, Storage};
use scalars::{bytes, length, line, number, text};

/// No file of weights has as many values; each takes some tens of bytes.
const MOST_NODES: usize = 1 << 21;

/// The values of a pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    nodes: Vec<PickleNode>,
    /// The value that was pickled.
    pub(super) root: Id,
}

impl Pickle {
    /// Reads a pickle, to its end and no further.
    ///
    /// # Errors
    /// When it is cut short, is no pickle, or describes tensors that cannot be.
    pub(super) fn read(input: &mut impl BufRead) -> Result<Self> {
        let mut machine = Machine::default();
        while machine.step(input)? {}
        let root = machine.pop()?;
        Ok(Self {
            nodes: machine.nodes,
            root,
        })
    }

    pub(super) fn node(&self, id: Id) -> &PickleNode {
        &self.nodes[id]
    }

    pub(super) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.nodes.iter().filter_map(|node| match node {
            PickleNode::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}

/// What builds the values, as Python does: a stack, marks in it, and values that are kept by
/// number.
#[derive(Default)]
struct Machine {
    nodes: Vec<PickleNode>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine {
    /// Takes one instruction; `false` at the end.
    fn step(&mut self, input: &mut impl BufRead) -> Result<bool> {
        let [code] = bytes(input)?;
        match code {
            b'.' => return Ok(false),
            0x80 => {
                let [version] = bytes(input)?;
                ensure!(
                    version <= 5,
                    "protocol {version} of pickles is not known, 5 is the last"
                );
            }
            0x95 => {
                let _: [u8; 8] = bytes(input)?;
            }
            b'N' | b'F' | b'G' | b'B' | b'C' | 0x8e | 0x96 => self.skipped(code, input)?,
            0x88 => self.push(PickleNode::Bool(true))?,
            0x89 => self.push(PickleNode::Bool(false))?,
            b'I' | b'L' | b'J' | b'K' | b'M' | 0x8a | 0x8b => {
                let number = number(code, input)?;
                self.push(number)?;
            }
            b'V' | b'S' | b'X' | b'T' | b'U' | 0x8c | 0x8d => {
                let text = text(code, input)?;
                self.push(PickleNode::Text(text.into()))?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b')'
            | b']'
            | b'}'
            | b't'
            | b'l'
            | b'd'
            | b'a'
            | b'e'
            | b's'
            | b'u'
            | 0x85..=0x87
            | 0x8f..=0x91 => self.collection(code)?,
            b'0' | b'1' | b'2' => self.discard(code)?,
            b'g' | b'h' | b'j' | b'p' | b'q' | b'r' | 0x94 => self.remember(code, input)?,
            b'c' | 0x93 => self.global(code, input)?,
            b'R' | b'b' | b'Q' | 0x81 | 0x92 => self.object(code)?,
            other => bail!("unexpected byte {other:#04x} in a pickle"),
        }
        Ok(true)
    }

    fn push(&mut self, node: PickleNode) -> Result<()> {
        ensure!(
            self.nodes.len() < MOST_NODES,
            "the pickle has more than {MOST_NODES} values"
        );
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id> {
        let below = self.marks.last().copied().unwrap_or(0);
        ensure!(
            self.stack.len() > below,
            "the pickle uses a value that does not exist"
        );
        self.stack
            .pop()
            .context("the pickle uses a value that does not exist")
    }

    fn top(&self) -> Result<Id> {
        let top = self.stack.last().copied();
        top.context("the pickle uses a value that does not exist")
    }

    fn above_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().context("the pickle lacks a mark")?;
        ensure!(mark <= self.stack.len(), "the pickle lacks a mark");
        Ok(self.stack.split_off(mark))
    }

    /// Values that nothing here looks at: none, floating-point numbers, bytes.
    fn skipped(&mut self, code: u8, input: &mut impl BufRead) -> Result<()> {
        match code {
            b'F' => drop(line(input)?),
            b'G' => {
                let _: [u8; 8] = bytes(input)?;
            }
            b'B' | b'C' | 0x8e | 0x96 => {
                let length = length(code, input)?;
                let read = io::copy(&mut input.take(length), &mut io::sink())?;
                ensure!(read == length, "the pickle is cut short");
            }
            _ => return self.push(PickleNode::None),
        }
        self.push(PickleNode::Other)
    }

    fn collection(&mut self, code: u8) -> Result<()> {
        match code {
            b')' => self.push(PickleNode::Tuple(Vec::new())),
            b']' | 0x8f => self.push(PickleNode::List(Vec::new())),
            b'}' => self.push(PickleNode::Dict(Vec::new())),
            b't' => {
                let items = self.above_mark()?;
                self.push(PickleNode::Tuple(items))
            }
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
                items.reverse();
                self.push(PickleNode::Tuple(items))
            }
            b'l' | 0x91 => {
                let items = self.above_mark()?;
                self.push(PickleNode::List(items))
            }
            b'd' => {
                let pairs = pairs(&self.above_mark()?)?;
                self.push(PickleNode::Dict(pairs))
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            b'e' | 0x90 => {
                let items = self.above_mark()?;
                self.append(items)
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(vec![(key, value)])
            }
            _ => {
                let pairs = pairs(&self.above_mark()?)?;
                self.insert(pairs)
            }
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            PickleNode::List(list) => list.extend(items),
            PickleNode::Object(object) => object.parts.extend(items),
            _ => bail!("the pickle appends to what is no list"),
        }
        Ok(())
    }

    fn insert(&mut self, pairs: Vec<(Id, Id)>) -> Result<()> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            PickleNode::Dict(dict) => dict.extend(pairs),
            PickleNode::Object(object) => object.items.extend(pairs),
            _ => bail!("the pickle sets items of something that is not a dictionary"),
        }
        Ok(())
    }

    fn discard(&mut self, code: u8) -> Result<()> {
        match code {
            b'1' => drop(self.above_mark()?),
            b'2' => {
                let top = self.top()?;
                // Python's own pickles have no such instruction; without a bound it would grow what
                // is read.
                ensure!(self.stack.len() < MOST_NODES, "the pickle is too large");
                self.stack.push(top);
            }
            _ if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
            }
            _ => {
                self.pop()?;
            }
        }
        Ok(())
    }

    fn remember(&mut self, code: u8, input: &mut impl BufRead) -> Result<()> {
        let number = match code {
            b'g' | b'p' => line(input)?.trim().parse()?,
            b'h' | b'q' => u32::from(bytes::<1>(input)?[0]),
            b'j' | b'r' => u32::from_le_bytes(bytes(input)?),
            _ => u32::try_from(self.memo.len())?,
        };
        if matches!(code, b'g' | b'h' | b'j') {
            let id = self.memo.get(&number).copied();
            let id = id.context("the pickle refers to a value that does not exist")?;
            ensure!(self.stack.len() < MOST_NODES, "the pickle is too large");
            self.stack.push(id);
        } else {
            self.memo.insert(number, self.top()?);
        }
        Ok(())
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>> {
    ensure!(
        items.len().is_multiple_of(2),
        "the pickle has a key without a value"
    );
    Ok(items
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect())
}
