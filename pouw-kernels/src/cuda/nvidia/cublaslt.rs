//! NVIDIA's own int8 product, cuBLASLt, opened at run time: what ours is compared with.

use std::ffi::c_void;
use std::rc::Rc;

use cudarc::cublaslt::{result, sys};
use cudarc::driver::result as driver;

use super::Nvidia;
use crate::cuda::driver::{Address, Driver, Stream};
use crate::cuda::kernels::Product;

/// Ways to multiply that it is asked for; the fastest of them counts.
const MAX_ALGORITHMS: usize = 16;
/// Bytes of scratch memory that it may use: its own default for the newest GPUs.
const WORKSPACE_BYTES: usize = 32 << 20;
/// `CUBLAS_OP_T` of cublas_api.h: an operand is taken transposed.
const OP_T: i32 = 1;
/// Timed runs of each way.
const RUNS: usize = 3;

/// The library, open.
pub(in crate::cuda) struct CublasLt(Rc<Handle>);

struct Handle(sys::cublasLtHandle_t);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the library gave it, and it is used for the last time.
        let _ = unsafe { result::destroy_handle(self.0) };
    }
}

fn refused(error: result::CublasError) -> String {
    format!("cuBLASLt refuses: {error}")
}

impl CublasLt {
    /// Opens it, for the GPU whose context is current; else a sentence that says what is missing.
    pub(in crate::cuda) fn open() -> Result<Self, String> {
        // SAFETY: loading NVIDIA's library runs its initialisers, which is what it is for.
        if !unsafe { sys::is_culib_present() } {
            return Err(
                "cuBLASLt (libcublasLt.so) was not found; it comes with the CUDA toolkit, or with the PyPI package \
                 nvidia-cublas whose lib folder is to be on LD_LIBRARY_PATH"
                    .into(),
            );
        }
        let handle = result::create_handle().map_err(refused)?;
        Ok(CublasLt(Rc::new(Handle(handle))))
    }

    /// The fastest of its products of these operands, ready to be enqueued among the driver's kernels any number of times,
    /// for as long as the driver and the operands are there.
    pub(in crate::cuda) fn prepare(
        &self,
        gpu: &mut Nvidia,
        of: &Product,
    ) -> Result<Box<dyn FnMut() -> Result<(), String>>, String> {
        let mut call = Call::new(Rc::clone(&self.0), gpu, of)?;
        let events = (|| Ok((gpu.event()?, gpu.event()?)))()
            .map_err(|fault: crate::cuda::driver::Fault| format!("{fault:?}"))?;
        let mut best: Option<(f32, usize)> = None;
        for at in 0..call.algorithms.len() {
            // One run to warm up; a way that it proposes and then refuses is none.
            if call.enqueue(at).is_err() {
                continue;
            }
            let mut runs = Vec::with_capacity(RUNS);
            for _ in 0..RUNS {
                let mut timed = || {
                    gpu.record(events.0, Stream::Compute)?;
                    let enqueued = call.enqueue(at);
                    gpu.record(events.1, Stream::Compute)?;
                    gpu.finish(events.1)?;
                    Ok((enqueued, gpu.elapsed_ms(events.0, events.1)?))
                };
                let (enqueued, ms) =
                    timed().map_err(|fault: crate::cuda::driver::Fault| format!("{fault:?}"))?;
                if enqueued.is_ok() {
                    runs.push(ms);
                }
            }
            runs.sort_by(f32::total_cmp);
            if let Some(&ms) = runs.get(runs.len() / 2)
                && best.is_none_or(|(least, _)| ms < least)
            {
                best = Some((ms, at));
            }
        }
        let (_, at) = best.ok_or("cuBLASLt has no int8 product of this shape on this GPU")?;
        Ok(Box::new(move || call.enqueue(at).map_err(refused)))
    }
}

/// One product as it describes them.
struct Call {
    handle: Rc<Handle>,
    operation: sys::cublasLtMatmulDesc_t,
    layouts: [sys::cublasLtMatrixLayout_t; 3],
    algorithms: Vec<sys::cublasLtMatmulAlgo_t>,
    workspace: Address,
    stream: sys::cudaStream_t,
    a: Address,
    bt: Address,
    c: Address,
}

