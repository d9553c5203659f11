"""Makes the sample records beside this file: pictures, captions, sounds and speech, the same at every run.

Run by hand; needs this project's environment and the program espeak-ng::

    python samples/records/make.py
"""

from __future__ import annotations

import io
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image, ImageDraw

HERE = Path(__file__).parent
SEED = 7
FINE = 4  # pictures are drawn this many times larger, then reduced: smooth edges

Colour = tuple[int, int, int]
Sound = npt.NDArray[np.float64]
Draw = ImageDraw.ImageDraw

CAPTIONS = {
    "bells": "two red bells on a green wall",
    "boat": "a small boat with a white sail on calm water",
    "broken": "a picture that ends too soon",
    "clock": "a round clock at ten past ten",
    "drum": "a blue drum with two wooden sticks",
    "engine": "a black steam engine pulls a train through yellow fields",
    "lighthouse": "a lighthouse by the sea at night",
    "note": "No picture, and no sound.\nOnly this note was kept – «à bientôt», it says. 🔔",
    "rain": "rain falls on a roof",
    "siren": "a siren flashes red on top of a white car",
}


# ---- pictures ----------------------------------------------------------------------------------------------


def scene(width: int, height: int, top: Colour, bottom: Colour) -> tuple[Image.Image, Draw]:
    """A large canvas whose colour runs from top to bottom, and the pen for it, in fine units."""
    ramp = np.linspace(top, bottom, height * FINE)[:, None, :]
    pixels = np.broadcast_to(ramp, (height * FINE, width * FINE, 3)).round().astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return image, ImageDraw.Draw(image)


def box(*corners: float) -> list[float]:
    return [FINE * corner for corner in corners]


