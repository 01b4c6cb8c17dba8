//! The filters of numcodecs that are arithmetic on the numbers of a chunk: differences, and numbers
//! scaled to small integers. For reading.
//!
//! They stand in place of the codec that makes bytes of numbers, so that a chunk that was never
//! written holds fill values and not filtered ones.

use serde_json::{Value, json};

/// The names of the filters in metadata.
const DELTA: [&str; 2] = ["delta", "numcodecs.delta"];
const SCALED: [&str; 2] = ["fixedscaleoffset", "numcodecs.fixedscaleoffset"];

/// Whether this is one of the filters.
pub(super) fn is_filter(name: &str) -> bool {
    DELTA.contains(&name) || SCALED.contains(&name)
}

/// A type of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NumberType {
    letter: char,
    size: usize,
    big: bool,
}

impl NumberType {
    /// From the name that numpy gives it, such as `<f8`.
    fn of(text: &str) -> Result<Self, String> {
        let known = || {
            let order = text.strip_prefix(['<', '>', '|', '=']);
            let rest = order.unwrap_or(text);
            let mut letters = rest.chars();
            let kind = Self {
                letter: letters.next()?,
                size: letters.as_str().parse().ok()?,
                big: text.starts_with('>'),
            };
            let sizes: &[usize] = match kind.letter {
                'f' => &[4, 8],
                'i' | 'u' => &[1, 2, 4, 8],
                _ => return None,
            };
            sizes.contains(&kind.size).then_some(kind)
        };
        known().ok_or_else(|| format!("a filter of numbers of type {text}"))
    }

    fn is_float(self) -> bool {
        self.letter == 'f'
    }

    /// The numbers in some bytes.
    fn read(self, bytes: &[u8]) -> Numbers {
        let words = bytes.chunks_exact(self.size).map(|word| {
            let mut eight = [0; 8];
            for (place, byte) in word.iter().enumerate() {
                let place = if self.big {
                    self.size - 1 - place
                } else {
                    place
                };
                eight[place] = *byte;
            }
            u64::from_le_bytes(eight)
        });
        match (self.letter, self.size) {
            ('f', 4) => Numbers::Floats(
                words
                    .map(|word| f64::from(f32::from_bits((word & 0xffff_ffff) as u32)))
                    .collect(),
            ),
            ('f', _) => Numbers::Floats(words.map(f64::from_bits).collect()),
            _ => Numbers::Integers(words.map(|word| self.wrapped(i128::from(word))).collect()),
        }
    }

    /// An integer as this type holds it, which turns over where it is too large.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as numpy does it"
    )]
    fn wrapped(self, number: i128) -> i128 {
        match (self.letter, self.size) {
            ('i', 1) => (number as i8).into(),
            ('i', 2) => (number as i16).into(),
            ('i', 4) => (number as i32).into(),
            ('i', _) => (number as i64).into(),
            (_, 1) => (number as u8).into(),
            (_, 2) => (number as u16).into(),
            (_, 4) => (number as u32).into(),
            _ => (number as u64).into(),
        }
    }

    /// A float in this precision.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "to 32 bits where those are meant"
    )]
    fn rounded(self, number: f64) -> f64 {
        if self.size == 4 {
            f64::from(number as f32)
        } else {
            number
        }
    }

    /// Numbers as bytes of this type, in the order of this machine.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as numpy does it"
    )]
    fn write(self, numbers: &Numbers) -> Vec<u8> {
        let word = |number: i128| -> Vec<u8> {
            match self.size {
                1 => (number as u8).to_ne_bytes().to_vec(),
                2 => (number as u16).to_ne_bytes().to_vec(),
                4 => (number as u32).to_ne_bytes().to_vec(),
                _ => (number as u64).to_ne_bytes().to_vec(),
            }
        };
        match numbers {
            Numbers::Integers(numbers) => numbers.iter().flat_map(|&number| word(number)).collect(),
            Numbers::Floats(numbers) if self.size == 4 => numbers
                .iter()
                .flat_map(|&number| (number as f32).to_ne_bytes())
                .collect(),
            Numbers::Floats(numbers) => numbers
                .iter()
                .flat_map(|number| number.to_ne_bytes())
                .collect(),
        }
    }
}

/// Numbers of a chunk, exact in every type that is read.
#[derive(Debug, Clone, PartialEq)]
enum Numbers {
    Integers(Vec<i128>),
    Floats(Vec<f64>),
}

/// A filter that turned numbers of type `meant` into numbers of type `stored`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Filter {
    meant: NumberType,
    stored: NumberType,
    arithmetic: Arithmetic,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Arithmetic {
    /// `stored[i] = meant[i] − meant[i − 1]`.
    Delta,
    /// `stored = (meant − offset) · scale`.
    Scaled { scale: f64, offset: f64 },
}

