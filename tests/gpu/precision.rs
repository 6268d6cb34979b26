//! Number formats on a GPU: what must be exact is exact, whatever the process allows.

use seed::config::Config;
use seed::distill::loss::naive_loss;
use seed::distill::{Temperatures, seed_loss};
use seed::infer::{Output, Session};
use seed::model::unit_rows;
use tch::{Device, Kind, Tensor};

use crate::runs::*;
use crate::sessions::{options, view};
use crate::stand_in::{Event, Gpu};

/// (rows, 64) unit rows in float64.
fn rows(count: i64, seed: i64) -> Tensor {
    let wave: Vec<f64> = (0..count * 64).map(|i| ((i * i + 7 * seed + 1) as f64 * 0.618_033).sin()).collect();
    unit_rows(&Tensor::from_slice(&wave).view([count, 64])).unwrap()
}

#[test]
fn the_loss_is_exact_where_tensor_float_32_is_allowed() {
    let gpu = Gpu::take();
    gpu.allow_tf32(true);
    let on_gpu = |tensor: &Tensor| tensor.to_kind(Kind::Float).to_device(Device::Cuda(0));
    let (s, t, queue) = (rows(8, 1), rows(8, 2), rows(5000, 3));
    // That it is allowed shows in a product that nobody protects.
    let rough = on_gpu(&s).matmul(&on_gpu(&queue).tr()).to_device(Device::Cpu);
    assert!((rough - s.matmul(&queue.tr())).abs().max().double_value(&[]) > 1e-5);
    assert_eq!(gpu.count(Event::Tf32Product), 1);
    for teacher in [0.01, 1e-4] {
        gpu.reset();
        let temperatures = Temperatures { student: 0.2, teacher };
        let leaf = s.detach().set_requires_grad(true);
        let wanted = naive_loss(&leaf, &t, &queue, temperatures).unwrap();
        wanted.backward();
        let found = seed_loss(&on_gpu(&s), &on_gpu(&t), &on_gpu(&queue), temperatures).unwrap();
        assert_eq!(gpu.count(Event::Tf32Product), 0);
        let (value, wanted) = (found.value.double_value(&[]), wanted.double_value(&[]));
        assert!((value - wanted).abs() < 2e-5 * wanted, "{value} for {wanted} at {teacher}");
        assert!(apart(&leaf.grad(), &found.gradient.to_device(Device::Cpu)) < 1e-4, "at {teacher}");
    }
}

/// Where all rows point one way but for `apart`, the gradient along the sphere is about `apart`² long and a difference of means of length 1:
/// float32 keeps ε/apart² of it, and that on both devices.
#[test]
fn rows_that_point_one_way_cost_both_devices_the_same_digits() {
    let _gpu = Gpu::take();
    let direction = rows(1, 9);
    for spread in [1.0, 0.3, 0.1, 0.03] {
        let near =
            |count: i64, seed: i64| unit_rows(&(&direction + spread * rows(count, seed))).unwrap().to_kind(Kind::Float);
        let (s, t, queue) = (rows(8, 1).to_kind(Kind::Float), near(8, 2), near(500, 3));
        // What of the gradient is left behind the normalisation of s.
        let gradient = |kind: Kind, device: Device| {
            let [s, t, queue] = [&s, &t, &queue].map(|rows| rows.to_kind(kind).to_device(device));
            let found = seed_loss(&s, &t, &queue, Temperatures::default()).unwrap().gradient;
            let (found, s) =
                (found.to_device(Device::Cpu).to_kind(Kind::Double), s.to_device(Device::Cpu).to_kind(Kind::Double));
            &found - (&found * &s).sum_dim_intlist([1i64].as_slice(), true, Kind::Double) * &s
        };
        let exact = gradient(Kind::Double, Device::Cpu);
        let [cpu, gpu] = [Device::Cpu, Device::Cuda(0)].map(|device| apart(&exact, &gradient(Kind::Float, device)));
        assert!(gpu < 5.0 * cpu && cpu < 5.0 * gpu, "spread {spread}: CPU {cpu:e}, GPU {gpu:e}");
    }
}

#[test]
fn no_methods_loss_is_rounded() {
    let gpu = Gpu::take();
    gpu.allow_tf32(true);
    // The networks may use it, where the process allows it; their products are the same with each method.
    let products = |method: &str| {
        let mut config = config(GPU, 1);
        config.set_string("method", method).unwrap();
        let mut run = run(&config, teacher(GPU));
        gpu.reset();
        losses(&mut run, None).unwrap();
        gpu.count(Event::Tf32Product)
    };
    let of_networks = products("l2");
    assert!(of_networks > 0);
    for method in ["seed", "binary_contrastive"] {
        assert_eq!(products(method), of_networks, "{method}");
    }
}

#[test]
fn pixels_are_exact_where_tensor_float_32_is_allowed() {
    let gpu = Gpu::take();
    gpu.allow_tf32(true);
    let products = |place: &str| {
        let mut config = config(GPU, 3);
        config.set_string("view.device", place).unwrap();
        config.view.blur_probability = 1.0;
        let mut run = run(&Config { precision: seed::config::Precision::Fp32, ..config }, teacher(GPU));
        gpu.reset();
        losses(&mut run, None).unwrap();
        gpu.count(Event::Tf32Product)
    };
    assert_eq!(products("device"), products("workers"), "blur multiplies by exact weights");
    let session =
        Session::new(&network("mobilenet_v3_small", 7, CPU), &view(), options(Device::Cuda(0), Output::Embedding));
    let session = session.unwrap();
    let bytes = Tensor::from_slice(&pixels(3, 61)).view([1, 61, 61, 1]).to_device(Device::Cuda(0));
    gpu.reset();
    let _rows = session.embed_tensor(&bytes).unwrap();
    let with_resize = gpu.count(Event::Tf32Product);
    gpu.reset();
    let ready = Tensor::zeros([1, 3, 32, 48], (Kind::Float, Device::Cuda(0)));
    let _rows = session.embed_tensor(&ready).unwrap();
    assert_eq!(with_resize, gpu.count(Event::Tf32Product), "resizing multiplies by exact weights");
}
