//! Runs the CUDA kernels of `pouw-kernels/cuda` on the host, thread block by thread block, for tests.
