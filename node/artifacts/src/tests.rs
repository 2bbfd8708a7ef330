#![expect(
    clippy::single_range_in_vec_init,
    reason = "lists of ranges are compared, of which there may be one"
)]

use std::{
    fs,
    io::Read,
    path::Path,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::pins::MAX_HOLDERS;

/// Who pins by hand.
fn by_hand() -> Holder {
    Holder::default()
}

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    artifacts: 100,
};

/// Different bytes for each seed, of no group the same.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut reader = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    let mut bytes = vec![0; len];
    reader.fill(&mut bytes);
    bytes
}

fn root(bytes: &[u8]) -> Root {
    blake3::hash(bytes).into()
}

struct Scene {
    folder: TempDir,
    store: Option<Store>,
    limits: Limits,
}

impl Scene {
    fn new(limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(folder.path(), limits).expect("an empty folder");
        Self {
            folder,
            store: Some(store),
            limits,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open")
    }

    /// As after a start.
    fn again(&mut self) {
        self.store = None;
        self.store = Some(Store::open(self.folder.path(), self.limits).expect("it opens again"));
    }

    fn put(&self, data: &[u8]) -> Root {
        let put = self.store().put(data, data.len() as u64, None);
        put.expect("there is room")
    }

    fn read(&self, root: &Root) -> Vec<u8> {
        let artifact = self.store().get(root).expect("it is there");
        let mut bytes = vec![0; artifact.bytes() as usize];
        let mut read = 0;
        while read < bytes.len() {
            let more = artifact.read_at(&mut bytes[read..], read as u64);
            match more.expect("the disk is fine") {
                0 => panic!("it ends after {read} bytes"),
                more => read += more,
            }
        }
        bytes
    }

    /// Bytes in files that belong to artifacts.
    fn on_disk(&self) -> u64 {
        fn of(folder: &Path) -> u64 {
            let entries = fs::read_dir(folder).expect("a folder");
            let sizes = entries.map(|entry| {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => of(&path),
                    false => fs::metadata(&path).expect("a file").len(),
                }
            });
            sizes.sum()
        }
        of(self.folder.path())
    }

    fn file(&self, root: &Root, end: &str) -> std::path::PathBuf {
        let name = hex::encode(root);
        self.folder
            .path()
            .join(format!("objects/{}/{name}.{end}", &name[..2]))
    }

    /// What it was last used at, as after so many seconds of not being used.
    fn used_before(&mut self, root: &Root, seconds: u64) {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(self.file(root, "data"));
        let then = SystemTime::now() - Duration::from_secs(seconds);
        file.and_then(|file| file.set_modified(then))
            .expect("it is there");
    }
}

/// The encoding of a range.
fn encoded(store: &Store, root: &Root, range: std::ops::Range<u64>) -> Vec<u8> {
    let mut encoding = Vec::new();
    let artifact = store.get(root).expect("it is there");
    artifact
        .encode(range, &mut encoding)
        .expect("it is as it was");
    encoding
}

#[test]
fn what_is_put_is_there_under_its_hash_and_after_a_restart() {
    let mut scene = Scene::new(LIMITS);
    for len in [1, 1_023, 1_024, 16_384, 16_385, 100_000] {
        let data = bytes(len as u64, len);
        let name = scene.put(&data);
        assert_eq!(name, root(&data));
        assert_eq!(scene.read(&name), data);
        scene
            .store()
            .get(&name)
            .expect("it is there")
            .verify()
            .expect("it is right");
        assert_eq!(scene.put(&data), name, "again, which changes nothing");
    }
    let usage = scene.store().usage();
    assert_eq!((usage.artifacts, usage.stored), (6, scene.on_disk()));
    scene.again();
    assert_eq!(scene.store().usage(), usage);
    assert_eq!(
        scene.read(&root(&bytes(100_000, 100_000))),
        bytes(100_000, 100_000)
    );
}

#[test]
fn an_upload_that_is_not_what_it_should_be_leaves_nothing() {
    let scene = Scene::new(LIMITS);
    let data = bytes(1, 50_000);
    let put = |len, expected| scene.store().put(&data[..], len, expected);
    assert!(matches!(
        put(50_000, Some([1; 32])),
        Err(StoreError::Wrong(_))
    ));
    assert!(matches!(
        put(50_001, None),
        Err(StoreError::Short { expected: 50_001 })
    ));
    assert!(matches!(put(0, None), Err(StoreError::Size(0))));
    assert!(matches!(put(MAX_BYTES + 1, None), Err(StoreError::Size(_))));
    let failing = bytes(2, 30_000).chain(Failing);
    assert!(matches!(
        scene.store().put(failing, 50_000, None),
        Err(StoreError::Io(_))
    ));
    assert_eq!(scene.on_disk(), 0);
    assert_eq!(scene.store().usage().reserved, 0);
    // More than was said is left to the sender.
    assert_eq!(put(100, None).expect("there is room"), root(&data[..100]));
}

