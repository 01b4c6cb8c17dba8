use std::{path::Path, sync::Arc};

use anyhow::{Result, bail};
use influence_calculators::{Cancellation, zarr::Claim};
use serde_json::{Value, json};

use super::{Held, OutputOrder, Subject};
use crate::{
    output::{Existing, claim},
    run::{Portion, Quantity, Run},
    watch::{Host, Watch},
};

/// The host of a worker, where no place is kept: what ends the process may end it at any time,
/// since whoever gave the order gives it again.
struct Unclaimed<'a>(&'a dyn Host);

impl Host for Unclaimed<'_> {
    fn watch(&self) -> Arc<dyn Watch> {
        self.0.watch()
    }

    fn cancellation(&self) -> &Cancellation {
        self.0.cancellation()
    }

    fn claim(&self, output: &Path, existing: Existing) -> Result<()> {
        claim(output, existing).map(drop)
    }

    fn writing(&self) -> Option<Claim> {
        None
    }

    fn written(&self, _output: &Path) {}
}

impl Subject {
    /// What is computed for an output of this.
    fn of_output(self) -> Result<Quantity> {
        match self {
            Self::Influences => Ok(Quantity::Influences),
            Self::SelfInfluences => Ok(Quantity::SelfInfluences),
            Self::Factors => bail!(
                "factors are not written to an output; the order `factors` computes them into a file"
            ),
        }
    }
}

/// What happens to an output that is there when a portion of it is written.
fn existing(portion: Portion, overwrite: bool) -> Existing {
    match portion {
        Portion::Declaration if overwrite => Existing::Overwrite,
        Portion::Declaration | Portion::Whole => Existing::Resume,
        Portion::Share(_) => Existing::Join,
    }
}

impl Held {
    /// Writes a portion of an output.
    pub(super) fn write(
        &mut self,
        portion: Portion,
        target: &OutputOrder,
        host: &dyn Host,
    ) -> Result<Value> {
        let quantity = target.quantity.of_output()?;
        let existing = existing(portion, target.overwrite);
        quantity.check_points(&self.job.config)?;
        let (host, watch) = (Unclaimed(host), host.watch());
        host.claim(&target.output, existing)?;
        self.job.config.output.path.clone_from(&target.output);
        let attributes = match self.attributes.take() {
            Some(attributes) => attributes,
            None => self.job.attributes()?,
        };
        let run = Run {
            portion,
            existing,
            strategy: self.job.config.compute.strategy,
            quantity,
            job: &self.job,
            host: &host,
            watch: &*watch,
            attributes: self.attributes.insert(attributes).clone(),
        };
        run.execute(self.model.clone())?;
        Ok(json!({}))
    }
}
