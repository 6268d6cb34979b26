//! `seed_image`: a view of the application's pixels.

use std::ffi::c_char;
use std::path::Path;

use super::border::catch;
use super::error::seed_error;
use super::pointers::{array, check_optional, check_out, check_size, fill, put, text};
use crate::data::decode::decode_bytes;
use crate::data::{Encoding, Frame, FrameView, PixelFormat, RawFrame};
use crate::report::heat_picture;
use crate::sys::disk::write_whole;
use crate::{Error, ErrorKind, Result};

/// One byte of grey a pixel.
pub const SEED_PIXEL_MONO8: i32 = 1;
/// Two bytes of grey a pixel in the machine's byte order, full range 0 to 65535.
pub const SEED_PIXEL_MONO16: i32 = 2;
/// Red, green, blue, one byte each.
pub const SEED_PIXEL_RGB8: i32 = 3;
/// Blue, green, red, one byte each.
pub const SEED_PIXEL_BGR8: i32 = 4;
/// Red, green, blue and an alpha that is ignored, one byte each.
pub const SEED_PIXEL_RGBA8: i32 = 5;
/// Blue, green, red and an alpha that is ignored, one byte each.
pub const SEED_PIXEL_BGRA8: i32 = 6;
/// Three planes of float, red, green, blue, each height·row_stride bytes, values 0 to 1. Values outside are clamped, of which the
/// …_warnings of the object that took the image tell; NaN is SEED_ERROR_INVALID_ARGUMENT.
pub const SEED_PIXEL_PLANAR_F32: i32 = 7;
/// Two bytes of grey a pixel in the machine's byte order, 0 to 1023 in the low bits. A larger value is SEED_ERROR_INVALID_ARGUMENT here and
/// in all formats of 10, 12 and 14 bits: samples in the upper bits are SEED_PIXEL_MONO16.
pub const SEED_PIXEL_MONO10: i32 = 8;
/// Two bytes of grey a pixel in the machine's byte order, 0 to 4095 in the low bits.
pub const SEED_PIXEL_MONO12: i32 = 9;
/// Two bytes of grey a pixel in the machine's byte order, 0 to 16383 in the low bits.
pub const SEED_PIXEL_MONO14: i32 = 10;
/// Four pixels of grey in five bytes, the lowest bit first: Mono10p of GenICam's PFNC. Each row begins with a byte of its own and has
/// (width·10 + 7)/8 bytes, rounded down.
pub const SEED_PIXEL_MONO10P: i32 = 11;
/// Two pixels of grey in three bytes, the lowest bit first: Mono12p of GenICam's PFNC. A row has (width·12 + 7)/8 bytes.
pub const SEED_PIXEL_MONO12P: i32 = 12;
/// Two pixels of grey in three bytes: Mono12Packed of GigE Vision, the upper 8 bits of each in the first and the third byte, the lower 4 of
/// both in the second, the first pixel's in its lower half. A row has (width·12 + 7)/8 bytes.
pub const SEED_PIXEL_MONO12PACKED: i32 = 13;
/// A mosaic of one byte a pixel whose first row is red, green, red, …, the second green, blue, …; made to colours by bilinear
/// interpolation, the frame mirrored at its outermost pixels. At least 2 × 2 pixels.
pub const SEED_PIXEL_BAYER_RG8: i32 = 14;
/// The same whose first row is green, red, …
pub const SEED_PIXEL_BAYER_GR8: i32 = 15;
/// The same whose first row is green, blue, …
pub const SEED_PIXEL_BAYER_GB8: i32 = 16;
/// The same whose first row is blue, green, …
pub const SEED_PIXEL_BAYER_BG8: i32 = 17;
/// SEED_PIXEL_BAYER_RG8 of two bytes a pixel as in SEED_PIXEL_MONO12.
pub const SEED_PIXEL_BAYER_RG12: i32 = 18;
/// SEED_PIXEL_BAYER_GR8 of two bytes a pixel as in SEED_PIXEL_MONO12.
pub const SEED_PIXEL_BAYER_GR12: i32 = 19;
/// SEED_PIXEL_BAYER_GB8 of two bytes a pixel as in SEED_PIXEL_MONO12.
pub const SEED_PIXEL_BAYER_GB12: i32 = 20;
/// SEED_PIXEL_BAYER_BG8 of two bytes a pixel as in SEED_PIXEL_MONO12.
pub const SEED_PIXEL_BAYER_BG12: i32 = 21;
/// Red, green, blue of two bytes each in the machine's byte order, full range 0 to 65535.
pub const SEED_PIXEL_RGB16: i32 = 22;
/// One float of grey a pixel, any finite number; NaN and infinity are SEED_ERROR_INVALID_ARGUMENT. The full range is 0 to 1.
pub const SEED_PIXEL_MONO_F32: i32 = 23;

