//! From gradients and data to prepared curvatures, fitted or restored.

use std::{
    borrow::Borrow,
    collections::BTreeMap,
    fmt::{self, Debug},
    sync::Arc,
};

use influence_core::{
    BlockInfluence, Error as CoreError, PassFootprint, Precision, Result as CoreResult,
    block::{Block, BlockStructure, Damping, Strength},
    operator::LinearOperator,
    solver::{BlockDiagonal, CutOff, PreconditionedSolver, Prepared, Solver, State},
};

use super::digest;
use crate::{
    Curvature, Kronecker, ModelGradients, Stack,
    curvature::{SampleVectors, TrainingData},
    kronecker,
    saved::Provenance,
};

/// Passes of scores in a batch of a fit. Each batch costs a sum as large as the curvature, so that
/// they are not as short as passes.
const PASSES: usize = 4;

/// The influence model of a burn model.
pub type Influence = BlockInfluence<ModelGradients>;

/// Samples used to check per-sample gradients against batches of one.
pub(super) const CHECKED_SAMPLES: usize = 3;

/// How curvatures are inverted.
#[derive(Debug, Clone)]
pub(super) enum InversionMethod {
    Solver(Arc<dyn Solver<Stack>>),
    Kronecker(Kronecker),
    /// A solver with Kronecker factors as its preconditioner.
    Preconditioned(Arc<dyn PreconditionedSolver<Stack>>, Kronecker),
}

impl fmt::Display for InversionMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Solver(solver) => solver.fmt(f),
            Self::Kronecker(kronecker) => kronecker.fmt(f),
            Self::Preconditioned(solver, kronecker) => {
                write!(f, "{solver:?} preconditioned by {kronecker:?}")
            }
        }
    }
}

impl InversionMethod {
    /// Stacks of vectors, as large as the right-hand sides, that solving takes at a time.
    pub(super) fn stacks(&self) -> usize {
        /// Right-hand sides, solutions, and the pieces that they are joined of.
        const KRONECKER: usize = 4;
        match self {
            Self::Solver(solver) => solver.stacks(),
            Self::Kronecker(_) => KRONECKER,
            Self::Preconditioned(solver, _) => solver.stacks() + KRONECKER,
        }
    }

    /// What solving takes besides, where a factor as plain numbers takes this many bytes.
    pub(super) fn workspace(&self, factor: usize, precision: Precision) -> PassFootprint {
        match self {
            Self::Solver(_) => PassFootprint::NONE,
            Self::Kronecker(_) | Self::Preconditioned(..) => {
                kronecker::workspace(factor, precision)
            }
        }
    }

    /// Whether rows are solved by a few products with what was fitted, and not by passes over the
    /// training data.
    pub(super) fn is_immediate(&self) -> bool {
        match self {
            Self::Solver(solver) => solver.is_immediate(),
            Self::Kronecker(_) => true,
            Self::Preconditioned(..) => false,
        }
    }
}

/// Everything a fit starts from: checked gradients, training data, blocks and settings.
pub(super) struct FitProblem {
    pub(super) curvature: Curvature,
    pub(super) method: InversionMethod,
    pub(super) damping: Damping,
    pub(super) cut_off: Option<Strength>,
    pub(super) tolerance: f64,
    pub(super) threads: usize,
    pub(super) blocks: Vec<Block>,
    pub(super) memory: usize,
    /// The curvature that rows are held against, if they are.
    pub(super) reference: Option<Curvature>,
    pub(super) source: ModelGradients,
    pub(super) data: TrainingData,
}

impl FitProblem {
    pub(super) fn fit(&self) -> CoreResult<Influence> {
        self.begin()?;
        let prepared = match &self.method {
            InversionMethod::Solver(solver) => self.prepared_by(solver),
            InversionMethod::Kronecker(kronecker) => {
                self.factored(*kronecker, std::slice::from_ref(&self.source))
            }
            InversionMethod::Preconditioned(solver, kronecker) => {
                let near = self.preconditioner(*kronecker)?;
                let models = std::slice::from_ref(&self.source);
                self.preconditioned(solver, &near, near.factored(*kronecker, models)?)
            }
        };
        self.assemble(prepared?)
    }

    /// Begins a fit, in which all processes must fit the same.
    pub(super) fn begin(&self) -> CoreResult<()> {
        self.data.begin(&|| self.identity())
    }

