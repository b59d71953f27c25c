//! Tests of the console over HTTP, as a browser without scripts uses it.

mod fixture;
mod pages;
mod sign_in;
