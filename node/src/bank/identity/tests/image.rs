//! Images: other encodings and sizes of one picture match where the policy has it, other pictures never.

use ::image::codecs::jpeg::JpegEncoder;
use ::image::codecs::png::PngEncoder;
use ::image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage, imageops};

use super::*;

const KIND: &str = "image";

/// Pseudorandom numbers (xorshift), so that a picture is the same in every run.
fn random(seed: &mut u64) -> f32 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 40) as f32 / (1_u64 << 24) as f32
}

/// A picture of a gradient with twelve soft discs, which differs with its seed.
pub(super) fn picture(seed: u64, width: u32, height: u32) -> RgbImage {
    let mut seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for _ in 0..16 {
        random(&mut seed);
    }
    let discs: Vec<[f32; 6]> = (0..12).map(|_| std::array::from_fn(|_| random(&mut seed))).collect();
    let slope = [random(&mut seed), random(&mut seed)];
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32 / width as f32, y as f32 / height as f32);
        let mut colour = [60.0 + 100.0 * (slope[0] * x + slope[1] * y); 3];
        for [cx, cy, radius, r, g, b] in &discs {
            let inside = ((0.05 + radius * 0.2) - (x - cx).hypot(y - cy)).clamp(0.0, 0.02) / 0.02;
            for (channel, towards) in colour.iter_mut().zip([r, g, b]) {
                *channel += inside * (towards * 255.0 - *channel);
            }
        }
        Rgb(colour.map(|channel| channel as u8))
    })
}