trait Chained {
    fn chain(self, next: impl Read) -> impl Read;
}

impl Chained for Vec<u8> {
    fn chain(self, next: impl Read) -> impl Read {
        Read::chain(std::io::Cursor::new(self), next)
    }
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::ConnectionReset.into())
    }
}

#[test]
fn a_download_is_resumed_after_a_restart_and_takes_ranges_in_any_order() {
    let source = Scene::new(LIMITS);
    let data = bytes(3, 200_000);
    let name = source.put(&data);
    let mut scene = Scene::new(LIMITS);
    let mut download = scene
        .store()
        .download(name, 200_000)
        .expect("there is room");
    assert_eq!(download.missing().expect("the disk is fine"), [0..200_000]);
    assert!(matches!(
        scene.store().download(name, 200_000),
        Err(StoreError::UnderWay(_))
    ));
    let second = 65_536..131_072;
    let encoding = encoded(source.store(), &name, second.clone());
    download.take(second, &encoding[..]).expect("it is right");
    drop(download);
    assert!(scene.store().info(&name).is_none());
    scene.again();
    let mut download = scene.store().download(name, 200_000).expect("it goes on");
    let missing = download.missing().expect("the disk is fine");
    assert_eq!(missing, [0..65_536, 131_072..200_000]);
    for range in missing.into_iter().rev() {
        let encoding = encoded(source.store(), &name, range.clone());
        download.take(range, &encoding[..]).expect("it is right");
    }
    assert_eq!(download.finish().expect("all is there"), name);
    assert_eq!(scene.read(&name), data);
    let usage = scene.store().usage();
    assert_eq!(
        (usage.artifacts, usage.reserved, usage.stored),
        (1, 0, scene.on_disk())
    );
}

#[test]
fn a_wrong_byte_is_noticed_in_its_group_and_what_came_before_is_kept() {
    let source = Scene::new(LIMITS);
    let data = bytes(4, 100_000);
    let name = source.put(&data);
    let encoding = encoded(source.store(), &name, 0..100_000);
    // The last byte of each of 6 whole groups lies before what follows of the tree.
    for (at, whole_groups) in [(0, 0), (encoding.len() / 2, 2), (encoding.len() - 1, 6)] {
        let scene = Scene::new(LIMITS);
        let mut download = scene
            .store()
            .download(name, 100_000)
            .expect("there is room");
        let mut wrong = encoding.clone();
        wrong[at] ^= 1;
        let refused = download.take(0..100_000, &wrong[..]);
        let Err(StoreError::Wrong(WrongBytes { offset })) = refused else {
            panic!("it was taken: {refused:?}");
        };
        let missing = download.missing().expect("the disk is fine");
        assert_eq!(missing, [offset..100_000], "byte {at}");
        assert!(offset >= whole_groups * GROUP_BYTES, "{offset}");
        assert!(matches!(download.finish(), Err(StoreError::Short { .. })));
    }
    let scene = Scene::new(LIMITS);
    let mut download = scene
        .store()
        .download(name, 100_000)
        .expect("there is room");
    let short = download.take(0..100_000, &encoding[..encoding.len() - 1]);
    assert!(matches!(
        short,
        Err(StoreError::Short { expected: 100_000 })
    ));
    // Another size is another artifact's.
    drop(download);
    let mut other = scene.store().download(name, 99_999).expect("there is room");
    assert!(matches!(
        other.take(0..99_999, &encoding[..]),
        Err(StoreError::Wrong(_))
    ));
    other.abandon().expect("the disk is fine");
    assert_eq!((scene.on_disk(), scene.store().usage().reserved), (0, 0));
}

#[test]
fn who_asks_what_is_missing_makes_no_room_for_it() {
    let scene = Scene::new(Limits {
        bytes: bytes_on_disk(100_000),
        artifacts: 100,
    });
    let here = scene.put(&bytes(0, 100_000));
    let other = root(&bytes(1, 100_000));
    let missing = || {
        scene
            .store()
            .missing(other, 100_000)
            .expect("the disk is fine")
    };
    assert_eq!(missing(), [0..100_000]);
    assert!(scene.store().info(&here).is_some(), "nothing was evicted");
    // Of a download that was begun it is what has not come.
    let source = Scene::new(LIMITS);
    source.put(&bytes(1, 100_000));
    let mut download = scene
        .store()
        .download(other, 100_000)
        .expect("there is room");
    let encoding = encoded(source.store(), &other, 0..65_536);
    download
        .take(0..65_536, &encoding[..])
        .expect("it is right");
    drop(download);
    assert_eq!(missing(), [65_536..100_000]);
}

