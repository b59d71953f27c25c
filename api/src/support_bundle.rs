//! Archive of a support bundle: its files, their descriptions, and the page that explains them.

mod archive;
mod contents;
mod page;

pub(crate) use archive::write_archive;
pub use contents::{BundleContents, BundleFile, LeftOutData};
