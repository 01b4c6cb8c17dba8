//! What pickles of PyTorch are made of.

use std::{collections::HashSet, rc::Rc};

use anyhow::{Context, Result, ensure};
use burn::tensor::DType;

/// The number of a node.
pub(super) type Id = usize;

/// A value. Texts are shared, so that a file cannot make many of one.
#[derive(Debug)]
pub(super) enum PickleNode {
    None,
    Bool(bool),
    Int(i64),
    Text(Rc<str>),
    /// A value that nothing here looks at.
    Other,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values in the order of the file.
    Dict(Vec<(Id, Id)>),
    /// A class or function by its name, with that of its module.
    Class(Rc<str>),
    Storage(Storage),
    Tensor(Box<View>),
    Object(Box<Object>),
}

impl PickleNode {
    /// The key of a dictionary, as a name.
    pub(super) fn key(&self) -> Option<Rc<str>> {
        match self {
            Self::Text(key) => Some(key.clone()),
            Self::Int(key) => Some(key.to_string().into()),
            _ => None,
        }
    }
}

/// An object of a class that is not known.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) class: Rc<str>,
    /// What it was made of.
    pub(super) parts: Vec<Id>,
    /// Its attributes.
    pub(super) state: Option<Id>,
    /// Its items, if it is a kind of dictionary.
    pub(super) items: Vec<(Id, Id)>,
}

/// The type of the numbers of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    /// Bytes of a number; 0 where it is not known.
    pub(super) size: usize,
    /// Set where the numbers can be weights.
    pub(super) float: Option<DType>,
}

impl Element {
    /// The type that `torch.FloatStorage` or `torch.float32` has.
    pub(super) fn of_class(class: &str) -> Self {
        let name = class.rsplit('.').next().unwrap_or(class);
        let name = name.strip_suffix("Storage").unwrap_or(name);
        let (size, float) = match name {
            "Float" | "float32" | "float" => (4, Some(DType::F32)),
            "Double" | "float64" | "double" => (8, Some(DType::F64)),
            "Half" | "float16" | "half" => (2, Some(DType::F16)),
            "BFloat16" | "bfloat16" => (2, Some(DType::BF16)),
            "ComplexDouble" | "complex128" => (16, None),
            "Long" | "ComplexFloat" | "int64" | "uint64" | "complex64" => (8, None),
            "Int" | "QInt32" | "int32" | "uint32" => (4, None),
            "Short" | "int16" | "uint16" => (2, None),
            "Char" | "Byte" | "Bool" | "QInt8" | "QUInt8" | "Untyped" | "int8" | "uint8"
            | "bool" => (1, None),
            _ => (0, None),
        };
        Self {
            // Files can say anything, over and over.
            name: name.chars().take(40).collect(),
            size,
            float,
        }
    }
}

/// Numbers that lie outside the pickle.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    pub(super) key: Rc<str>,
    pub(super) element: Element,
    /// How many numbers the file says that there are.
    pub(super) numbers: usize,
    /// At which number it begins.
    pub(super) begin: usize,
}

/// A tensor: numbers of a storage, by its strides.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) storage: Rc<str>,
    pub(super) element: Element,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    strides: Vec<usize>,
    /// One more than the last number of the storage that it reads.
    pub(super) end: usize,
    /// How many numbers it has.
    pub(super) numbers: usize,
}

impl View {
    /// Checks that a tensor lies within its storage.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn new(
        storage: Storage,
        element: Element,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Result<Self> {
        let too_large = || format!("a tensor of shape {shape:?} is too large");
        ensure!(
            shape.len() == strides.len(),
            "a tensor of shape {shape:?} has {} strides",
            strides.len()
        );
        let numbers = shape
            .iter()
            .try_fold(1_usize, |all, &size| all.checked_mul(size));
        let numbers = numbers.with_context(too_large)?;
        let offset = offset.checked_add(storage.begin).with_context(too_large)?;
        let mut end = Some(offset);
        if numbers > 0 {
            for (size, stride) in shape.iter().zip(&strides) {
                let reach = (size - 1).checked_mul(*stride);
                end = end
                    .zip(reach)
                    .and_then(|(end, reach)| end.checked_add(reach));
            }
            end = end.and_then(|end| end.checked_add(1));
        }
        let end = end.with_context(too_large)?;
        // An untyped storage says its length in bytes.
        let unit = storage.element.size.max(1);
        let bytes = storage.numbers.saturating_mul(unit);
        ensure!(
            end.saturating_mul(element.size.max(1)) <= bytes,
            "a tensor of shape {shape:?} reaches beyond its {} numbers",
            storage.numbers
        );
        Ok(Self {
            storage: storage.key,
            element,
            offset,
            shape,
            strides,
            end,
            numbers,
        })
    }

    /// Whether two tensors of one storage have numbers in common.
    pub(super) fn shares(&self, other: &Self) -> bool {
        if (self.offset, &self.shape, &self.strides) == (other.offset, &other.shape, &other.strides)
        {
            return true;
        }
        let read: HashSet<usize> = self.indices().collect();
        other.indices().any(|index| read.contains(&index))
    }

    /// Which numbers of the storage it reads, in its own order.
    pub(super) fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.numbers).map(|mut rest| {
            let mut index = self.offset;
            for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
                index += (rest % size) * stride;
                rest /= size;
            }
            index
        })
    }
}
