//! What the error bodies of providers mean.
