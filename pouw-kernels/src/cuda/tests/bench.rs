//! What is measured of the kernels alone.

use super::*;
use crate::cuda::bench::tests::measured;
use crate::cuda::driver::Fault;
use crate::cuda::multiply::Mode;

fn shape() -> Shape {
    Shape::new(32, 48, 256).unwrap()
}

#[test]
fn every_kernel_of_a_generation_runs_in_every_mode_beside_the_vendors() {
    for capability in CAPABILITIES {
        let world = world(PLENTY);
        let mut driver = open(&world, capability, 1)().unwrap();
        let figures = measured(&mut *driver, shape(), Ok(())).unwrap();
        let ways = Multiply::of(capability);
        assert!(ways.iter().any(|way| way.name() == figures.kernel));
        for time in [figures.plain, figures.filler, figures.exact] {
            assert!(time > Duration::ZERO && time < Duration::from_secs(60));
        }
        let parts = figures.parts;
        for time in [
            parts.upload,
            parts.commit,
            parts.noise,
            parts.operands,
            parts.download,
        ] {
            assert!(time > Duration::ZERO && time < Duration::from_secs(60));
        }
        assert!(figures.cublaslt.is_ok_and(|time| time < figures.plain));
        let launched = &world.lock().launched;
        for way in ways {
            for mode in Mode::ALL {
                let name = way.kernel(mode);
                // One round to warm up, and two that count, of eight launches each.
                assert_eq!(launched.iter().filter(|ran| **ran == name).count(), 24);
            }
        }
    }
}

#[test]
fn without_the_vendors_product_the_kernels_are_measured_all_the_same() {
    let mut driver = open(&world(PLENTY), (7, 5), 1)().unwrap();
    let figures = measured(&mut *driver, shape(), Err("it was not found".into())).unwrap();
    assert_eq!(figures.cublaslt, Err("it was not found".into()));
    assert!(figures.plain > Duration::ZERO);
}

#[test]
fn a_shape_that_does_not_fit_is_refused_and_a_lost_gpu_is_lost() {
    let small = world(60_000);
    let mut driver = open(&small, (8, 0), 1)().unwrap();
    let refused = measured(&mut *driver, shape(), Ok(()));
    assert!(matches!(refused, Err(Fault::OutOfMemory { needs }) if needs > 40_000));
    let breaking = world(PLENTY);
    breaking.lock().lose_after = Some(6);
    let mut driver = open(&breaking, (8, 0), 1)().unwrap();
    let lost = measured(&mut *driver, shape(), Ok(()));
    assert!(matches!(lost, Err(Fault::Lost(_))), "{lost:?}");
}
