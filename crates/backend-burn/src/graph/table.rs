//! Families of operations as tables: most operations have one of four shapes, and differ in the
//! name of a function only.

/// A function that evaluates the operations of a family whose outcome is of the kind of their
/// operands.
///
/// The shapes: `unary` reads `input`; `binary` reads `lhs` and `rhs`; `scalar` reads `lhs` and a
/// number; `along` reads `input` and an axis. Operations that are not in the table go to the
/// function after `else`.
macro_rules! operations {
    ($(#[$doc:meta])* $name:ident($family:ident) of $kind:ident into $insert:ident, else $rest:ident;
     unary: $($unary:ident $unary_fn:ident),*;
     binary: $($binary:ident $binary_fn:ident),*;
     scalar: $($scalar:ident $scalar_fn:ident),*;
     along: $($along:ident $along_fn:ident),*) => {
        $(#[$doc])*
        pub(super) fn $name<B: Backend>(operation: &$family, env: &mut Environment<B>) -> Result<()> {
            let (out, value) = match operation {
                $($family::$unary(op) => (&op.out, B::$unary_fn(env.$kind(&op.input)?)),)*
                $($family::$binary(op) => (&op.out, B::$binary_fn(env.$kind(&op.lhs)?, env.$kind(&op.rhs)?)),)*
                $($family::$scalar(op) => (&op.out, B::$scalar_fn(env.$kind(&op.lhs)?, op.rhs.into())),)*
                $($family::$along(op) => (&op.out, B::$along_fn(env.$kind(&op.input)?, op.axis)),)*
                other => return $rest(other, env),
            };
            env.$insert(out.id, value);
            Ok(())
        }
    };
}

/// The same as [`operations`], for results of another kind, whose type is an argument of the
/// functions.
macro_rules! questions {
    ($(#[$doc:meta])* $name:ident($family:ident) of $kind:ident into $insert:ident as $type:ident, else $rest:ident;
     unary: $($unary:ident $unary_fn:ident),*;
     binary: $($binary:ident $binary_fn:ident),*;
     scalar: $($scalar:ident $scalar_fn:ident),*;
     along: $($along:ident $along_fn:ident),*) => {
        $(#[$doc])*
        pub(super) fn $name<B: Backend>(operation: &$family, env: &mut Environment<B>) -> Result<()> {
            let outcome = env.$type;
            let (out, value) = match operation {
                $($family::$unary(op) => (&op.out, B::$unary_fn(env.$kind(&op.input)?, outcome)),)*
                $($family::$binary(op) => {
                    (&op.out, B::$binary_fn(env.$kind(&op.lhs)?, env.$kind(&op.rhs)?, outcome))
                })*
                $($family::$scalar(op) => (&op.out, B::$scalar_fn(env.$kind(&op.lhs)?, op.rhs.into(), outcome)),)*
                $($family::$along(op) => (&op.out, B::$along_fn(env.$kind(&op.input)?, op.axis, outcome)),)*
                other => return $rest(other, env),
            };
            env.$insert(out.id, value);
            Ok(())
        }
    };
}

pub(super) use {operations, questions};