impl Call {
    /// Its matrices are column-major: our A (m×k, row-major) is its k×m, transposed; our Bt (n×k) is its B (k×n) as it
    /// stands; its C is the transpose of ours, which takes the same time.
    fn new(handle: Rc<Handle>, gpu: &Nvidia, of: &Product) -> Result<Self, String> {
        use sys::{cublasLtMatmulDescAttributes_t as Attribute, cudaDataType_t as Type};
        let operation = result::create_matmul_desc(
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32I,
            Type::CUDA_R_32I,
        )
        .map_err(refused)?;
        let mut call = Call {
            handle,
            operation,
            layouts: [std::ptr::null_mut(); 3],
            algorithms: Vec::new(),
            workspace: 0,
            stream: gpu.stream(Stream::Compute).cast(),
            a: of.a,
            bt: of.b,
            c: of.c,
        };
        let transposed = OP_T;
        // SAFETY: the description was just made; the attribute is of that type.
        unsafe {
            result::set_matmul_desc_attribute(
                operation,
                Attribute::CUBLASLT_MATMUL_DESC_TRANSA,
                (&raw const transposed).cast(),
                size_of_val(&transposed),
            )
        }
        .map_err(refused)?;
        let (m, n, k) = (u64::from(of.m), u64::from(of.n), u64::from(of.k));
        let shapes = [
            (Type::CUDA_R_8I, k, m),
            (Type::CUDA_R_8I, k, n),
            (Type::CUDA_R_32I, m, n),
        ];
        for (layout, (kind, rows, columns)) in call.layouts.iter_mut().zip(shapes) {
            *layout =
                result::create_matrix_layout(kind, rows, columns, rows as i64).map_err(refused)?;
        }
        // SAFETY: the context is current; the memory is freed in `drop`.
        call.workspace = unsafe { driver::malloc_sync(WORKSPACE_BYTES) }
            .map_err(|error| format!("no memory for cuBLASLt's workspace: {error}"))?;
        call.algorithms = call.propose()?;
        Ok(call)
    }

    fn propose(&self) -> Result<Vec<sys::cublasLtMatmulAlgo_t>, String> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = result::create_matmul_pref().map_err(refused)?;
        let [a, b, c] = self.layouts;
        let workspace = WORKSPACE_BYTES;
        let mut found = [const { std::mem::MaybeUninit::uninit() }; MAX_ALGORITHMS];
        let mut count = 0;
        // SAFETY: all descriptions live until `drop`, the preference until the end of this block; at most as many results
        // are written as there is room for, and `count` says how many.
        let proposed = unsafe {
            let proposed = result::set_matmul_pref_attribute(
                preference,
                Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                (&raw const workspace).cast(),
                size_of_val(&workspace),
            )
            .and_then(|()| {
                sys::cublasLtMatmulAlgoGetHeuristic(
                    self.handle.0,
                    self.operation,
                    a,
                    b,
                    c,
                    c,
                    preference,
                    MAX_ALGORITHMS as i32,
                    found.as_mut_ptr().cast(),
                    &mut count,
                )
                .result()
            });
            let _ = result::destroy_matmul_pref(preference);
            proposed
        };
        proposed.map_err(refused)?;
        let written = usize::try_from(count).unwrap_or(0).min(MAX_ALGORITHMS);
        let results = found[..written].iter().map(|found| {
            // SAFETY: the library wrote the first `count` of them.
            unsafe {
                std::mem::MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::assume_init_read(
                    found,
                )
            }
        });
        Ok(results
            .filter(|found| found.state == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS)
            .map(|found| found.algo)
            .collect())
    }

    fn enqueue(&mut self, at: usize) -> Result<(), result::CublasError> {
        let (one, zero) = (1i32, 0i32);
        let [a, b, c] = self.layouts;
        let pointer = |at: Address| at as *mut c_void;
        // SAFETY: descriptions, workspace and operands are there, of the shapes that the layouts say; the factors are read
        // before the call returns.
        unsafe {
            result::matmul(
                self.handle.0,
                self.operation,
                (&raw const one).cast(),
                (&raw const zero).cast(),
                pointer(self.a),
                a,
                pointer(self.bt),
                b,
                pointer(self.c),
                c,
                pointer(self.c),
                c,
                &self.algorithms[at],
                pointer(self.workspace),
                WORKSPACE_BYTES,
                self.stream,
            )
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // SAFETY: each came from the library or the driver and is used for the last time; nothing is in flight, since every
        // run is waited for.
        unsafe {
            for layout in self.layouts.into_iter().filter(|layout| !layout.is_null()) {
                let _ = result::destroy_matrix_layout(layout);
            }
            let _ = result::destroy_matmul_desc(self.operation);
            if self.workspace != 0 {
                let _ = driver::free_sync(self.workspace);
            }
        }
    }
}