pub(super) fn png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new(&mut bytes);
    encoder.write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn jpeg(image: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    encoder.write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn noisy(image: &RgbImage, amplitude: f32) -> RgbImage {
    let mut seed = 77;
    let mut image = image.clone();
    for pixel in image.pixels_mut() {
        let noise = (random(&mut seed) - 0.5) * 2.0 * amplitude;
        pixel.0 = pixel.0.map(|channel| (f32::from(channel) + noise).clamp(0.0, 255.0) as u8);
    }
    image
}

fn perceptual() -> IdentitySettings {
    let mut settings = settings();
    settings.image.perceptual = true;
    settings
}

/// The same picture as other files.
fn variants(image: &RgbImage) -> Vec<(&'static str, Vec<u8>)> {
    let (width, height) = image.dimensions();
    let scaled = |w, h| imageops::resize(image, w, h, imageops::FilterType::Lanczos3);
    vec![
        ("JPEG of quality 90", jpeg(image, 90)),
        ("JPEG of quality 50", jpeg(image, 50)),
        ("half the size", png(&scaled(width / 2, height / 2))),
        ("a third larger", png(&scaled(width * 4 / 3, height * 4 / 3))),
        ("noise of 8 in 255", png(&noisy(image, 8.0))),
        ("all of it", jpeg(&noisy(&scaled(width / 2, height / 2), 6.0), 70)),
    ]
}

/// How many bits of the looks of two files differ.
fn distance(one: &[u8], other: &[u8]) -> u32 {
    let settings = perceptual().image;
    let look = |file| super::super::image::look(file, &settings).unwrap();
    super::super::image::distance(&look(one), &look(other))
}

#[test]
fn the_same_picture_looks_the_same_and_another_does_not() {
    let settings = perceptual();
    let threshold = settings.image.distance_max;
    let pictures: Vec<_> = (0..8).map(|seed| picture(seed, 480, 360)).collect();
    let (mut farthest_same, mut nearest_other) = (0, 256);
    for (at, image) in pictures.iter().enumerate() {
        let original = png(image);
        for (what, variant) in variants(image) {
            let distance = distance(&original, &variant);
            assert!(distance <= threshold / 2 + 2, "picture {at}, {what}: {distance}");
            farthest_same = farthest_same.max(distance);
        }
        for other in pictures.iter().skip(at + 1) {
            nearest_other = nearest_other.min(distance(&original, &png(other)));
        }
    }
    println!("the same picture differs in up to {farthest_same} bits, others in {nearest_other} or more");
    assert!(nearest_other > 2 * threshold, "{nearest_other}");
}

#[test]
fn the_policy_decides_at_enrolment_and_at_use() {
    let (exact, looking) = (settings(), perceptual());
    let (with_exact, with_perceptual) = (context(&exact), context(&looking));
    let image = picture(1, 480, 360);
    let (original, variant, other) = (png(&image), jpeg(&image, 80), png(&picture(2, 480, 360)));
    let plain = enrol(KIND, &original, &with_exact).unwrap().stored;
    let looked_at = enrol(KIND, &original, &with_perceptual).unwrap().stored;
    assert!(plain.len() + 30 < looked_at.len(), "what it looks like is stored where the policy has it");
    for (stored, context, evidence, holds) in [
        (&plain, &with_exact, &original, true),
        (&plain, &with_exact, &variant, false),
        (&plain, &with_perceptual, &variant, false),
        (&looked_at, &with_perceptual, &original, true),
        (&looked_at, &with_perceptual, &variant, true),
        (&looked_at, &with_exact, &variant, false),
        (&looked_at, &with_exact, &original, true),
        (&looked_at, &with_perceptual, &other, false),
    ] {
        let verified = verify(KIND, evidence, Some(stored), context);
        assert_eq!(verified.is_ok(), holds, "{verified:?}");
    }
    let mut strict = perceptual();
    strict.image.distance_max = 0;
    let far = jpeg(&noisy(&image, 20.0), 30);
    assert_eq!(verify(KIND, &far, Some(&looked_at), &context(&strict)), Err(IdentityError::Mismatch));
}

#[test]
fn blank_pictures_are_refused_where_looks_count() {
    let settings = perceptual();
    let context = context(&settings);
    let blank = png(&RgbImage::from_pixel(300, 300, Rgb([200, 200, 200])));
    assert!(matches!(enrol(KIND, &blank, &context), Err(EnrolError::Unfit { .. })));
    let speckled = png(&noisy(&RgbImage::from_pixel(300, 300, Rgb([200, 200, 200])), 3.0));
    assert!(matches!(enrol(KIND, &speckled, &context), Err(EnrolError::Unfit { .. })));
    let stored = enrol(KIND, &png(&picture(1, 300, 300)), &context).unwrap().stored;
    assert_eq!(verify(KIND, &blank, Some(&stored), &context), Err(IdentityError::Mismatch));
}

#[test]
fn hostile_images_are_refused_before_they_are_decoded() {
    let settings = perceptual();
    let context = context(&settings);
    // A header that claims 60,000 × 60,000 pixels.
    let mut bomb = png(&picture(1, 64, 64));
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let crc = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.to_be_bytes());
    let error = enrol(KIND, &bomb, &context).unwrap_err();
    assert_eq!(error, EnrolError::Unfit { kind: "image", why: "the image has too many pixels" });
    let mut few = perceptual();
    few.image.pixels_max = 63 * 64;
    assert!(enrol(KIND, &png(&picture(1, 64, 64)), &super::context(&few)).is_err());
    few.image.pixels_max = 64 * 64;
    assert!(enrol(KIND, &png(&picture(1, 64, 64)), &super::context(&few)).is_ok());
}

#[test]
fn broken_images_never_end_the_program() {
    let settings = perceptual();
    let context = context(&settings);
    let image = picture(3, 120, 90);
    let stored = enrol(KIND, &png(&image), &context).unwrap().stored;
    let mut seed = 5;
    for file in [png(&image), jpeg(&image, 80)] {
        for _ in 0..400 {
            let mut broken = file.clone();
            for _ in 0..4 {
                let at = (random(&mut seed) * broken.len() as f32) as usize;
                broken[at.min(file.len() - 1)] = (random(&mut seed) * 256.0) as u8;
            }
            broken.truncate(broken.len().min((random(&mut seed) * 2.0 * file.len() as f32) as usize));
            let _any = verify(KIND, &broken, Some(&stored), &context);
        }
    }
}

/// CRC-32 as PNG has it, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}
