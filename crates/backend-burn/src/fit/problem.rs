//! From gradients and data to prepared curvatures, fitted or taken up again.

use std::{
    collections::BTreeMap,
    fmt::{self, Debug},
    sync::Arc,
};

use influence_core::{
    BlockInfluence, Result as CoreResult,
    block::{Block, Damping},
    operator::LinearOperator,
    solver::{Prepared, Solver, State},
};

use super::{CHECKED_SAMPLES, Influence, digest};
use crate::{
    Curvature, Kronecker, ModelGradients, Stack,
    curvature::{SampleVectors, TrainingData},
    saved::Provenance,
};

/// How curvatures are inverted.
#[derive(Debug, Clone)]
pub(super) enum Method {
    Solver(Arc<dyn Solver<Stack>>),
    Kronecker(Kronecker),
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Solver(solver) => solver.fmt(f),
            Self::Kronecker(kronecker) => kronecker.fmt(f),
        }
    }
}

impl Method {
    pub(super) fn stacks(&self) -> usize {
        /// Right-hand sides, matrices made of them on either side of an eigenbasis, and solutions.
        const KRONECKER: usize = 6;
        match self {
            Self::Solver(solver) => solver.stacks(),
            Self::Kronecker(_) => KRONECKER,
        }
    }
}

/// The gradients and data of a model, before the curvatures of its blocks are prepared for inversion.
pub(super) struct Ground {
    pub(super) curvature: Curvature,
    pub(super) method: Method,
    pub(super) damping: Damping,
    pub(super) tolerance: f64,
    pub(super) threads: usize,
    pub(super) blocks: Vec<Block>,
    pub(super) memory: usize,
    pub(super) source: ModelGradients,
    pub(super) data: TrainingData,
}

impl Ground {
    pub(super) fn fit(self) -> CoreResult<Influence> {
        let prepared = match &self.method {
            Method::Solver(solver) => {
                let operators = self.operators().into_iter();
                operators.map(|operator| solver.prepare(operator)).collect()
            }
            Method::Kronecker(kronecker) => {
                let vectors = self.vectors(*kronecker);
                kronecker.prepare(&vectors, &self.blocks, self.tolerance, self.threads)
            }
        };
        self.assemble(prepared?)
    }

    pub(super) fn restore(self, states: &BTreeMap<String, State>) -> CoreResult<Influence> {
        // A solver that keeps nothing leaves nothing in the file.
        let nothing = State::default();
        let state = |block: &Block| states.get(block.name()).unwrap_or(&nothing);
        let prepared = match &self.method {
            Method::Solver(solver) => {
                let operators = self.operators().into_iter().zip(&self.blocks);
                operators
                    .map(|(operator, block)| solver.restore(operator, state(block)))
                    .collect()
            }
            Method::Kronecker(kronecker) => Kronecker::restore(
                &self.vectors(*kronecker),
                &self.blocks,
                self.tolerance,
                state,
            ),
        };
        self.assemble(prepared?)
    }

    /// Bytes that the factors of all layers take, an estimate from above.
    pub(super) fn kronecker_bytes(&self, dampings: usize) -> CoreResult<usize> {
        let vectors = self.vectors(Kronecker::Kfac);
        Kronecker::fit_bytes(&vectors, &self.blocks, dampings, self.threads)
    }

    fn operators(&self) -> Vec<Arc<dyn LinearOperator<Rows = Stack>>> {
        self.curvature
            .operators(&self.source, &self.data, &self.blocks, self.memory)
    }

    /// The vectors for Kronecker factors, kept if they are looked at twice.
    fn vectors(&self, kronecker: Kronecker) -> Arc<SampleVectors> {
        let drawn = matches!(self.curvature, Curvature::Fisher { .. });
        let memory = match kronecker {
            Kronecker::Ekfac if !drawn => self.memory,
            Kronecker::Ekfac | Kronecker::Kfac => 0,
        };
        let (source, data) = (self.source.clone(), self.data.clone());
        Arc::new(SampleVectors::new(self.curvature, source, data, memory))
    }

    fn assemble(self, prepared: Vec<Box<dyn Prepared<Stack>>>) -> CoreResult<Influence> {
        let blocks = self.blocks.into_iter().zip(prepared).collect();
        Ok(BlockInfluence::new(self.source, blocks, &self.damping)?
            .with_stacks(self.method.stacks()))
    }

    /// What a fit depends on, by name; the damping it does not.
    pub(super) fn provenance(&self) -> CoreResult<Provenance> {
        let blocks: Vec<String> = self.blocks.iter().map(shown).collect();
        let sample = self.data.head(CHECKED_SAMPLES)?;
        Ok(vec![
            ("method", self.method.to_string()),
            ("curvature", format!("{:?}", self.curvature)),
            ("precision", format!("{:?}", self.source.precision)),
            ("blocks", blocks.join("; ")),
            ("parameters", digest::of_parameters(&*self.source.trace)),
            ("training data", digest::of_data(&self.data)?),
            ("function", self.source.fingerprint(&sample)?),
        ])
    }
}

/// A block with the parameters in it.
fn shown(block: &Block) -> String {
    format!("{} {:?}", block.name(), block.columns())
}
