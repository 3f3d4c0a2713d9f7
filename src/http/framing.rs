//! Message bodies: chunked and fixed-length framing.
