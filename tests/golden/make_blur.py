"""Writes blur.json: small images, and what PIL and OpenCV make of them by Gaussians that are not cut off.

    python tests/golden/make_blur.py        needs pillow, numpy, opencv-python-headless

tests/data/blur.rs reads the file; the tests need no Python. Bytes stand in base64, (H, W), one channel. OpenCV's Gaussian is computed in
float64 over as many pixels as mirrored borders have (BORDER_REFLECT_101, torchvision's "reflect"); PIL's, by which MoCo-v2, SwAV and SEED blur,
approximates it by boxes and repeats the pixels at the border.
"""
import base64, json, pathlib
import cv2
import numpy as np
from PIL import Image, ImageFilter


def encode(image):
    return base64.b64encode(np.ascontiguousarray(image, dtype=np.uint8).tobytes()).decode()


def main():
    rng = np.random.default_rng(5)
    cases = []
    for width, height in [(32, 32), (24, 40), (96, 64), (8, 8)]:
        y, x = np.mgrid[0:height, 0:width]
        image = np.clip(100 + 60 * np.sin(x / 2.5) * np.cos(y / 3.5) + rng.normal(0, 30, x.shape), 0, 255).astype(np.uint8)
        image[height // 3:height // 2, width // 4:width // 2] = 250
        for sigma in [.5, 1.0, 2.0]:
            size = [2 * min(int(np.ceil(6 * sigma)), side - 1) + 1 for side in (width, height)]
            exact = cv2.GaussianBlur(image.astype(np.float64), size, sigma, sigmaY=sigma, borderType=cv2.BORDER_REFLECT_101)
            pil = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius=sigma)))
            cases.append(dict(width=width, height=height, sigma=sigma, image=encode(image), exact=encode(np.rint(exact)), pil=encode(pil)))
    out = pathlib.Path(__file__).with_name("blur.json")
    out.write_text(json.dumps(cases, separators=(",", ":")))
    print(len(cases), "cases,", out.stat().st_size, "bytes ->", out)


if __name__ == "__main__":
    main()