impl Filter {
    fn of(name: &str, settings: &Value) -> Result<Self, String> {
        let kind = |key: &str| settings[key].as_str().map(NumberType::of).transpose();
        let number = |key: &str| {
            let found = settings[key].as_f64();
            found.ok_or_else(|| format!("a filter {name} whose {key} is not a number"))
        };
        let meant = kind("dtype")?.ok_or_else(|| format!("a filter {name} without dtype"))?;
        let stored = kind("astype")?.unwrap_or(meant);
        let arithmetic = if DELTA.contains(&name) {
            if meant.is_float() != stored.is_float() {
                return Err(format!("a filter {name} from floats to integers"));
            }
            Arithmetic::Delta
        } else {
            Arithmetic::Scaled {
                scale: number("scale")?,
                offset: number("offset")?,
            }
        };
        Ok(Self {
            meant,
            stored,
            arithmetic,
        })
    }

    fn undo(&self, numbers: Numbers) -> Numbers {
        match (self.arithmetic, numbers) {
            (Arithmetic::Delta, Numbers::Integers(numbers)) => {
                let sums = numbers.into_iter().scan(0, |sum, number| {
                    *sum = self.meant.wrapped(*sum + number);
                    Some(*sum)
                });
                Numbers::Integers(sums.collect())
            }
            (Arithmetic::Delta, Numbers::Floats(numbers)) => {
                let sums = numbers.into_iter().scan(0.0, |sum, number| {
                    *sum = self.meant.rounded(*sum + number);
                    Some(*sum)
                });
                Numbers::Floats(sums.collect())
            }
            (Arithmetic::Scaled { scale, offset }, Numbers::Integers(numbers)) => self.cast(
                numbers
                    .into_iter()
                    .map(|number| number as f64 / scale + offset),
            ),
            (Arithmetic::Scaled { scale, offset }, Numbers::Floats(numbers)) => {
                // In the precision of the stored numbers.
                let stored = self.stored;
                let [scale, offset] = [scale, offset].map(|number| stored.rounded(number));
                self.cast(
                    numbers
                        .into_iter()
                        .map(|number| stored.rounded(stored.rounded(number / scale) + offset)),
                )
            }
        }
    }

    /// Floats as numbers of the type that is meant.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "integers lose what is behind the point"
    )]
    fn cast(&self, numbers: impl Iterator<Item = f64>) -> Numbers {
        if self.meant.is_float() {
            Numbers::Floats(numbers.map(|number| self.meant.rounded(number)).collect())
        } else {
            let whole = numbers.map(|number| self.meant.wrapped(number as i128));
            Numbers::Integers(whole.collect())
        }
    }
}

/// Filters in the order in which they were applied.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filters(Vec<Filter>);

impl Filters {
    /// From name and settings of each.
    ///
    /// # Errors
    /// The setting that is not understood.
    pub(super) fn of(filters: &[(String, Value)]) -> Result<Self, String> {
        let filters: Vec<Filter> = filters
            .iter()
            .map(|(name, settings)| Filter::of(name, settings))
            .collect::<Result<_, _>>()?;
        let fit = filters
            .windows(2)
            .all(|pair| pair[0].stored == pair[1].meant);
        if filters.is_empty() || !fit {
            return Err("filters that do not fit each other".into());
        }
        Ok(Self(filters))
    }

    /// Name and settings of each, from the configuration of the codec that reads them.
    pub(super) fn from_configuration(configuration: &Value) -> Result<Self, String> {
        let listed = configuration["filters"].as_array();
        let filters = listed.into_iter().flatten().map(|filter| {
            let name = filter["name"].as_str().unwrap_or_default();
            (name.to_owned(), filter["configuration"].clone())
        });
        Self::of(&filters.collect::<Vec<_>>())
    }

    /// The configuration of the codec that reads these filters.
    pub(super) fn configuration(filters: &[(String, Value)]) -> Value {
        let filters = filters
            .iter()
            .map(|(name, settings)| json!({ "name": name, "configuration": settings }));
        json!({ "filters": filters.collect::<Vec<_>>() })
    }

    /// The bytes that one number takes, as it is meant and as it is stored.
    pub(super) fn sizes(&self) -> [usize; 2] {
        let (first, last) = (self.0[0], self.0[self.0.len() - 1]);
        [first.meant.size, last.stored.size]
    }

    /// The bytes of the numbers that are meant.
    pub(super) fn undo(&self, bytes: &[u8]) -> Vec<u8> {
        let (first, last) = (self.0[0], self.0[self.0.len() - 1]);
        let stored = last.stored.read(bytes);
        let meant = self
            .0
            .iter()
            .rev()
            .fold(stored, |numbers, filter| filter.undo(numbers));
        first.meant.write(&meant)
    }
}
