//! `labora job result`: fetches the results of a job, checks each, and writes them once all are right.

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use labora_market::{
    matrices::{Matrices, MatrixError, Remote},
    types::{JobInfo, StageInfo},
};
use labora_pouw::{Hash, Shape, TILE};
use pallet_jobs::JobId;
use serde_json::json;
use tempfile::NamedTempFile;

use super::{job, record::Record, stage_name};
use crate::wallet::{
    WalletError,
    act::{Trace, Wallet},
    flags::{MatricesParams, ReadParams},
    matrix::{self, Header, MAX_BYTES, Sides},
    progress,
    show::Out,
};

/// Which job, and where its results go.
#[derive(Args, Clone, Debug)]
pub struct ResultOptions {
    /// Number of the job.
    #[arg(value_name = "JOB")]
    pub job: JobId,

    /// File of the result, or folder for job-NUMBER-PRODUCT.npy: int32, row-major.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub out: PathBuf,

    /// Rows and columns without padding, such as 1000,300: once for all products, or once for each. Default: what the record says.
    #[arg(long, value_name = "M,N", conflicts_with = "record")]
    pub shape: Vec<Sides>,

    /// The record that `labora job post` has written. Default: job-NUMBER.json in this folder or in that of --out, if it is there.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Replace files that are there.
    #[arg(long)]
    pub force: bool,

    /// Where the matrices come from.
    #[clap(flatten)]
    pub matrices: MatricesParams,

    /// How.
    #[clap(flatten)]
    pub read: ReadParams,
}

/// A product, its result, and where that goes.
#[derive(Clone, Debug)]
struct Wanted {
    at: usize,
    shape: Shape,
    a: Hash,
    c: Hash,
    sides: Sides,
    path: PathBuf,
}

/// Where the results of so many products go.
fn paths(out: &Path, job: JobId, products: usize) -> Vec<PathBuf> {
    let is_folder =
        products != 1 || out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/");
    match is_folder {
        false => vec![out.to_owned()],
        true => (0..products)
            .map(|at| out.join(format!("job-{job}-{at}.npy")))
            .collect(),
    }
}

/// The shapes of all products without padding, as far as they are known.
fn crops(
    options: &ResultOptions,
    genesis: labora_runtime::Hash,
    it: &JobInfo,
) -> Result<Option<Vec<Sides>>, WalletError> {
    let products = it.products.len();
    match &options.shape[..] {
        [] => {}
        [one] => return Ok(Some(vec![*one; products])),
        each if each.len() == products => return Ok(Some(each.to_vec())),
        other => {
            return Err(WalletError::Shapes {
                got: other.len(),
                products,
            });
        }
    }
    let record = match &options.record {
        Some(path) => Some(Record::read(path, genesis, it)?),
        None => {
            let beside = options.out.parent().map(Path::to_owned);
            let folders = [Some(PathBuf::from(".")), Some(options.out.clone()), beside];
            let folders: Vec<PathBuf> = folders.into_iter().flatten().collect();
            Record::find(&folders, genesis, it)?
        }
    };
    Ok(record.map(|record| {
        record
            .products
            .iter()
            .map(|product| product.sides)
            .collect()
    }))
}

/// What is to be fetched and written; fails before anything is where something would be in the way.
fn wanted(
    options: &ResultOptions,
    it: &JobInfo,
    crops: Option<&[Sides]>,
) -> Result<Vec<Wanted>, WalletError> {
    let paths = paths(&options.out, it.job, it.products.len());
    let mut all = Vec::new();
    for ((at, product), path) in it.products.iter().enumerate().zip(paths) {
        let c = product.c.ok_or(WalletError::NoResult {
            job: it.job,
            stage: stage_name(it.stage),
        })?;
        let shape = Shape::new(product.m, it.n, it.k).map_err(|_| WalletError::NoSense(it.job))?;
        let whole = Sides {
            m: shape.m(),
            n: shape.n(),
        };
        let sides = crops
            .and_then(|crops| crops.get(at))
            .copied()
            .unwrap_or(whole);
        if !(1..=whole.m).contains(&sides.m) || !(1..=whole.n).contains(&sides.n) {
            return Err(WalletError::Crop {
                at,
                m: sides.m,
                n: sides.n,
                of_m: whole.m,
                of_n: whole.n,
            });
        }
        if shape.c_len() > MAX_BYTES {
            return Err(WalletError::TooLarge {
                job: it.job,
                at,
                bytes: shape.c_len(),
            });
        }
        if path.exists() && !options.force {
            return Err(WalletError::Exists(path));
        }
        all.push(Wanted {
            at,
            shape,
            a: product.a.0,
            c: c.0,
            sides,
            path,
        });
    }
    match all.is_empty() {
        true => Err(WalletError::NoSense(it.job)),
        false => Ok(all),
    }
}

/// Fetches a matrix, and shows how far that is.
pub(super) async fn fetch(
    from: &Remote,
    what: &str,
    root: Hash,
    bytes: u64,
) -> Result<Arc<Vec<u8>>, MatrixError> {
    let traffic = from.traffic();
    let fetched = progress::during(what, bytes, || traffic.received(), from.fetch(root, bytes));
    fetched.await.map(Arc::new)
}

