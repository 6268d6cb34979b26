//! Tensors of other libraries that lie on a GPU, or say so: their device is checked, and their deleter is called once, whatever comes of it.

use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};

use seed::ErrorKind;
use seed::infer::{Output, Session};
use seed::torch::dlpack::{Lent, export, import};
use tch::{Device, Kind, Tensor};

use crate::runs::{CPU as ON_CPU, apart, network};
use crate::sessions::{options, view};
use crate::stand_in::{Event, Gpu};

/// `DLManagedTensorVersioned` of dlpack.h, version 1.
#[repr(C)]
struct Managed {
    version: [u32; 2],
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
    flags: u64,
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    ndim: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

const CPU: i32 = 1;
const CUDA: i32 = 2;
const CUDA_HOST: i32 = 3;
const FLOAT: u8 = 2;

/// How often [`delete`] was called; the device's lock keeps tests from each other.
static DELETED: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn delete(managed: *mut Managed) {
    DELETED.fetch_add(1, Ordering::Relaxed);
    // SAFETY: made by `managed`, and called once.
    drop(unsafe { Box::from_raw(managed) });
}

/// Four numbers at `data`, said to be on a device.
fn managed(data: *mut c_void, shape: &mut [i64; 1], device_type: i32, device_id: i32) -> NonNull<c_void> {
    let managed = Managed {
        version: [1, 0],
        context: null_mut(),
        deleter: Some(delete),
        flags: 0,
        data,
        device_type,
        device_id,
        ndim: 1,
        code: FLOAT,
        bits: 32,
        lanes: 1,
        shape: shape.as_mut_ptr(),
        strides: null_mut(),
        byte_offset: 0,
    };
    NonNull::from(Box::leak(Box::new(managed))).cast()
}

#[test]
fn a_tensor_goes_out_and_in_on_its_device() {
    let _gpu = Gpu::take();
    for index in [0, 1] {
        let tensor = Tensor::from_slice(&[1f32, 2.0, 3.0]).to_device(Device::Cuda(index));
        let managed = NonNull::new(export(&tensor).unwrap()).unwrap();
        // SAFETY: just exported.
        let back = unsafe { import(managed) }.unwrap();
        assert_eq!((back.device(), back.data_ptr()), (Device::Cuda(index), tensor.data_ptr()));
        assert_eq!(apart(&tensor.to_device(Device::Cpu), &back.to_device(Device::Cpu)), 0.0);
    }
}

#[test]
fn a_device_that_is_not_the_datas_is_refused() {
    let _gpu = Gpu::take();
    let mut host = [1f32, 2.0, 3.0, 4.0];
    let device = Tensor::from_slice(&host).to_device(Device::Cuda(1));
    let (host, device) = (host.as_mut_ptr().cast::<c_void>(), device.data_ptr());
    let mut shape = [4];
    for (what, data, kind, id) in [
        ("beyond an int8", device, CUDA, 200),
        ("that an int8 takes for 0", device, CUDA, 256),
        ("below 0", device, CUDA, -1),
        ("that is not there", device, CUDA, 7),
        ("another GPU", device, CUDA, 0),
        ("of host memory", host, CUDA, 0),
        ("of another kind", host, 10, 0),
    ] {
        let before = DELETED.load(Ordering::Relaxed);
        // SAFETY: the struct is whole; what it says of the device is what is tested.
        let error = unsafe { import(managed(data, &mut shape, kind, id)) }.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{what}: {error}");
        assert!(error.message().contains("device"), "{what}: {error}");
        assert_eq!(DELETED.load(Ordering::Relaxed) - before, 1, "{what}");
    }
}

#[test]
fn pinned_memory_is_memory_of_the_host() {
    let _gpu = Gpu::take();
    let pinned = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0]).pin_memory(Device::Cuda(0));
    let mut shape = [4];
    for kind in [CUDA_HOST, CPU] {
        let before = DELETED.load(Ordering::Relaxed);
        // SAFETY: four numbers that outlive the tensor.
        let tensor = unsafe { import(managed(pinned.data_ptr(), &mut shape, kind, 0)) }.unwrap();
        assert_eq!((tensor.device(), tensor.kind()), (Device::Cpu, Kind::Float));
        assert_eq!(Vec::<f32>::try_from(&tensor).unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(DELETED.load(Ordering::Relaxed), before);
        drop(tensor);
        assert_eq!(DELETED.load(Ordering::Relaxed) - before, 1);
    }
}

/// How often the host had waited for an event when [`delete_and_look`] was called.
static WAITED: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn delete_and_look(managed: *mut Managed) {
    WAITED.store(Gpu::counted(Event::RecordWait), Ordering::Relaxed);
    // SAFETY: made by `managed`, and called once.
    drop(unsafe { Box::from_raw(managed) });
}

#[test]
fn memory_goes_back_only_when_no_kernel_reads_it_whatever_fails() {
    let gpu = Gpu::take();
    let session =
        Session::new(&network("mobilenet_v3_small", 7, ON_CPU), &view(), options(Device::Cuda(0), Output::Embedding));
    let session = session.unwrap();
    let images = Tensor::zeros([1, 3, 32, 48], (Kind::Float, Device::Cuda(0)));
    let _rows = session.embed_tensor(&images).unwrap();
    let mut shape = [1i64, 3, 32, 48];
    for failing in [0, 1, 20] {
        gpu.reset();
        let managed = managed(images.data_ptr(), &mut [0], CUDA, 0).cast::<Managed>();
        // SAFETY: made above; four sides that outlive the tensor.
        let lent = unsafe {
            (*managed.as_ptr()).deleter = Some(delete_and_look);
            ((*managed.as_ptr()).ndim, (*managed.as_ptr()).shape) = (4, shape.as_mut_ptr());
            Lent::import(managed.cast()).unwrap()
        };
        if failing > 0 {
            gpu.fail_kernel(failing, false);
        }
        WAITED.store(0, Ordering::Relaxed);
        assert_eq!(session.embed_tensor(lent.tensor()).is_err(), failing > 0);
        assert_eq!(WAITED.load(Ordering::Relaxed), 0);
        drop(lent);
        assert_eq!(WAITED.load(Ordering::Relaxed), 1, "kernel {failing} fails");
        assert_eq!(gpu.count(Event::DeviceWait), 0);
    }
}
