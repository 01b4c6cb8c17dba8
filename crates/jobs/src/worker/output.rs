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

impl Held {
    /// Writes a portion of an output.
    pub(super) fn write(
        &mut self,
        portion: Portion,
        target: &OutputOrder,
        host: &dyn Host,
    ) -> Result<Value> {
        let quantity = match target.quantity {
            Subject::Influences => Quantity::Influences,
            Subject::SelfInfluences => Quantity::SelfInfluences,
            Subject::Factors => bail!(
                "factors are not written to an output; the order `factors` computes them into a file"
            ),
        };
        let existing = match portion {
            Portion::Declaration if target.overwrite => Existing::Overwrite,
            Portion::Declaration | Portion::Whole => Existing::Resume,
            Portion::Share(_) => Existing::Join,
        };
        quantity.check_points(&self.job.config)?;
        let (host, watch) = (Unclaimed(host), host.watch());
        host.claim(&target.output, existing)?;
        self.job.config.output.path.clone_from(&target.output);
        self.job.existing = existing;
        let attributes = match self.attributes.take() {
            Some(attributes) => attributes,
            None => self.job.attributes()?,
        };
        let run = Run {
            portion,
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
