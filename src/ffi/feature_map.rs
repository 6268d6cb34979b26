//! Feature maps from inside a session's network.

use std::ffi::c_char;

use super::border::catch;
use super::error::seed_error;
use super::handle::with;
use super::image::{Images, seed_image};
use super::pointers::{answer_size, check_optional, check_out, fill_text, product, put, text};
use super::session::seed_session;
use crate::data::FrameView;
use crate::{Error, Result};

/// How many feature maps of the session's network can be asked for; 0 for some backbones.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_stage_count(session: *const seed_session, out: *mut usize) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(session, |session| Ok(session.current().stages().len()))?);
        Ok(())
    })
}

/// Feature map `index`, counted from the image on: its name ("layer2", "features.6") into `buffer`, by the rule of
/// seed_config_get_string, its channels, and how many pixels of the input stand for one of the map in both directions: it is
/// ⌈height/stride⌉ × ⌈width/stride⌉. `channels` and `stride` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_stage(
    session: *const seed_session,
    index: usize,
    channels: *mut i64,
    stride: *mut i64,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        check_optional("channels", channels)?;
        check_optional("stride", stride)?;
        let stage = with(session, |session| {
            let session = session.current();
            session.stages().get(index).cloned().ok_or_else(|| {
                let count = session.stages().len();
                Error::invalid(format!("there is no feature map {index}, there are {count} (numbered from 0)"))
            })
        })?;
        // The text comes first: where its buffer does not do, nothing is written.
        fill_text(&stage.name, buffer, capacity, length)?;
        for (place, value) in [(channels, stage.channels), (stride, stage.stride)] {
            if !place.is_null() {
                put(place, value);
            }
        }
        Ok(())
    })
}

/// The feature maps of `count` images at the stage `name`: count·channels·height·width floats, (image, channel, row, column),
/// into `buffer`, by the rule of seed_session_embed. The images are resized as for seed_session_embed. What lies
/// behind the stage is not computed. Where the session was opened with "tile.size", the maps of an image's tiles are stitched to one: of an
/// image of H rows, with tiles of t rows whose maps have m, ⌈H·m/t⌉ rows, and columns alike. The images have one size then and are given when
/// the length is asked for, too.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for an unknown name, listing those that there are, and with tiles for images of several sizes or
/// smaller than a tile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_session_feature_map(
    session: *const seed_session,
    name: *const c_char,
    images: *const seed_image,
    count: usize,
    buffer: *mut f32,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let name = text("name", name)?;
        with(session, |session| {
            let session = session.current();
            let stages = session.stages_named(&[name])?;
            let stage = stages.first().ok_or_else(|| Error::invalid("no feature map was named"))?;
            // Positive.
            let channels = stage.channels as usize;
            // Without tiles the images' sizes do not matter.
            let (width, height) = match session.tile().is_none() || count == 0 {
                true => (0, 0),
                false => Images::new(images, count)?.view(0).map(|view| (view.width, view.height))?,
            };
            let (down, across) = match count {
                0 => (0, 0),
                _ => session.map_size(stage, width, height)?,
            };
            let pixels = product("the map", down, across)?;
            let of_image = product("the map", pixels, channels)?;
            let needed = product("the result", count, of_image)?;
            if !answer_size(needed, buffer, capacity, length)? || count == 0 {
                return Ok(());
            }
            let images = Images::new(images, count)?;
            let views: Vec<FrameView<'_>> = (0..count).map(|i| images.view(i)).collect::<Result<_>>()?;
            let maps = session.feature_maps(&views, &[name])?;
            let map = maps.first().ok_or_else(|| Error::invalid("the network gave no feature map"))?;
            let map = map.f_to_device(tch::Device::Cpu)?.f_contiguous()?;
            if map.numel() != needed {
                let found = map.size();
                return Err(Error::mismatch(format!("the feature map is {found:?}, expected {needed} numbers")));
            }
            // `answer_size` checked place and capacity of the buffer.
            Ok(map.f_copy_data(std::slice::from_raw_parts_mut(buffer, needed), needed)?)
        })
    })
}