#[test]
fn what_was_not_used_for_longest_goes_first_and_what_is_pinned_stays() {
    let mut scene = Scene::new(Limits {
        bytes: 3 * bytes_on_disk(100_000),
        artifacts: 100,
    });
    let names: Vec<Root> = (0..3)
        .map(|seed| scene.put(&bytes(seed, 100_000)))
        .collect();
    for (name, seconds) in names.iter().zip([1_000, 3_000, 2_000]) {
        scene.used_before(name, seconds);
    }
    scene.again();
    scene
        .store()
        .hold(&names[1], &by_hand())
        .expect("it is there");
    scene.again();
    let fourth = scene.put(&bytes(3, 100_000));
    let is_there = |name: &Root| scene.store().info(name).is_some();
    assert_eq!(
        [0, 1, 2].map(|at| is_there(&names[at])),
        [true, true, false]
    );
    // A reader keeps what it has opened.
    let open = scene.store().get(&names[0]).expect("it is there");
    scene
        .store()
        .hold(&fourth, &by_hand())
        .expect("it is there");
    let fifth = scene.put(&bytes(4, 100_000));
    assert!(!is_there(&names[0]));
    open.verify().expect("it can be read to its end");
    scene.store().hold(&fifth, &by_hand()).expect("it is there");
    let full = scene.store().put(&bytes(5, 1_000)[..], 1_000, None);
    assert!(
        matches!(
            full,
            Err(StoreError::Full {
                needed: 1_000,
                evictable: 0,
                ..
            })
        ),
        "{full:?}"
    );
    scene
        .store()
        .let_go(&names[1], &by_hand())
        .expect("it is there");
    scene.put(&bytes(5, 1_000));
    assert!(!is_there(&names[1]));
    scene.store().remove(&fourth).expect("it is there");
    assert!(!is_there(&fourth));
    assert_eq!(scene.store().usage().stored, scene.on_disk());
}

#[test]
fn each_holder_lets_go_of_what_it_keeps_itself() {
    let mut scene = Scene::new(LIMITS);
    let artifact = scene.put(&bytes(1, 50_000));
    let named = |name: &str| Holder::new(name).expect("a name");
    let (worker, other) = (named("work-5F-7"), named("work-5F-8"));
    let hold = |scene: &Scene, holder: &Holder| scene.store().hold(&artifact, holder);
    for holder in [&worker, &worker, &other, &by_hand()] {
        hold(&scene, holder).expect("it is there");
    }
    scene.again();
    let holders = |scene: &Scene| match &scene.store().held(None, None, 9)[..] {
        [(_, holders)] => holders.clone(),
        others => panic!("one artifact is there: {others:?}"),
    };
    assert_eq!(holders(&scene), [by_hand(), worker.clone(), other.clone()]);
    let held = scene.store().held(Some("work-5F-"), None, 9);
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].1, [worker.clone(), other.clone()]);
    assert!(
        scene
            .store()
            .held(Some("work-5F-"), Some(artifact), 9)
            .is_empty()
    );
    for holder in [&worker, &worker, &by_hand()] {
        let let_go = scene.store().let_go(&artifact, holder);
        let_go.expect("it is there");
        let info = scene.store().info(&artifact).expect("it is there");
        assert!(info.is_pinned, "others keep it");
    }
    scene.again();
    assert_eq!(holders(&scene), std::slice::from_ref(&other));
    for at in 1..MAX_HOLDERS {
        hold(&scene, &named(&format!("n{at}"))).expect("there may be so many");
    }
    let full = hold(&scene, &worker);
    assert!(matches!(full, Err(StoreError::Held(_))), "{full:?}");
    hold(&scene, &other).expect("it keeps it already");
    scene.store().remove(&artifact).expect("it is there");
    let again = scene.put(&bytes(1, 50_000));
    assert!(!scene.store().info(&again).expect("it is there").is_pinned);
    let unknown = scene.store().hold(&[1; 32], &worker);
    assert!(
        matches!(unknown, Err(StoreError::Unknown(_))),
        "{unknown:?}"
    );
    for name in ["", "a.b", "../x", "a b", &"a".repeat(97)] {
        assert_eq!(Holder::new(name), Err(HolderError), "{name}");
    }
}

