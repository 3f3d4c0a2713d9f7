//! The thin shell: the only place that names monoio, sockets, threads and clocks.
