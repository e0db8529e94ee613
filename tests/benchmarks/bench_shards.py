"""Slices to shards and back, beside the other way of packing them and the other reader of them."""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import imagecodecs
import numpy as np
import webdataset
from PIL import Image
from side_by_side import Row, compare, row, write_rows

from operators.dicom.study.study_index import index_study
from operators.dicom.volumes.volume_reader import read_series
from operators.documents import UNFINISHED
from trainer.ingest.shard_writer import ShardWriter, encode_pixels
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.data.loader import LoaderState, iterate_batches
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.data.shards import decode_pixels

CHEST = Path(__file__).parents[1] / "data/ct_chest_lidc0314"
COPIES = 12
"""Of the bundled 32 slices."""


def _samples() -> list[SliceSample]:
    (series,) = index_study(CHEST).series
    volume = read_series(series, role="benchmark").volume
    planes = np.rint(volume.array).astype(np.int16)
    return [
        SliceSample(plane, (0.7, 0.7), "CT", "HU", "axial", "chest", "0" * 32, f"study-volume-{copy:03d}{number:05d}")
        for copy in range(COPIES)
        for number, plane in enumerate(planes)
    ]


def _png(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.png_encode(pixels.view(np.uint16) ^ np.uint16(0x8000), level=4))


def _from_png(content: bytes) -> np.ndarray:
    return (np.asarray(Image.open(io.BytesIO(content))).astype(np.uint16) ^ np.uint16(0x8000)).view(np.int16)


def _write(samples: Iterable[SliceSample], folder: Path, name: str) -> None:
    with ShardWriter(folder, "train", name, shard_bytes=2**40) as writer:
        for sample in samples:
            writer.write(sample)
    for record in writer.records:
        (folder / f"{record.name}{UNFINISHED}").rename(folder / record.name)


def _jpeg_ls(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpegls_encode(pixels.view(np.uint16) ^ np.uint16(0x8000)))


def _from_jpeg_ls(content: bytes) -> np.ndarray:
    return (imagecodecs.jpegls_decode(content) ^ np.uint16(0x8000)).view(np.int16)


RIVALS = {"16-bit PNG (level 4)": (_png, _from_png), "JPEG-LS": (_jpeg_ls, _from_jpeg_ls)}


def _packing(planes: list[np.ndarray]) -> Iterator[Row]:
    packed = [encode_pixels(plane) for plane in planes]

    def each(work: Callable[..., object], items: Iterable[object]) -> Callable[[], object]:
        return lambda: [work(item) for item in items]

    for name, (encode, decode) in RIVALS.items():
        theirs = [encode(plane) for plane in planes]
        size, other = (sum(map(len, content)) / len(planes) for content in (packed, theirs))
        detail = f"mean of {len(planes)} chest CT slices of 512 x 512"
        yield row("slices: bytes of one", size, name, other, unit="B", detail=detail)
        yield compare("slices: packing 32", each(encode_pixels, planes), name, each(encode, planes))
        yield compare("slices: unpacking 32", each(decode_pixels, packed), name, each(decode, theirs))


def _loading(folder: Path, num_samples: int) -> Iterator[Row]:
    pattern = f"{folder}/train/*.tar"
    data = {"shards": pattern, "workers": 2, "batch_size": 32}
    config = PretrainingConfig.model_validate({"data": data})

    def ours() -> None:
        for _ in islice(iterate_batches(config, 0, 1, LoaderState()), num_samples // 32):
            pass

    def rival() -> None:
        paths = sorted(str(path) for path in folder.glob("train/*.tar"))
        dataset = webdataset.WebDataset(paths, shardshuffle=False).shuffle(1000).decode()
        loader = webdataset.WebLoader(dataset, batch_size=None, num_workers=2)
        for _ in loader:
            pass

    name = f"slices: loading {num_samples}, 2 workers, start included"
    yield compare(name, ours, "webdataset, 2 processes", rival, repeats=3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    samples = _samples()
    out = parser.parse_args().out
    write_rows(_packing([sample.pixels for sample in samples[: len(samples) // COPIES]]), out)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(4):
            _write(samples[number::4], Path(folder), f"s{number}")
        write_rows(_loading(Path(folder), len(samples)), out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
