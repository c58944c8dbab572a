"""Compares how Hearth shows DICOM images with pydicom: check_dicom.py <path of hearth_dicom_pixels> [FILE|FOLDER...].

Without files, pydicom writes some of every kind first. With files, or folders of them, it says for each whether the two are
equal, differ, or Hearth refused the file and why. The reference is pydicom's apply_modality_lut and apply_voi_lut, scaled to
[0, 1] and inverted for MONOCHROME1; without window and VOI LUT the whole range of 8 bits, or the image's own range of more.
Padding is left out of the range and black; colour is the grey of its RGB, equal to within a grey level of 255.
Compressed files need pylibjpeg, pylibjpeg-libjpeg and pylibjpeg-openjpeg.
Exit codes: 0 none differs (and none of its own is refused), 1 some differ, 77 pydicom is not installed (ctest calls that skipped).
"""
import itertools
import pathlib
import subprocess
import sys
import tempfile
import warnings

import needed

try:
    import numpy as np
    import pydicom
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array
    from pydicom.uid import DigitalXRayImageStorageForPresentation, RLELossless, generate_uid
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
    from pydicom.uid import JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless
except ImportError as missing:
    needed.skip(missing)

LOSSY = {JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless}  # decoders round in their own ways
TOLERANCE = 1.01 / 65535  # Hearth rounds to 16 bits; sums in another order may move a value across a step


def write(path, pixels, stored, signed=False, compress=False, **attributes):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = pixels.itemsize * 8
    data.BitsStored, data.HighBit, data.PixelRepresentation = stored, stored - 1, int(signed)
    data.PixelData = pixels.tobytes()
    for name, value in attributes.items():
        setattr(data, name, value)
    if compress:
        data.compress(RLELossless)
    data.save_as(path)


def table(first, bits, entries):
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = [int(entry) for entry in entries]
    item["LUTData"].VR = "US"
    return pydicom.Sequence([item])


