//! Samples in the form in which a task reads them.

use anyhow::{Result, ensure};
use influence_core::{FieldForm, FieldKind, Precision};

use super::SampleFiles;
use crate::{
    fields::FieldDataset,
    hints::hint,
    input_files::{InputKey, of_input},
    key::{AtKey, KeyError, KeyPath},
    samples::{Samples, is_column, shaped},
    settings::Files,
};

/// In what form a task reads samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleForm {
    /// Of each input.
    pub inputs: Vec<FieldForm>,
    /// Of the targets, if it reads some.
    pub targets: Option<FieldForm>,
}

impl SampleForm {
    /// Of each field in the order of a batch, that of the targets last.
    fn fields(&self) -> Vec<FieldForm> {
        self.inputs.iter().copied().chain(self.targets).collect()
    }
}

impl SampleFiles {
    /// Gives the samples the form in which a task reads them; `names` are those of its inputs, if
    /// it has some.
    ///
    /// Inputs that have names come in the order of the task. They become rows where the task reads
    /// those, and images get an axis of one channel where it wants one; targets `(n)` become `(n,
    /// 1)`.
    ///
    /// # Errors
    /// When the task reads other inputs, targets that are not there or none where there are some,
    /// or the arrays have another kind or rank.
    pub fn in_form(
        self,
        form: &SampleForm,
        names: Option<&[String]>,
        precision: Precision,
    ) -> Result<Samples> {
        ensure!(
            form.inputs.len() == self.inputs.len(),
            "the task reads {} inputs, the data have {}: {}; `inputs` takes a list of arrays, or a table of them by name",
            form.inputs.len(),
            self.inputs.len(),
            self.field_names().join(", ")
        );
        self.check_targets(form)?;
        let source = self.in_order(names)?;
        let integers = [source.have_integers()?, vec![source.has_integer_targets()?]].concat();
        let forms = form.fields();
        for (field, form) in forms.iter().enumerate() {
            source.check_form(field, *form, integers[field])?;
        }
        let names = names.map_or_else(|| source.field_names(), <[String]>::to_vec);
        let names = names
            .into_iter()
            .chain(form.targets.map(|_| "targets".to_owned()));
        let inputs = source.inputs.iter().map(|input| input.field.clone());
        let data = FieldDataset::new(inputs.chain(source.targets))?;
        Ok(Samples {
            data: data.with_names(names)?,
            columns: source
                .inputs
                .into_iter()
                .map(|input| input.columns)
                .collect(),
            files: source.files,
            identity: source.identity,
            row_groups: source.row_groups,
            classes: source.classes,
            forms: forms.into(),
            precision,
        })
    }

    /// Refuses targets that nobody reads, and their lack where the task reads some.
    fn check_targets(&self, form: &SampleForm) -> Result<()> {
        let there = self.files.targets.is_some();
        ensure!(
            there || form.targets.is_none(),
            KeyError::worded(
                KeyPath::default(),
                "missing key `targets`: the loss of the model compares its outputs with targets"
            )
        );
        ensure!(
            !there || form.targets.is_some(),
            KeyError::new(
                "targets",
                "the loss of the model reads no targets, its inputs say it all; leave them out"
            )
        );
        Ok(())
    }

    /// What the fields of the inputs are called.
    fn field_names(&self) -> Vec<String> {
        self.files
            .inputs
            .iter()
            .map(|file| file.key.field())
            .collect()
    }

    /// With its inputs in the order in which a task of as many reads them.
    fn in_order(self, names: Option<&[String]>) -> Result<Self> {
        let key = self.files.inputs.iter().map(|file| &file.key).next();
        if !matches!(key, Some(InputKey::Name(_))) {
            return Ok(self);
        }
        let here = self.field_names();
        let Some(names) = names else {
            ensure!(
                here.len() == 1,
                KeyError::new(
                    "inputs",
                    format!(
                        "the inputs of the model have no names; list the arrays in the order in which it reads them: inputs = [\"a.npy\", \"b.npy\"], got a table of {}",
                        here.join(", ")
                    )
                )
            );
            return Ok(self);
        };
        let place = |name: &String| {
            let found = here.iter().position(|other| other == name);
            found.ok_or_else(|| {
                let (names, here) = (names.join(", "), here.join(", "));
                let lacking = format!("the model reads {names}, there is no `{name}` among {here}");
                KeyError::new("inputs", lacking)
            })
        };
        let order = names.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            inputs: order
                .iter()
                .map(|&place| self.inputs[place].clone())
                .collect(),
            files: Files {
                inputs: self.files.inputs.select(&order),
                ..self.files
            },
            ..self
        })
    }

    /// Refuses a field that cannot have the form in which a task reads it.
    fn check_form(&self, field: usize, form: FieldForm, integers: bool) -> Result<()> {
        let input = self.files.inputs.iter().zip(&self.inputs).nth(field);
        let targets = self.files.targets.as_ref().zip(self.targets.as_ref());
        let inputs = input.map(|(file, input)| (&file.array, &input.field, "inputs"));
        let targets = targets.map(|(file, targets)| (file, targets, "targets"));
        let Some((path, array, what)) = inputs.or(targets) else {
            return Ok(());
        };
        let shape = array.shape();
        // (n, _, _) for rank 3.
        let expected = format!("(n{})", ", _".repeat(form.rank - 1));
        let check = || -> Result<()> {
            let fits = shaped(shape, form).is_some_and(|formed| {
                input.is_some() || formed.len() >= shape.len() || is_column(shape, form)
            });
            ensure!(
                integers || form.kind == FieldKind::Float,
                "{path}: {what} must be integers of shape {expected}, got floating-point numbers of shape {shape:?}{}",
                hint(&**array, form)?
            );
            ensure!(
                fits,
                "{path}: {what} must have shape {expected}, got {shape:?}{}",
                hint(&**array, form)?
            );
            Ok(())
        };
        match input {
            Some((file, _)) => of_input(&file.key, check()),
            None => check().at_unsaid_key("targets"),
        }
    }
}
