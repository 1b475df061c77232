//! How a setup file, environment variables and flags become settings, and how mistakes in them are told: with file, line and path.
//!
//! A [`Table`] says which keys there are. Reading, "did you mean", `config show`, the JSON Schema and the reference page all come
//! from it. What a value means to a server or a client is not known here. An [`invitation`] is written and read here too, since
//! servers write it and clients read it.

mod file;
pub mod invitation;
mod meant;
mod place;
pub mod reference;
mod settings;
mod table;
pub mod value;

pub use meant::{nearest, unknown_variables};
pub use place::{KeyPath, Origin, Place, Problem, Problems};
pub use settings::{Row, Settings, Shown};
pub use table::{Key, Preset, Shape, Table, Word};