def write_all(folder):
    random = np.random.default_rng(0)
    numbers = itertools.count()

    def add(stored, signed=False, **rest):
        low, high = (-(1 << stored - 1), 1 << stored - 1) if signed else (0, 1 << stored)
        kind = np.uint8 if stored <= 8 else np.int16 if signed else np.uint16
        pixels = random.integers(low, high, (40, 56)).astype(kind)
        write(folder / f"{next(numbers):02}.dcm", pixels, stored, signed, **rest)

    for stored in (8, 10, 12, 14, 16):
        full = 1 << stored
        for compress in (False, True):
            add(stored, compress=compress)
            add(stored, compress=compress, WindowCenter=full / 2, WindowWidth=full / 3)
        add(stored, PhotometricInterpretation="MONOCHROME1", WindowCenter=full / 3, WindowWidth=full / 2)
        add(stored, PhotometricInterpretation="MONOCHROME1")
        add(stored, RescaleSlope=0.37, RescaleIntercept=-120.5, WindowCenter=full / 8, WindowWidth=full / 9)
        add(stored, WindowCenter=[full / 2, 3], WindowWidth=[full / 4, 5])
        for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
            add(stored, WindowCenter=full / 2 + 0.25, WindowWidth=full / 5, VOILUTFunction=function)
        entries = np.linspace(0, 1, min(full // 2, 8192)) ** 0.5 * 4095
        add(stored, VOILUTSequence=table(full // 4, 12, entries))
    for stored in (12, 16):
        add(stored, signed=True, WindowCenter=-20, WindowWidth=900)
        add(stored, signed=True, RescaleSlope=2, RescaleIntercept=7, WindowCenter=100, WindowWidth=1 << stored)


def padding(data, stored):
    """Which pixels are padding (C.7.5.1.1.2)."""
    if "PixelPaddingValue" not in data or data.SamplesPerPixel > 1:
        return np.zeros(stored.shape, bool)
    ends = [int(data.PixelPaddingValue), int(data.get("PixelPaddingRangeLimit", data.PixelPaddingValue))]
    return (stored >= min(ends)) & (stored <= max(ends))


def grey_of_colour(data, stored):
    if data.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, data)
    most = 2.0 ** (8 * stored.itemsize) - 1
    return np.round(stored[..., :3] @ [0.299, 0.587, 0.114] / most * 255) / 255


def reference(path):
    """What pydicom shows, and how far the two may be apart."""
    data = pydicom.dcmread(path, force=True)
    if "PixelData" not in data or int(data.get("NumberOfFrames") or 1) > 1:
        raise ValueError("not one image")
    if "TransferSyntaxUID" not in data.file_meta:
        implicit, little = data.original_encoding
        data.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian)
    stored = pixel_array(data)
    if stored.ndim == 3 or data.PhotometricInterpretation == "PALETTE COLOR":
        return grey_of_colour(data, stored), 1.01 / 255
    values = apply_modality_lut(stored, data).astype(np.float64)
    padded = padding(data, stored)
    if data.get("VOILUTSequence"):
        voi = apply_voi_lut(apply_modality_lut(stored, data), data)
        shown = voi / (2.0 ** data.VOILUTSequence[0].LUTDescriptor[2] - 1)
    elif data.get("WindowWidth"):
        low, high = 0, (1 << data.BitsStored) - 1
        if data.PixelRepresentation:
            low, high = -(1 << data.BitsStored - 1), (1 << data.BitsStored - 1) - 1
        slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
        low, high = low * slope + intercept, high * slope + intercept
        shown = (apply_voi_lut(values, data) - low) / (high - low)
    elif data.BitsStored <= 8:
        low = -(1 << data.BitsStored - 1) if data.PixelRepresentation else 0
        shown = (stored.astype(np.float64) - low) / (2.0**data.BitsStored - 1)
    else:
        known = values[~padded]
        shown = (values - known.min()) / max(known.max() - known.min(), 1)
    shown = 1 - shown if data.PhotometricInterpretation == "MONOCHROME1" else shown
    lossy = data.file_meta.get("TransferSyntaxUID") in LOSSY
    return np.where(padded, 0, np.clip(shown, 0, 1)), 3.01 / 255 if lossy else TOLERANCE


def readings(program, files):
    """Of each file the pixels, or the reason why there are none."""
    output = subprocess.run([program, *map(str, files)], check=True, stdout=subprocess.PIPE).stdout
    at = 0
    for _ in files:
        rows, columns = (int(side) for side in np.frombuffer(output, np.int32, 2, at))
        at += 8
        if rows == 0:
            yield output[at:at + columns].decode()
            at += columns
        else:
            yield np.frombuffer(output, np.float32, rows * columns, at).reshape(rows, columns)
            at += 4 * rows * columns


def verdict(path, ours):
    """'equal', 'refused' or 'differs', and the reason."""
    if isinstance(ours, str):
        return "refused", ours.removeprefix(f"{path}: ")
    try:
        theirs, allowed = reference(path)
    except Exception as error:  # whatever pydicom or a decoder of it throws
        return "unknown", f"pydicom: {error}"
    difference = np.abs(ours - theirs).max() if ours.shape == theirs.shape else np.inf
    return "equal" if difference <= allowed else "differs", f"{difference * 255:.4f} grey levels of 255"


def files_in(paths):
    for path in map(pathlib.Path, paths):
        yield from sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def main(program, paths):
    with tempfile.TemporaryDirectory() as folder:
        if not paths:
            write_all(pathlib.Path(folder))
        files = list(files_in(paths or [folder]))
        counts = {}
        for path, ours in zip(files, readings(program, files)):
            word, reason = verdict(path, ours)
            counts[word] = counts.get(word, 0) + 1
            if paths or word != "equal":
                print(f"{word:8} {path.name}: {reason}")
    print(f"{len(files)} files: " + ", ".join(f"{count} {word}" for word, count in sorted(counts.items())))
    wrong = counts.get("differs", 0) + (0 if paths else len(files) - counts.get("equal", 0))
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    warnings.simplefilter("ignore")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
