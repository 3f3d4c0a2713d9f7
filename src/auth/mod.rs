//! Keys: the clients' and the providers'.

pub mod secret;
