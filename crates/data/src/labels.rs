//! Classes that have names, such as folders of images and columns of text: one numbering for all
//! sides.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use anyhow::{Result, bail};
use influence_core::{Error as CoreError, FieldSource, Result as CoreResult, Values};
use ndarray::Array1;

/// No message lists more names than this.
const SHOWN: usize = 10;

/// Where classes that have names get their numbers from.
#[derive(Debug, Clone, Copy)]
pub enum ClassOrder<'a> {
    /// The names that are there, sorted.
    Own,
    /// The names under a key, in their order: those of the training points, or those of the
    /// configuration.
    Listed {
        /// `data.train` or `data.classes`.
        key: &'static str,
        /// The names; the place of each is its number.
        classes: &'a [String],
    },
    /// Nowhere: the training points have numbers, and there is no list.
    Unknown,
}

impl<'a> ClassOrder<'a> {
    /// That of the training points, for all other points.
    pub fn of_training(classes: Option<&'a [String]>) -> Self {
        classes.map_or(Self::Unknown, |classes| Self::Listed {
            key: "data.train",
            classes,
        })
    }
}

/// The class of each point by its name.
#[derive(Debug, Clone)]
pub(super) struct NamedLabels {
    /// Their name in messages.
    file: String,
    /// The names there are, each once, sorted.
    names: Vec<String>,
    /// Which of the names each point has.
    points: Vec<usize>,
}

impl NamedLabels {
    /// From the name of the class of each point; messages call them `file`.
    pub(super) fn new(file: String, labels: impl IntoIterator<Item = String>) -> Self {
        let mut seen = BTreeMap::new();
        let found: Vec<usize> = labels
            .into_iter()
            .map(|label| {
                let next = seen.len();
                *seen.entry(label).or_insert(next)
            })
            .collect();
        let mut places = vec![0; seen.len()];
        for (place, &number) in seen.values().enumerate() {
            places[number] = place;
        }
        Self {
            file,
            names: seen.into_keys().collect(),
            points: found.into_iter().map(|number| places[number]).collect(),
        }
    }

    /// How many points there are.
    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// The names in the order of their numbers, and an array of the number of each point.
    ///
    /// # Errors
    /// When a class has no number, or two.
    pub(super) fn numbered(self, order: ClassOrder<'_>) -> Result<(Arc<[String]>, ClassNumbers)> {
        let classes: Arc<[String]> = match order {
            ClassOrder::Own => self.names.as_slice().into(),
            ClassOrder::Listed { classes, .. } => classes.into(),
            ClassOrder::Unknown => bail!(
                "{}: the classes have names here ({}) but numbers in data.train; list the names in data.classes, in the order of the numbers",
                self.file,
                shown(&self.names)
            ),
        };
        let numbers = self
            .names
            .iter()
            .enumerate()
            .map(|(place, name)| self.number(place, name, order, &classes))
            .collect::<Result<_>>()?;
        let numbered = ClassNumbers {
            shape: [self.len()],
            file: self.file,
            numbers,
            points: self.points,
        };
        Ok((classes, numbered))
    }

    /// The number of one of the names.
    fn number(
        &self,
        place: usize,
        name: &str,
        order: ClassOrder<'_>,
        classes: &[String],
    ) -> Result<i64> {
        let mut found = classes
            .iter()
            .enumerate()
            .filter(|(_, class)| *class == name);
        let key = match order {
            ClassOrder::Listed { key, .. } => key,
            ClassOrder::Own | ClassOrder::Unknown => "the data",
        };
        match (found.next(), found.next()) {
            (Some((number, _)), None) => Ok(i64::try_from(number)?),
            (Some(_), Some(_)) => bail!("{}: {key} lists the class `{name}` twice", self.file),
            (None, _) => bail!(
                "{}: row {} has the class `{name}`, expected one of {key}: {}",
                self.file,
                self.points
                    .iter()
                    .position(|&point| point == place)
                    .unwrap_or(0),
                shown(classes)
            ),
        }
    }
}

/// Names in a message.
pub(super) fn shown(names: &[String]) -> String {
    let first = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first}, and {more} more"),
    }
}

/// The places of a name that comes twice, if one does.
pub(super) fn twice(names: &[String]) -> Option<[usize; 2]> {
    let mut seen = HashMap::with_capacity(names.len());
    let mut placed = names.iter().enumerate();
    placed.find_map(|(place, name)| Some([seen.insert(name, place)?, place]))
}

/// The numbers of classes that have names, `(n)`.
#[derive(Debug)]
pub(super) struct ClassNumbers {
    file: String,
    shape: [usize; 1],
    /// The number of each name.
    numbers: Vec<i64>,
    /// Which of the names each point has.
    points: Vec<usize>,
}

impl FieldSource for ClassNumbers {
    fn name(&self) -> &str {
        &self.file
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn rows(&self, range: Range<usize>) -> CoreResult<Values> {
        CoreError::check_range(&range, self.points.len())?;
        let numbers = self.points[range].iter().map(|&name| self.numbers[name]);
        Ok(Values::I64(Array1::from_iter(numbers).into_dyn()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: &[&str]) -> NamedLabels {
        NamedLabels::new("y".into(), labels.iter().map(|&label| label.to_owned()))
    }

    fn numbers(labels: NamedLabels, order: ClassOrder<'_>) -> Result<Vec<i64>> {
        let (_, numbered) = labels.numbered(order)?;
        let Values::I64(values) = numbered.rows(0..numbered.shape()[0])? else {
            bail!("integers");
        };
        Ok(values.into_iter().collect())
    }

    #[test]
    fn classes_have_one_numbering() -> Result<()> {
        let train = labels(&["bee", "cat", "ant", "bee"]);
        assert_eq!(train.names, ["ant", "bee", "cat"]);
        assert_eq!(numbers(train.clone(), ClassOrder::Own)?, [1, 2, 0, 1]);
        let (classes, _) = train.numbered(ClassOrder::Own)?;
        let order = ClassOrder::Listed {
            key: "data.train",
            classes: &classes,
        };
        // A class that is missing moves no other.
        assert_eq!(numbers(labels(&["cat", "ant"]), order)?, [2, 0]);
        let error = numbers(labels(&["cat", "dog"]), order)
            .expect_err("dog")
            .to_string();
        let expected = "y: row 1 has the class `dog`, expected one of data.train: ant, bee, cat";
        assert_eq!(error, expected);
        let error = numbers(labels(&["a"]), ClassOrder::Unknown).expect_err("no order");
        assert!(
            error.to_string().contains("list the names in data.classes"),
            "{error}"
        );
        let twice = ["a", "b", "a"].map(str::to_owned);
        let order = ClassOrder::Listed {
            key: "data.classes",
            classes: &twice,
        };
        assert_eq!(numbers(labels(&["b"]), order)?, [1]);
        let error = numbers(labels(&["b", "a"]), order).expect_err("two numbers");
        assert!(error.to_string().contains("`a` twice"), "{error}");
        Ok(())
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..12).map(|name| name.to_string()).collect();
        assert_eq!(shown(&names), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more");
        assert_eq!(shown(&names[..2]), "0, 1");
    }
}