/// Fetches A and C of product `at` of a job.
pub(super) async fn fetch_product(
    from: &Remote,
    at: usize,
    shape: Shape,
    (a, c): (Hash, Hash),
) -> Result<(Arc<Vec<u8>>, Arc<Vec<u8>>), MatrixError> {
    let name = |what: &str| format!("{what} of product {at}");
    let a = fetch(from, &name("A"), a, shape.a_len()).await?;
    let c = fetch(from, &name("C"), c, shape.c_len()).await?;
    Ok((a, c))
}

/// Writes a result beside where it goes, under another name. Dropped before it is persisted, it is removed.
async fn write(wanted: &Wanted, c: &[u8]) -> Result<NamedTempFile, WalletError> {
    let failed = |error| WalletError::Write {
        path: wanted.path.clone(),
        error,
    };
    let folder = wanted
        .path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::Builder::new()
        .prefix(".labora-")
        // As other programs make files: what the user's mask leaves.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    let Sides { m, n } = wanted.sides;
    file.write_all(&Header::int32(m, n)).map_err(failed)?;
    let band = 4 * TILE * wanted.shape.n() as usize;
    for (band, top) in c.chunks_exact(band).zip((0..m as usize).step_by(TILE)) {
        let rows = matrix::rows_of(band, wanted.shape.n(), m as usize - top, n);
        file.write_all(&rows).map_err(failed)?;
        // So that Ctrl-C is seen between.
        tokio::task::yield_now().await;
    }
    file.flush().map_err(failed)?;
    Ok(file)
}

/// Fetches a product, checks it, and writes it under a name of its own.
async fn product(
    from: &Remote,
    job: JobId,
    wanted: &Wanted,
    bt: &Arc<Vec<u8>>,
) -> Result<NamedTempFile, WalletError> {
    let shape = wanted.shape;
    let (a, c) = fetch_product(from, wanted.at, shape, (wanted.a, wanted.c)).await?;
    let (left, right, result, root) = (a, Arc::clone(bt), Arc::clone(&c), wanted.c);
    let doing = format!("checking product {}", wanted.at);
    let checked = progress::working(&doing, move || {
        matrix::check(shape, (&left, &right, &result), &root)
    });
    let wrong = |error| WalletError::Wrong {
        job,
        at: wanted.at,
        error,
    };
    checked.await?.map_err(wrong)?;
    write(wanted, &c).await
}

/// Fetches, checks and writes the results.
pub(super) async fn run(options: &ResultOptions, trace: &Trace) -> Result<(), WalletError> {
    let endpoint = options.matrices.endpoint()?;
    let wallet = Wallet::connect(&options.read.node, trace).await?;
    let it = job(&wallet.chain, options.job).await?;
    let crops = crops(options, wallet.chain.genesis(), &it)?;
    let all = wanted(options, &it, crops.as_deref())?;
    let b_bytes = u64::from(it.n) * u64::from(it.k);
    let bt = fetch(&endpoint, "Bt", it.b.0, b_bytes).await?;
    let mut files = Vec::new();
    for wanted in &all {
        files.push(product(&endpoint, it.job, wanted, &bt).await?);
    }
    for (file, wanted) in files.into_iter().zip(&all) {
        let persisted = match options.force {
            true => file.persist(&wanted.path),
            false => file.persist_noclobber(&wanted.path),
        };
        persisted.map_err(|error| WalletError::Write {
            path: wanted.path.clone(),
            error: error.error,
        })?;
    }
    report(options, &it, &all, crops.is_some())
}

fn report(
    options: &ResultOptions,
    it: &JobInfo,
    all: &[Wanted],
    is_cropped: bool,
) -> Result<(), WalletError> {
    let out = Out::new(options.read.json);
    let files = all.iter().map(|wanted| {
        json!({
            "product": wanted.at,
            "m": wanted.sides.m,
            "n": wanted.sides.n,
            "file": wanted.path.display().to_string(),
        })
    });
    out.json(&json!({
        "job": it.job,
        "stage": stage_name(it.stage),
        "checked": true,
        "files": files.collect::<Vec<_>>(),
    }))?;
    let mut rows = vec![["product", "shape", "file"].map(String::from)];
    for wanted in all {
        let shape = format!("{}×{}", wanted.sides.m, wanted.sides.n);
        rows.push([
            wanted.at.to_string(),
            shape,
            wanted.path.display().to_string(),
        ]);
    }
    out.table(&rows)?;
    out.say("Each is A·B: checked by its hashes and by Freivalds' test, which a wrong result passes once in 2⁶¹.")?;
    if !is_cropped {
        out.say("Padding is in them, if there was any: no record of the job was found, and no --shape given.")?;
    }
    match it.stage {
        StageInfo::Submitted if it.payer.is_some() => {
            out.say("Its audit is not over; the worker is paid when it is.")
        }
        StageInfo::Submitted => out.say(&format!(
            "Its audit is not over. → labora job accept {} pays the worker now.",
            it.job
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