    /// The Kronecker factors of each block, of the mean curvature of the model at some values of
    /// its parameters.
    pub(super) fn factored(
        &self,
        kronecker: Kronecker,
        models: &[ModelGradients],
    ) -> CoreResult<Vec<Box<dyn Prepared<Stack>>>> {
        let memory = self.memory / models.len().max(1);
        let vectors = models.iter();
        let vectors = vectors.map(|source| self.vectors(kronecker, source, memory));
        let vectors: Vec<_> = vectors.collect::<CoreResult<_>>()?;
        kronecker.prepare(&vectors, &self.blocks, self.tolerance, self.threads)
    }

    pub(super) fn restore(&self, states: &BTreeMap<String, State>) -> CoreResult<Influence> {
        // A solver without a state has no entry in the file.
        let nothing = State::default();
        let state = |block: &Block| states.get(block.name()).unwrap_or(&nothing);
        let prepared = match &self.method {
            InversionMethod::Solver(solver) => {
                let operators = self.operators()?.into_iter().zip(&self.blocks);
                operators
                    .map(|(operator, block)| solver.restore(operator, state(block)))
                    .collect()
            }
            InversionMethod::Kronecker(kronecker) => self.restored(*kronecker, state),
            InversionMethod::Preconditioned(solver, kronecker) => {
                let near = self.preconditioner(*kronecker)?;
                let whole = self.blocks.first().map_or(&nothing, state);
                let of = |block: &Block| BlockDiagonal::<Stack>::state_of(whole, block);
                let restored = near.restored(*kronecker, of)?;
                self.preconditioned(solver, &near, restored)
            }
        };
        self.assemble(prepared?)
    }

    /// The curvature of each block as a solver prepares it.
    fn prepared_by(
        &self,
        solver: &impl Solver<Stack>,
    ) -> CoreResult<Vec<Box<dyn Prepared<Stack>>>> {
        let operators = self.operators()?.into_iter();
        operators.map(|operator| solver.prepare(operator)).collect()
    }

    fn restored<S: Borrow<State>>(
        &self,
        kronecker: Kronecker,
        state: impl Fn(&Block) -> S,
    ) -> CoreResult<Vec<Box<dyn Prepared<Stack>>>> {
        let vectors = self.vectors(kronecker, &self.source, self.memory)?;
        Kronecker::restore(&vectors, &self.blocks, self.tolerance, state)
    }

    /// The problem of Kronecker factors that precondition this one: of a Fisher matrix, which costs
    /// a pass over the data, and inverted exactly, since a preconditioner must be definite.
    fn preconditioner(&self, kronecker: Kronecker) -> CoreResult<Self> {
        if self.blocks.len() > 1 {
            return Err(CoreError::Setting {
                name: "blocks",
                requirement: "one of all parameters, where Kronecker factors precondition",
                got: self.blocks.len().to_string(),
            });
        }
        Ok(Self {
            curvature: self.curvature.factorable(),
            method: InversionMethod::Kronecker(kronecker),
            damping: self.damping.clone(),
            cut_off: None,
            tolerance: 0.0,
            threads: self.threads,
            blocks: BlockStructure::LayerWise.resolve(self.source.layout())?,
            memory: self.memory,
            reference: None,
            source: self.source.clone(),
            data: self.data.clone(),
        })
    }

    fn preconditioned(
        &self,
        solver: &Arc<dyn PreconditionedSolver<Stack>>,
        near: &Self,
        factors: Vec<Box<dyn Prepared<Stack>>>,
    ) -> CoreResult<Vec<Box<dyn Prepared<Stack>>>> {
        let near = BlockDiagonal::new(near.blocks.iter().cloned().zip(factors))?;
        self.prepared_by(&solver.preconditioned_by(Arc::new(near)))
    }

    /// Bytes that the factors of all layers take, an upper bound.
    pub(super) fn kronecker_bytes(&self, dampings: usize) -> CoreResult<usize> {
        if let InversionMethod::Preconditioned(_, kronecker) = self.method {
            return self.preconditioner(kronecker)?.kronecker_bytes(dampings);
        }
        let vectors = self.vectors(Kronecker::Kfac, &self.source, self.memory)?;
        Kronecker::fit_bytes(&vectors, &self.blocks, dampings, self.threads)
    }

