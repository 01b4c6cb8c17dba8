//! Samples in the form in which a task reads them.

use anyhow::{Result, ensure};
use influence_core::{FieldForm, FieldKind, Precision};

use super::SampleFiles;
use crate::{
    fields::FieldDataset,
    hints::hint,
    input_files::{InputKey, of_input},
    key::{AtKey, KeyError},
    samples::{Samples, is_column, shaped},
    settings::Files,
};

impl SampleFiles {
    /// Gives the samples the form in which a task reads them: `forms` of its inputs and of its
    /// targets, the last; `names` are those of its inputs, if it has some.
    ///
    /// Inputs that have names come in the order of the task. They become rows where the task reads
    /// those, and images get an axis of one channel where it wants one; targets `(n)` become `(n,
    /// 1)`.
    ///
    /// # Errors
    /// When the task reads other inputs, or the arrays have another kind or rank.
    pub fn in_form(
        self,
        forms: &[FieldForm],
        names: Option<&[String]>,
        precision: Precision,
    ) -> Result<Samples> {
        let fields = self.inputs.len() + 1;
        ensure!(
            forms.len() == fields,
            "the task reads {} fields, the data have {fields}: {}, targets; `inputs` takes a list of arrays, or a table of them by name",
            forms.len(),
            self.field_names().join(", ")
        );
        let source = self.in_order(names)?;
        let integers = [source.have_integers()?, vec![source.has_integer_targets()?]].concat();
        for (field, form) in forms.iter().enumerate() {
            source.check_form(field, *form, integers[field])?;
        }
        let names = names.map_or_else(|| source.field_names(), <[String]>::to_vec);
        let inputs = source.inputs.iter().map(|input| input.field.clone());
        let data = FieldDataset::new(inputs.chain([source.targets]))?;
        Ok(Samples {
            data: data.with_names(names.into_iter().chain(["targets".to_owned()]))?,
            columns: source
                .inputs
                .into_iter()
                .map(|input| input.columns)
                .collect(),
            files: source.files,
            identity: source.identity,
            classes: source.classes,
            forms: forms.into(),
            precision,
        })
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
        let (path, array, what) = match input {
            Some((file, input)) => (&file.array, &input.field, "inputs"),
            None => (&self.files.targets, &self.targets, "targets"),
        };
        let shape = array.shape();
        // (n, _, _) for rank 3.
        let expected = format!("(n{})", ", _".repeat(form.rank - 1));
        let check = || -> Result<()> {
            ensure!(
                form.kind != FieldKind::Bool,
                "the task reads truth values as its {what}; arrays hold numbers, so read integers"
            );
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