def reduced(image: Image.Image) -> Image.Image:
    return image.resize((image.width // FINE, image.height // FINE), Image.Resampling.BOX)


def grained(image: Image.Image, strength: float = 3.0) -> Image.Image:
    """With a little noise, as a camera would."""
    noise = np.random.default_rng(SEED).normal(0, strength, (image.height, image.width, 1))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def bell(pen: Draw, x: float, y: float, size: float) -> None:
    """A bell whose crown hangs at (x, y)."""
    steps = np.linspace(0, 1, 60)
    half = size * (0.22 + 0.30 * steps**3 + 0.12 * np.sin(steps * math.pi / 2))
    left = [(x - w, y + size * t) for w, t in zip(half, steps, strict=True)]
    right = [(x + w, y + size * t) for w, t in zip(half[::-1], steps[::-1], strict=True)]
    shine = [(x - 0.72 * w, y + size * t) for w, t in zip(half[8:52], steps[8:52], strict=True)]
    inner = [(x - 0.45 * w, y + size * t) for w, t in zip(half[51:7:-1], steps[51:7:-1], strict=True)]
    pen.arc(box(x - size / 8, y - size / 5, x + size / 8, y + size / 12), 0, 360, (90, 60, 20), 4 * FINE)
    pen.ellipse(box(x - size / 9, y + size * 0.93, x + size / 9, y + size * 1.15), (70, 20, 20))
    pen.polygon([(FINE * a, FINE * b) for a, b in left + right], (196, 30, 38))
    pen.ellipse(box(x - half[-1], y + size * 0.94, x + half[-1], y + size * 1.06), (150, 18, 28))
    pen.polygon([(FINE * a, FINE * b) for a, b in shine + inner], (232, 92, 88))


def bells() -> Image.Image:
    image, pen = scene(320, 240, (96, 150, 92), (60, 112, 66))
    pen.rectangle(box(0, 34, 320, 48), (120, 82, 44))
    pen.rectangle(box(0, 34, 320, 37), (150, 108, 62))
    for x, size in ((92, 104), (228, 104)):
        pen.line(box(x, 44, x, 70), (70, 48, 26), 4 * FINE)
        bell(pen, x, 76, size)
    return grained(reduced(image))


def drum() -> Image.Image:
    """On nothing: its background is transparent."""
    image = Image.new("RGBA", (240 * FINE, 220 * FINE), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.ellipse(box(30, 130, 210, 200), (20, 52, 132))
    pen.rectangle(box(30, 75, 210, 165), (38, 84, 190))
    pen.rectangle(box(30, 75, 62, 165), (28, 66, 160))
    for step in range(6):
        x = 30 + 30 * step
        pen.line(box(x, 88, x + 15, 190 - abs(step - 2.5) * 6), (236, 214, 120), 2 * FINE)
        pen.line(box(x + 15, 190 - abs(step - 2.5) * 6, x + 30, 88), (236, 214, 120), 2 * FINE)
    pen.ellipse(box(26, 36, 214, 116), (212, 176, 70))
    pen.ellipse(box(34, 42, 206, 108), (244, 238, 222))
    for x0, y0, x1, y1 in ((20, 14, 118, 72), (222, 10, 130, 78)):
        pen.line(box(x0, y0, x1, y1), (164, 112, 58), 6 * FINE)
        pen.ellipse(box(x1 - 8, y1 - 7, x1 + 8, y1 + 7), (186, 134, 76))
    return reduced(image)


def siren() -> Image.Image:
    image, pen = scene(300, 200, (24, 28, 58), (70, 62, 92))
    glow = Image.new("L", image.size, 0)
    spot = ImageDraw.Draw(glow)
    for radius in range(120, 20, -2):
        spot.ellipse(
            box(150 - radius, 62 - radius, 150 + radius, 62 + radius), int(150 * (1 - radius / 122) ** 1.5)
        )
    image.paste((255, 40, 40), (0, 0), glow)
    pen.rectangle(box(0, 172, 300, 200), (44, 42, 50))
    pen.polygon(box(84, 120, 112, 84, 196, 84, 232, 120), (236, 238, 242))
    pen.polygon(box(98, 118, 118, 91, 150, 91, 150, 118), (120, 156, 184))
    pen.polygon(box(156, 118, 156, 91, 190, 91, 214, 118), (120, 156, 184))
    pen.rounded_rectangle(box(40, 116, 264, 164), 12 * FINE, (246, 247, 250))
    pen.rectangle(box(40, 134, 264, 144), (40, 92, 180))
    for x in (90, 214):
        pen.ellipse(box(x - 23, 142, x + 23, 188), (26, 26, 30))
        pen.ellipse(box(x - 11, 154, x + 11, 176), (170, 174, 180))
    pen.rectangle(box(128, 78, 172, 85), (60, 60, 70))
    pen.pieslice(box(132, 52, 168, 106), 180, 360, (255, 44, 40))
    pen.ellipse(box(141, 58, 150, 70), (255, 190, 180))
    return reduced(image)


def engine() -> Image.Image:
    image, pen = scene(160, 110, (168, 208, 236), (224, 236, 240))
    pen.rectangle(box(0, 70, 160, 110), (226, 192, 70))
    for x in range(-20, 180, 14):
        pen.line(box(x, 110, 80 + (x - 80) * 0.4, 70), (206, 170, 52), FINE)
    pen.rectangle(box(0, 88, 160, 91), (92, 84, 78))
    for x, y, r in ((118, 26, 8), (104, 18, 11), (86, 13, 13), (64, 10, 12)):
        pen.ellipse(box(x - r, y - r * 0.7, x + r, y + r * 0.7), (244, 244, 246))
    pen.rectangle(box(6, 54, 56, 82), (150, 40, 36))
    for x in (12, 28, 44):
        pen.rectangle(box(x, 59, x + 8, 68), (240, 226, 170))
    pen.rectangle(box(62, 44, 88, 82), (34, 34, 38))
    pen.rectangle(box(68, 50, 82, 62), (190, 210, 220))
    pen.rectangle(box(59, 40, 91, 45), (22, 22, 26))
    pen.rounded_rectangle(box(86, 56, 138, 80), 5 * FINE, (40, 40, 46))
    pen.polygon(box(120, 56, 117, 34, 132, 34, 129, 56), (26, 26, 30))
    pen.ellipse(box(98, 48, 110, 62), (196, 154, 60))
    pen.polygon(box(136, 80, 150, 88, 132, 88), (150, 40, 36))
    for x, r in ((16, 6), (44, 6), (72, 9), (94, 9), (116, 9), (132, 6)):
        pen.ellipse(box(x - r, 89 - 2 * r, x + r, 89), (20, 20, 22))
        pen.ellipse(box(x - r / 2, 89 - 1.5 * r, x + r / 2, 89 - r / 2), (180, 44, 40))
    return reduced(image)


def clock(seconds: int) -> Image.Image:
    image, pen = scene(180, 180, (214, 226, 232), (188, 204, 214))
    pen.ellipse(box(18, 18, 162, 162), (88, 56, 34))
    pen.ellipse(box(28, 28, 152, 152), (250, 248, 240))
    for hour in range(12):
        sine, cosine = math.sin(hour * math.pi / 6), math.cos(hour * math.pi / 6)
        pen.line(box(90 + 50 * sine, 90 - 50 * cosine, 90 + 57 * sine, 90 - 57 * cosine), (40, 40, 40), 3 * FINE)
    hands = ((305, 32, 6, (30, 30, 30)), (60, 46, 4, (30, 30, 30)), (6 * seconds, 52, 1.5, (200, 40, 30)))
    for degrees, length, width, colour in hands:
        sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
        pen.line(box(90, 90, 90 + length * sine, 90 - length * cosine), colour, round(width * FINE))
    pen.ellipse(box(85, 85, 95, 95), (30, 30, 30))
    return reduced(image)


def kettle() -> Image.Image:
    image, pen = scene(200, 200, (244, 226, 196), (232, 204, 166))
    pen.rectangle(box(0, 158, 200, 200), (150, 104, 66))
    pen.arc(box(58, 36, 142, 128), 180, 360, (50, 44, 40), 7 * FINE)
    pen.polygon(box(140, 120, 176, 78, 188, 84, 150, 148), (196, 112, 52))
    pen.ellipse(box(46, 78, 154, 172), (206, 122, 60))
    pen.rectangle(box(46, 158, 154, 176), (150, 104, 66))
    pen.rectangle(box(62, 154, 138, 160), (150, 84, 36))
    pen.ellipse(box(70, 74, 130, 96), (182, 100, 44))
    pen.ellipse(box(92, 64, 108, 80), (50, 44, 40))
    pen.ellipse(box(62, 96, 84, 130), (230, 162, 104))
    for x in (176, 186):
        steps = np.linspace(0, 1, 30)
        line = [(FINE * (x + 5 * math.sin(7 * t)), FINE * (74 - 50 * t)) for t in steps]
        pen.line(line, (255, 252, 246), 3 * FINE)
    return reduced(image)


def lighthouse() -> Image.Image:
    image, pen = scene(200, 280, (18, 24, 62), (86, 92, 140))
    for x, y in np.random.default_rng(SEED).uniform((0, 0), (200, 130), (40, 2)):
        pen.ellipse(box(x - 0.8, y - 0.8, x + 0.8, y + 0.8), (240, 240, 220))
    beam = Image.new("L", image.size, 0)
    ImageDraw.Draw(beam).polygon(box(100, 72, 0, 34, 0, 104), 110)
    image.paste((255, 244, 180), (0, 0), beam)
    pen.rectangle(box(0, 206, 200, 280), (20, 50, 92))
    for y in range(212, 280, 9):
        for x in range((y * 7) % 30 - 30, 200, 34):
            pen.arc(box(x, y, x + 20, y + 8), 200, 340, (70, 110, 156), FINE)
    pen.polygon(box(40, 222, 70, 196, 140, 194, 172, 224, 150, 236, 60, 236), (62, 54, 54))
    pen.polygon(box(78, 204, 86, 86, 114, 86, 122, 204), (238, 234, 226))
    for top, bottom in ((108, 130), (154, 178)):
        edges = [78 + 8 * (204 - y) / 118 for y in (top, bottom)]
        pen.polygon(
            box(edges[0], top, 200 - edges[0], top, 200 - edges[1], bottom, edges[1], bottom), (198, 42, 40)
        )
    pen.rectangle(box(80, 82, 120, 88), (40, 40, 48))
    pen.rectangle(box(88, 62, 112, 82), (255, 240, 160))
    pen.polygon(box(84, 62, 100, 44, 116, 62), (198, 42, 40))
    return grained(reduced(image))


def boat() -> Image.Image:
    """In grey, 16 bits deep: what a scanner writes."""
    image, pen = scene(160, 120, (190, 190, 190), (235, 235, 235))
    pen.rectangle(box(0, 80, 160, 120), (120, 120, 120))
    for y in range(86, 120, 8):
        for x in ((y * 29) % 60, (y * 29) % 60 + 76):
            pen.line(box(x, y, x + 34, y), (140, 140, 140), FINE)
    pen.line(box(80, 18, 80, 78), (60, 60, 60), 2 * FINE)
    pen.polygon(box(83, 20, 83, 70, 120, 70), (252, 252, 252))
    pen.polygon(box(77, 28, 77, 70, 50, 70), (240, 240, 240))
    pen.polygon(box(40, 76, 124, 76, 108, 94, 56, 94), (70, 60, 50))
    grey = np.asarray(reduced(image.convert("L")), np.uint16)
    return Image.fromarray(grey * 257)


# ---- sounds ------------------------------------------------------------------------------------------------


def seconds(duration: float, rate: int) -> Sound:
    return np.arange(round(duration * rate)) / rate


def loud(sound: Sound, peak: float = 0.8) -> Sound:
    factor: float = peak / np.abs(sound).max()
    return sound * factor


def bell_sound(rate: int) -> Sound:
    """Two strokes of a bell: partials that are no multiples of each other, the higher the shorter."""
    whole = seconds(1.6, rate)
    sound = np.zeros_like(whole)
    for start, pitch in ((0.0, 523.0), (0.7, 440.0)):
        t = np.maximum(whole - start, 0)
        for ratio, strength in ((0.5, 0.5), (1, 1), (1.2, 0.6), (1.5, 0.4), (2, 0.5), (2.74, 0.3), (4.07, 0.2)):
            sound += (whole >= start) * strength * np.exp(-3 * ratio * t) * np.sin(2 * np.pi * pitch * ratio * t)
    return loud(sound)


def drum_sound(rate: int) -> Sound:
    """Four beats: a falling tone and a breath of noise."""
    whole = seconds(1.4, rate)
    noise = np.random.default_rng(SEED).normal(size=whole.size)
    sound = np.zeros_like(whole)
    for start, strength in ((0.0, 1.0), (0.4, 0.6), (0.6, 0.6), (0.8, 1.0)):
        t = np.maximum(whole - start, 0)
        tone = np.sin(2 * np.pi * (70 * t + 6 * (1 - np.exp(-20 * t)))) * np.exp(-9 * t)
        sound += (whole >= start) * strength * (tone + 0.15 * noise * np.exp(-60 * t))
    return loud(sound)


def siren_sound(rate: int) -> Sound:
    """Rises and falls twice, and passes from left to right."""
    t = seconds(2.0, rate)
    pitch = 700 + 350 * np.sin(2 * np.pi * t - np.pi / 2)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    tone = np.sin(phase) + 0.3 * np.sin(3 * phase) + 0.1 * np.sin(5 * phase)
    right = t / t[-1]
    return loud(np.stack([tone * np.sqrt(1 - right), tone * np.sqrt(right)], axis=1))


def engine_sound(rate: int) -> Sound:
    """Puffs of steam that come faster and faster."""
    t = seconds(2.4, rate)
    beats = 3 * t + 1.2 * t**2
    puff = np.exp(-5 * (beats % 1))
    noise = np.random.default_rng(SEED).normal(size=t.size)
    hiss = np.convolve(noise, np.hanning(24) / 12, "same")
    return loud(puff * hiss + 0.2 * np.sin(2 * np.pi * 55 * t) * puff)


def clock_sound(rate: int) -> Sound:
    """Two ticks and two tocks, the tick from the left and the tock from the right."""
    t = seconds(2.0, rate)
    since = t % 0.5
    tick = (t // 0.5) % 2 == 0
    click = np.exp(-120 * since) * np.sin(2 * np.pi * np.where(tick, 2400, 1700) * since)
    return loud(np.stack([click * np.where(tick, 1, 0.3), click * np.where(tick, 0.3, 1)], axis=1))


def rain_sound(rate: int) -> Sound:
    """A soft noise, and drops on it."""
    random = np.random.default_rng(SEED)
    t = seconds(1.5, rate)
    sound = np.convolve(random.normal(size=t.size), np.hanning(8) / 4, "same") * 0.15
    for start in random.uniform(0, 1.4, 40):
        since = np.maximum(t - start, 0)
        sound += (t >= start) * random.uniform(0.2, 1) * np.exp(-150 * since) * np.sin(2 * np.pi * 1800 * since)
    return loud(sound, 0.6)


def bird_sound(rate: int) -> Sound:
    """Chirps: short tones that slide upwards."""
    whole = seconds(1.8, rate)
    sound = np.zeros_like(whole)
    for start, low, high in ((0.1, 2800, 4200), (0.4, 3000, 4600), (0.7, 2800, 4200), (1.2, 3600, 2600)):
        t = np.clip((whole - start) / 0.18, 0, 1)
        slide = 0.18 * (low * t + (high - low) * t**2 / 2)
        sound += np.sin(np.pi * t) ** 2 * np.sin(2 * np.pi * slide)
    return loud(sound, 0.5)


def speech(text: str) -> tuple[Sound, int]:
    """A synthetic voice reading a text, and its rate in Hz."""
    command = ["espeak-ng", "-v", "en", "-s", "165", "--stdout", text]
    spoken = subprocess.run(command, capture_output=True, check=True).stdout
    sound, rate = soundfile.read(io.BytesIO(spoken))
    return np.trim_zeros(sound), rate


# ---- files -------------------------------------------------------------------------------------------------


def ogg_with_serial(content: bytes, serial: int) -> bytes:
    """The same Ogg stream under a fixed serial number, where the encoder drew a random one (RFC 3533)."""
    pages = bytearray(content)
    at = 0
    while at < len(pages):
        segments = pages[at + 26]
        end = at + 27 + segments + sum(pages[at + 27 : at + 27 + segments])
        pages[at + 14 : at + 18] = serial.to_bytes(4, "little")
        pages[at + 22 : at + 26] = bytes(4)
        check = 0
        for byte in pages[at:end]:
            check ^= byte << 24
            for _ in range(8):
                check = (check << 1) ^ (0x104C11DB7 if check & 0x80000000 else 0)
        pages[at + 22 : at + 26] = check.to_bytes(4, "little")
        at = end
    return bytes(pages)


def write_sounds() -> None:
    made: dict[str, tuple[Callable[[int], Sound], int]] = {
        "bells.wav": (bell_sound, 16_000),
        "birds.ogg": (bird_sound, 32_000),
        "clock.wav": (clock_sound, 8_000),
        "drum.flac": (drum_sound, 22_050),
        "engine.mp3": (engine_sound, 24_000),
        "rain.flac": (rain_sound, 11_025),
        "siren.ogg": (siren_sound, 44_100),
    }
    sounds = {name: (make(rate), rate) for name, (make, rate) in made.items()}
    sounds |= {"lighthouse.mp3": speech(CAPTIONS["lighthouse"]), "boat.ogg": speech(CAPTIONS["boat"])}
    for name, (sound, rate) in sounds.items():
        path = HERE / name
        soundfile.write(path, sound, rate, subtype="PCM_16" if path.suffix in (".wav", ".flac") else None)
        if path.suffix == ".ogg":
            path.write_bytes(ogg_with_serial(path.read_bytes(), SEED))


def write_pictures() -> None:
    bells().save(HERE / "bells.jpg", quality=85)
    drum().save(HERE / "drum.png", optimize=True)
    siren().save(HERE / "siren.webp", quality=80)
    engine().save(HERE / "engine.bmp")
    first, *others = [clock(seconds).quantize(64) for seconds in (0, 15, 30, 45)]
    first.save(HERE / "clock.gif", save_all=True, append_images=others, duration=500, loop=0)
    kettle().save(HERE / "kettle.tif", compression="tiff_lzw")
    boat().save(HERE / "boat.png")
    orientation = Image.Exif()
    orientation[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise to see it so
    turned = lighthouse().transpose(Image.Transpose.ROTATE_90)
    turned.save(HERE / "lighthouse.jpg", quality=85, exif=orientation)
    whole = io.BytesIO()
    bells().save(whole, "JPEG", quality=60)
    (HERE / "broken.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])


def main() -> None:
    for name, caption in CAPTIONS.items():
        (HERE / f"{name}.txt").write_text(caption + "\n", encoding="utf-8")
    write_pictures()
    write_sounds()
    files = [path for path in sorted(HERE.iterdir()) if path.suffix not in (".py", ".md") and path.is_file()]
    for path in files:
        print(f"{path.stat().st_size:8,}  {path.name}")
    print(f"{sum(path.stat().st_size for path in files):8,}  bytes in {len(files)} files")


if __name__ == "__main__":
    main()
