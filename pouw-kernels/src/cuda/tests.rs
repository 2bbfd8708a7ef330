//! The device from outside, over kernels that run on the host.