#[test]
fn a_lower_cap_and_rests_of_a_killed_process_are_put_right_at_the_start() {
    let mut scene = Scene::new(LIMITS);
    let (first, second) = (scene.put(&bytes(1, 50_000)), scene.put(&bytes(2, 50_000)));
    scene.used_before(&first, 1_000);
    let third = scene.put(&bytes(3, 50_000));
    fs::remove_file(scene.file(&third, "tree")).expect("it is there");
    let folder = scene.folder.path();
    for rest in ["uploads/upload-x.data", "partial/none", "objects/none"] {
        fs::write(folder.join(rest), [0; 70_000]).expect("the folder is there");
    }
    scene.limits.bytes = bytes_on_disk(50_000);
    scene.again();
    let left: Vec<Root> = scene
        .store()
        .list(None, 9)
        .iter()
        .map(|it| it.root)
        .collect();
    assert_eq!(left, [second]);
    assert_eq!(scene.on_disk(), bytes_on_disk(50_000));
    let other = Store::open(scene.folder.path(), LIMITS);
    assert!(matches!(other, Err(OpenError::InUse(_))));
}

#[test]
fn a_disk_that_has_other_bytes_sends_none_of_them() {
    let scene = Scene::new(LIMITS);
    let name = scene.put(&bytes(1, 100_000));
    let path = scene.file(&name, "data");
    let mut data = fs::read(&path).expect("it is there");
    data[40_000] ^= 1;
    fs::write(&path, data).expect("it is there");
    let artifact = scene.store().get(&name).expect("it is there");
    let wrong = |refused| {
        matches!(
            refused,
            Err(StoreError::Wrong(WrongBytes { offset: 32_768 }))
        )
    };
    assert!(wrong(artifact.verify()));
    let mut encoding = Vec::new();
    assert!(wrong(artifact.encode(0..100_000, &mut encoding)));
    // A download takes what was sent before that.
    let other = Scene::new(LIMITS);
    let mut download = other
        .store()
        .download(name, 100_000)
        .expect("there is room");
    assert!(download.take(0..100_000, &encoding[..]).is_err());
    assert_eq!(
        download.missing().expect("the disk is fine"),
        [32_768..100_000]
    );
    // Ranges beyond are whole.
    artifact
        .encode(65_536..100_000, &mut Vec::new())
        .expect("it is right there");
}

/// Something that somebody does.
#[derive(Clone, Debug)]
enum Act {
    Put(u64, usize),
    Get(usize),
    Pin(usize, bool),
    Remove(usize),
    Begin(u64, usize),
    Abandon(usize),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let len = prop_oneof![1usize..40_000, Just(16_384), Just(120_000)];
    prop_oneof![
        6 => (0u64..20, len.clone()).prop_map(|(seed, len)| Act::Put(seed, len)),
        2 => (0usize..20).prop_map(Act::Get),
        2 => (0usize..20, any::<bool>()).prop_map(|(at, pin)| Act::Pin(at, pin)),
        1 => (0usize..20).prop_map(Act::Remove),
        2 => (0u64..20, len).prop_map(|(seed, len)| Act::Begin(seed, len)),
        1 => (0usize..20).prop_map(Act::Abandon),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn the_cap_is_never_passed_and_the_books_are_those_of_the_disk(acts in prop::collection::vec(act(), 1..40)) {
        let mut scene = Scene::new(Limits { bytes: 150_000, artifacts: 8 });
        let mut begun: Vec<Download> = Vec::new();
        for act in acts {
            let names: Vec<Root> = scene.store().list(None, 100).iter().map(|it| it.root).collect();
            let name = |at: usize| names.get(at % names.len().max(1));
            match act {
                Act::Put(seed, len) => {
                    let data = bytes(seed, len);
                    match scene.store().put(&data[..], len as u64, None) {
                        Ok(name) => prop_assert_eq!(scene.read(&name), data),
                        Err(StoreError::Full { .. } | StoreError::TooMany(_)) => {}
                        Err(error) => prop_assert!(false, "{error}"),
                    }
                }
                Act::Get(at) => if let Some(name) = name(at) {
                    prop_assert_eq!(root(&scene.read(name)), *name);
                },
                Act::Pin(at, pin) => if let Some(name) = name(at) {
                    let (store, holder) = (scene.store(), by_hand());
                    let done = if pin { store.hold(name, &holder) } else { store.let_go(name, &holder) };
                    done.expect("it is there");
                },
                Act::Remove(at) => if let Some(name) = name(at) {
                    scene.store().remove(name).expect("it is there");
                },
                Act::Begin(seed, len) => {
                    let name = root(&bytes(seed, len));
                    if let Ok(download) = scene.store().download(name, len as u64) {
                        begun.push(download);
                    }
                }
                Act::Abandon(at) => if !begun.is_empty() {
                    begun.swap_remove(at % begun.len()).abandon().expect("the disk is fine");
                },
                Act::Restart => {
                    begun.clear();
                    scene.again();
                }
            }
            let usage = scene.store().usage();
            prop_assert!(usage.stored + usage.reserved <= usage.limit);
            prop_assert!(scene.on_disk() <= usage.limit);
            prop_assert!(usage.artifacts <= 8);
        }
    }
}
