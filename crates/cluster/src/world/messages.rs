use std::sync::Arc;

use influence_core::{Error as CoreError, Result as CoreResult, summation::Sums};
use ndarray::{ArrayD, IxDyn};

use super::transport::{RankPlace, Transport};
use crate::{Error, Result};

/// What processes say to each other, in messages of bounded length.
#[derive(Debug)]
pub(super) struct Messages {
    transport: Arc<dyn Transport>,
    /// The most bytes of a message.
    cut: usize,
}

impl Messages {
    pub(super) fn new(transport: Arc<dyn Transport>, cut: usize) -> Self {
        Self { transport, cut }
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    pub(super) fn place(&self) -> RankPlace {
        self.transport.place()
    }

    fn send(&self, to: usize, bytes: &[u8]) {
        for piece in bytes.chunks(self.cut) {
            self.transport.send(to, piece);
        }
    }

    fn receive(&self, from: usize, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(self.cut) {
            self.transport.receive(from, piece);
        }
    }

    fn broadcast(&self, from: usize, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(self.cut) {
            self.transport.broadcast(from, piece);
        }
    }

    /// What a process says, in all processes.
    fn told(&self, from: usize, text: &str) -> Vec<u8> {
        let mut length = (text.len() as u64).to_le_bytes();
        self.broadcast(from, &mut length);
        let mut said = text.as_bytes().to_vec();
        said.resize(whole(u64::from_le_bytes(length)), 0);
        self.broadcast(from, &mut said);
        said
    }

    /// Refuses what rank 0 has otherwise; entries are compared by their names, in order.
    pub(super) fn check_same(&self, entries: &[(&str, String)]) -> Result<()> {
        /// Separates entries, and names from values: in no text.
        const ENDS: [char; 2] = ['\u{1e}', '\u{1f}'];
        let mut own = String::new();
        for (name, value) in entries {
            own.push_str(name);
            own.push(ENDS[1]);
            own.push_str(value);
            own.push(ENDS[0]);
        }
        let first = self.told(0, &own);
        if first == own.as_bytes() {
            return Ok(());
        }
        let first = String::from_utf8_lossy(&first).into_owned();
        let first = first.split_terminator(ENDS[0]);
        let first: Vec<(&str, &str)> = first.filter_map(|it| it.split_once(ENDS[1])).collect();
        let value = |name: &str| first.iter().find(|(other, _)| *other == name);
        let absent = || ("settings", "other ones".to_owned(), "these".to_owned());
        let different = entries.iter().find_map(|(name, own)| match value(name) {
            Some((_, first)) if first == own => None,
            first => {
                let first = first.map_or("absent", |(_, first)| first);
                Some((*name, first.to_owned(), own.clone()))
            }
        });
        let (key, first, own) = different.unwrap_or_else(absent);
        Err(Error::Different {
            rank: self.place().rank,
            key: key.to_owned(),
            first,
            own,
        })
    }

    /// The first process of which this is true, if there is one.
    pub(super) fn first_with(&self, own: bool) -> Option<usize> {
        (0..self.place().size).find(|&rank| {
            let mut told = [u8::from(own)];
            self.broadcast(rank, &mut told);
            told != [0]
        })
    }

    /// Sends sums to a process.
    pub(super) fn send_sums(&self, to: usize, sums: &Sums) {
        let header = header(sums);
        self.send(to, &(header.len() as u64).to_le_bytes());
        self.send(to, &header);
        for array in sums {
            self.send(to, bytemuck::cast_slice(&numbers(array)));
        }
    }

    /// Receives sums from a process.
    pub(super) fn receive_sums(&self, from: usize) -> CoreResult<Sums> {
        let mut length = [0; 8];
        self.receive(from, &mut length);
        let mut header = vec![0; whole(u64::from_le_bytes(length))];
        self.receive(from, &mut header);
        let arrays = shapes(&header).into_iter().map(|shape| {
            let mut numbers = vec![0.0; shape.iter().product()];
            self.receive(from, bytemuck::cast_slice_mut(&mut numbers));
            array(&shape, numbers)
        });
        arrays.collect()
    }

    /// Gives all processes the sums of one, which has them.
    pub(super) fn broadcast_sums(&self, from: usize, sums: Option<Sums>) -> CoreResult<Sums> {
        let mut header = sums.as_ref().map(header).unwrap_or_default();
        let mut length = (header.len() as u64).to_le_bytes();
        self.broadcast(from, &mut length);
        header.resize(whole(u64::from_le_bytes(length)), 0);
        self.broadcast(from, &mut header);
        let mut sums = sums.map(Vec::into_iter);
        let arrays = shapes(&header).into_iter().map(|shape| {
            let own = sums.as_mut().and_then(Iterator::next);
            let mut numbers = match &own {
                Some(own) => numbers(own),
                None => vec![0.0; shape.iter().product()],
            };
            drop(own);
            self.broadcast(from, bytemuck::cast_slice_mut(&mut numbers));
            array(&shape, numbers)
        });
        arrays.collect()
    }
}

/// The numbers of an array, the last axis first.
fn numbers(array: &ArrayD<f64>) -> Vec<f64> {
    array.iter().copied().collect()
}

fn array(shape: &[usize], numbers: Vec<f64>) -> CoreResult<ArrayD<f64>> {
    let array = ArrayD::from_shape_vec(IxDyn(shape), numbers);
    array.map_err(|error| CoreError::backend("sum of ranks", error))
}

/// The shapes of sums: for each array the number of its axes and their lengths.
fn header(sums: &Sums) -> Vec<u8> {
    let shapes = sums.iter().flat_map(|array| {
        let axes = std::iter::once(array.ndim());
        axes.chain(array.shape().iter().copied())
    });
    shapes
        .flat_map(|length| (length as u64).to_le_bytes())
        .collect()
}

fn shapes(header: &[u8]) -> Vec<Vec<usize>> {
    let words = header.chunks_exact(8).map(|word| {
        let bytes = word.try_into().unwrap_or_default();
        whole(u64::from_le_bytes(bytes))
    });
    let mut words = words;
    let mut shapes = Vec::new();
    while let Some(axes) = words.next() {
        shapes.push(words.by_ref().take(axes).collect());
    }
    shapes
}

/// A length of something in memory.
fn whole(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
