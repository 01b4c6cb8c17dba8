use std::{ops::Range, sync::Arc};

use anyhow::{Context, Result};
use influence_core::{Dataset, Error as CoreError, FieldSource, Result as CoreResult, Values};

use super::Samples;
use crate::fields::FieldDataset;

impl Samples {
    /// The same points with other classes, such as some that are wrong.
    ///
    /// # Errors
    /// When the points have no targets, or there are not as many classes as points.
    pub fn relabelled(&self, classes: Vec<i64>) -> Result<Self> {
        let (field, path) = self.targets().context("the points have no targets")?;
        let mut fields = self.data.fields().to_vec();
        fields[field] = Arc::new(GivenClasses {
            name: format!("{path}, changed"),
            values: Values::new(classes, &[self.len()])?,
        });
        let data = FieldDataset::new(fields)?;
        Ok(Self {
            data: match self.data.names() {
                Some(names) => data.with_names(names.iter().cloned())?,
                None => data,
            },
            ..self.clone()
        })
    }
}

/// Classes that no file holds.
struct GivenClasses {
    name: String,
    values: Values,
}

impl FieldSource for GivenClasses {
    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> &[usize] {
        self.values.shape()
    }

    fn rows(&self, range: Range<usize>) -> CoreResult<Values> {
        CoreError::check_range(&range, self.values.len())?;
        Ok(self.values.slice(range))
    }
}
