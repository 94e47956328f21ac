//! What the fuzz targets do with their input. Each is a plain function of bytes that panics where
//! something does not hold; the tests replay the corpus with any compiler.

pub mod decode;
pub mod framer;
pub mod session;
pub mod sn_decode;
pub mod topics;