/// The pixels are in main memory.
pub const SEED_DEVICE_CPU: i32 = 0;

/// A view of an image in the application's memory. The library reads it during the call only and keeps no pointer.
/// Set struct_size to sizeof(seed_image) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_image {
    /// sizeof(seed_image).
    pub struct_size: usize,
    /// The first pixel of the first row.
    pub data: *const std::ffi::c_void,
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next.
    pub row_stride: usize,
    /// SEED_PIXEL_*.
    pub format: i32,
    /// SEED_DEVICE_CPU.
    pub device: i32,
}

impl seed_image {
    /// The view, checked.
    ///
    /// # Safety
    /// `data` points to height rows of row_stride bytes (three times that when planar) that outlive `'a`.
    pub(super) unsafe fn view<'a>(&self) -> Result<FrameView<'a>> {
        check_size::<Self>("seed_image", self.struct_size)?;
        if self.device != SEED_DEVICE_CPU {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("seed_image.device is {}, only SEED_DEVICE_CPU (0) is supported in this version", self.device),
            ));
        }
        let format = PixelFormat::from_code(self.format).map_err(|_| {
            let last = PixelFormat::ALL.len();
            Error::invalid(format!("seed_image.format is {}, expected SEED_PIXEL_* (1 to {last})", self.format))
        })?;
        if self.width == 0 || self.height == 0 {
            return Err(Error::invalid(format!(
                "the image is {} × {} pixels, expected at least 1 × 1",
                self.width, self.height
            )));
        }
        // The last row need not be padded to the stride, so only its pixels are claimed.
        let rows = u64::from(self.height) * u64::from(format.planes()) - 1;
        let last = format.row_bytes(self.width);
        let bytes = rows
            .checked_mul(self.row_stride as u64)
            .and_then(|bytes| bytes.checked_add(last))
            .and_then(|bytes| usize::try_from(bytes).ok())
            .ok_or_else(|| Error::invalid("the image's height and row_stride are too large"))?;
        // SAFETY: by contract.
        let bytes = unsafe { array("seed_image.data", self.data.cast::<u8>(), bytes) }?;
        FrameView::new(bytes, self.width, self.height, self.row_stride, format)
    }
}

/// Decodes the JPEG, PNG, BMP, TIFF, WebP or PNM in `bytes` into `buffer`: rows without padding, SEED_PIXEL_MONO8 where every pixel is
/// grey and SEED_PIXEL_RGB8 else, 8 bits whatever the file has. `buffer` NULL asks for the size; too small a buffer is left
/// alone; `*needed` receives the bytes needed. `image` (may be NULL) is filled to be a view of the buffer, its struct_size
/// too; data is NULL when only the size was asked for.
///
/// Every image is decoded as one of a folder or a store is: turned upright as its orientation says, the EXIF of a JPEG, PNG or WebP and the
/// tag of a TIFF. Samples of more than 8 bits keep their upper 8; of several pages the first is read. seed_dataset_push_encoded, at a data
/// set with settings of its own (seed_dataset_set_reading), reads otherwise.
///
/// Errors: SEED_ERROR_FORMAT when the bytes are not a sound image, or use a feature that is not supported; the message names it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_image_decode(
    bytes: *const u8,
    length: usize,
    image: *mut seed_image,
    buffer: *mut u8,
    capacity: usize,
    needed: *mut usize,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller.
    catch(|| unsafe {
        let frame = decode_bytes("the image", array("bytes", bytes, length)?)?;
        fill_image(&frame, image, buffer, capacity, needed)
    })
}