    fn operators(&self) -> CoreResult<Vec<Arc<dyn LinearOperator<Rows = Stack>>>> {
        let passes = if self.curvature == Curvature::Hessian {
            1 // differentiated twice, which takes the memory of some
        } else {
            PASSES
        };
        let data = self.data_in_passes(passes)?;
        let operators = self
            .curvature
            .operators(&self.source, &data, &self.blocks, self.memory);
        Ok(operators)
    }

    /// The training data, cut into batches of no more than a few [passes](ModelGradients::pass): a
    /// fit holds the activations of whole batches.
    fn data_in_passes(&self, passes: usize) -> CoreResult<TrainingData> {
        let pass = self.source.pass(&self.data.head(1)?)?;
        let most = pass.points.saturating_mul(passes);
        Ok(self.data.clone().in_batches_of(most))
    }

    /// The vectors for Kronecker factors, cached if a second pass reads the same ones; of networks
    /// with large activations in batches of a few [passes](ModelGradients::pass).
    fn vectors(
        &self,
        kronecker: Kronecker,
        source: &ModelGradients,
        memory: usize,
    ) -> CoreResult<Arc<SampleVectors>> {
        let drawn = matches!(self.curvature, Curvature::Fisher { .. });
        let memory = match kronecker {
            Kronecker::Ekfac if !drawn => memory,
            Kronecker::Ekfac | Kronecker::Kfac => 0,
        };
        let data = self.data_in_passes(PASSES)?;
        let vectors = SampleVectors::new(self.curvature, source.clone(), data, memory);
        Ok(Arc::new(vectors))
    }

    fn assemble(&self, prepared: Vec<Box<dyn Prepared<Stack>>>) -> CoreResult<Influence> {
        let prepared = prepared.into_iter().map(|prepared| self.cut(prepared));
        let prepared = prepared.collect::<CoreResult<Vec<_>>>()?;
        let blocks = self.blocks.iter().cloned().zip(prepared).collect();
        let influence = BlockInfluence::new(self.source.clone(), blocks, &self.damping)?;
        let largest = self.blocks.iter().map(Block::dim).max().unwrap_or(0);
        let precision = self.source.precision;
        let workspace = self
            .method
            .workspace(largest * precision.bytes(), precision);
        let influence = influence.with_stacks(self.method.stacks());
        let influence = influence.with_workspace(workspace);
        let Some(reference) = self.reference else {
            return Ok(influence);
        };
        // Nothing is kept of a pass: the memory is that of the method.
        let whole = BlockStructure::Full.resolve(self.source.layout())?;
        let data = self.data_in_passes(PASSES)?;
        let operators = reference.operators(&self.source, &data, &whole, 0);
        operators
            .into_iter()
            .try_fold(influence, BlockInfluence::with_reference)
    }

    /// Without the eigenvalues that are cut off.
    fn cut(&self, prepared: Box<dyn Prepared<Stack>>) -> CoreResult<Box<dyn Prepared<Stack>>> {
        Ok(match self.cut_off {
            Some(strength) => Box::new(CutOff::new(prepared, strength)?),
            None => prepared,
        })
    }

    /// Everything that a fit depends on, by name. The damping is not part of it.
    pub(super) fn provenance(&self) -> CoreResult<Provenance> {
        self.described(digest::of_data(&self.data)?)
    }

    /// The same, with few of the data in place of all: enough to tell shares of one fit from those
    /// of another.
    fn identity(&self) -> CoreResult<Provenance> {
        let data = &self.data;
        self.described(format!(
            "{} samples in {} batches, some of which are {}",
            data.samples(),
            data.batches(),
            digest::of_spread(data)?
        ))
    }

    fn described(&self, data: String) -> CoreResult<Provenance> {
        let blocks: Vec<String> = self.blocks.iter().map(shown).collect();
        let sample = self.data.head(CHECKED_SAMPLES)?;
        Ok(vec![
            ("method", self.method.to_string()),
            ("curvature", format!("{:?}", self.curvature)),
            ("precision", format!("{:?}", self.source.precision)),
            ("blocks", blocks.join("; ")),
            (
                "parameters",
                digest::of_parameters(self.source.layout(), self.source.trace.values()),
            ),
            ("training data", data),
            ("function", self.source.fingerprint(&sample)?),
        ])
    }
}

/// A block with the parameters in it.
fn shown(block: &Block) -> String {
    format!("{} {:?}", block.name(), block.columns())
}
