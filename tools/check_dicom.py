"""Compares how Hearth shows DICOM images with pydicom: check_dicom.py <path of hearth_dicom_pixels> [FILE...].

Without files, pydicom writes some of every kind first. With files, those are compared. The reference is pydicom's
apply_modality_lut and apply_voi_lut, scaled to [0, 1] and inverted for MONOCHROME1; without window and VOI LUT the whole
range of 8 bits, or the image's own range of more.
Exit codes: 0 all agree, 1 some differ, 77 pydicom is not installed (ctest calls that skipped).
"""
import itertools
import pathlib
import subprocess
import sys
import tempfile

import needed

try:
    import numpy as np
    import pydicom
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.pixels import apply_modality_lut, apply_voi_lut
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, RLELossless, generate_uid
except ImportError as missing:
    needed.skip(missing)

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


def reference(path):
    data = pydicom.dcmread(path)
    stored = data.pixel_array
    values = apply_modality_lut(stored, data).astype(np.float64)
    if "VOILUTSequence" in data:
        voi = apply_voi_lut(apply_modality_lut(stored, data), data)
        shown = voi / (2.0 ** data.VOILUTSequence[0].LUTDescriptor[2] - 1)
    elif "WindowWidth" in data:
        low, high = 0, (1 << data.BitsStored) - 1
        if data.PixelRepresentation:
            low, high = -(1 << data.BitsStored - 1), (1 << data.BitsStored - 1) - 1
        slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
        low, high = low * slope + intercept, high * slope + intercept
        shown = (apply_voi_lut(values, data) - low) / (high - low)
    elif data.BitsStored <= 8:
        shown = stored / (2.0**data.BitsStored - 1)
    else:
        shown = (values - values.min()) / (values.max() - values.min())
    return 1 - shown if data.PhotometricInterpretation == "MONOCHROME1" else shown


def main(program, files):
    with tempfile.TemporaryDirectory() as folder:
        if not files:
            write_all(pathlib.Path(folder))
            files = sorted(pathlib.Path(folder).glob("*.dcm"))
        output = subprocess.run([program, *map(str, files)], check=True, stdout=subprocess.PIPE).stdout
        at, failed, worst = 0, 0, 0.0
        for path in files:
            rows, columns = np.frombuffer(output, np.int32, 2, at)
            ours = np.frombuffer(output, np.float32, rows * columns, at + 8).reshape(rows, columns)
            at += 8 + ours.nbytes
            theirs = reference(path)
            difference = np.abs(ours - theirs).max() if ours.shape == theirs.shape else np.inf
            worst = max(worst, difference)
            if not difference <= TOLERANCE:
                failed += 1
                print(f"{path}: {ours.shape} and {theirs.shape}, largest difference {difference:.2e}")
    print(f"{len(files)} images, {failed} differ; largest difference {worst:.2e}, allowed {TOLERANCE:.2e}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