/// Encodes an image as a PNG file, every bit kept (alpha is dropped, a float becomes 8 bits by the range 0 to 1, a mosaic colours). Samples
/// of 10 to 14 bits lie in the upper bits of 16, and an sBIT chunk says how many they are; libseed reads them back as they were. The
/// file's bytes into `buffer` by the rule of seed_neighbours. Each call encodes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_image_encode(
    image: *const seed_image,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("length", length)?;
        fill(&png(image)?, buffer, capacity, length)
    })
}

/// Writes the PNG file of seed_image_encode to `path`, atomically.
///
/// Errors: SEED_ERROR_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_image_save(image: *const seed_image, path: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        write_whole(path, &png(image)?)
    })
}

/// Paints the heat map of seed_anomaly_map over its image, as the report shows it: a picture in SEED_PIXEL_RGB8 of the image's size into
/// `buffer`, by the rule of seed_image_decode; seed_image_encode and seed_image_save make a PNG of it. `map` has `pixels` =
/// width·height distances. A distance of `low` leaves the pixel as it is, one of `high` gives it the darkest colour; NAN is the map's
/// own lowest or highest value. Pictures that are to be compared need the same bounds: 0 and twice the threshold, say.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when `pixels` is not width·height, a distance is not finite or a bound infinite.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_heat_map_picture(
    image: *const seed_image,
    map: *const f32,
    pixels: usize,
    low: f32,
    high: f32,
    picture: *mut seed_image,
    buffer: *mut u8,
    capacity: usize,
    needed: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let frame = Images::new(image, 1)?.view(0)?.to_frame()?;
        let painted = heat_picture(&frame, array("map", map, pixels)?, low, high)?;
        fill_image(&painted, picture, buffer, capacity, needed)
    })
}

unsafe fn png(image: *const seed_image) -> Result<Vec<u8>> {
    // SAFETY: by contract of the C functions.
    let view = unsafe { Images::new(image, 1)?.view(0)? };
    RawFrame::copy_of(&view, Vec::new())?.encode(Encoding::Png)
}

/// Copies a frame's pixels to `buffer` and describes them in `image`, by the rule of seed_image_decode.
///
/// # Safety
/// As the C function's.
pub(super) unsafe fn fill_image(
    frame: &Frame,
    image: *mut seed_image,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> Result<()> {
    // SAFETY: by contract.
    unsafe {
        check_optional("image", image)?;
        fill(frame.pixels(), buffer, capacity, length)?;
        if !image.is_null() {
            put(
                image,
                seed_image {
                    struct_size: size_of::<seed_image>(),
                    data: buffer.cast_const().cast(),
                    width: frame.width(),
                    height: frame.height(),
                    row_stride: frame.width() as usize * usize::from(frame.channels()),
                    format: if frame.channels() == 1 { SEED_PIXEL_MONO8 } else { SEED_PIXEL_RGB8 },
                    device: SEED_DEVICE_CPU,
                },
            );
        }
    }
    Ok(())
}

/// The images of one call, to be looked at by several threads.
pub(super) struct Images<'a>(&'a [seed_image]);

// SAFETY: the contract of `new` lets every thread read images and pixels until the call ends; nothing is written.
unsafe impl Sync for Images<'_> {}

impl<'a> Images<'a> {
    /// `count` images at `images`.
    ///
    /// # Safety
    /// As [`seed_image::view`], for each.
    pub unsafe fn new(images: *const seed_image, count: usize) -> Result<Self> {
        // SAFETY: by contract.
        Ok(Self(unsafe { array("images", images, count) }?))
    }

    /// Image `i`, checked; `i` is below the count.
    pub fn view(&self, i: usize) -> Result<FrameView<'a>> {
        // SAFETY: by the contract of `new`.
        unsafe { self.0[i].view() }
    }
}

/// Views of `count` images.
///
/// # Safety
/// As [`seed_image::view`], for each.
pub(super) unsafe fn views<'a>(images: *const seed_image, count: usize) -> Result<Vec<FrameView<'a>>> {
    // SAFETY: by contract.
    let images = unsafe { array("images", images, count) }?;
    images
        .iter()
        .enumerate()
        // SAFETY: by contract.
        .map(|(i, image)| unsafe { image.view() }.map_err(|error| error.context(format!("image {i}"))))
        .collect()
}
