from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from operators.encoder.tensor_file import Blocks, is_intact, read_tensors, write_tensors

TOKENS = np.random.default_rng(0).normal(size=(7, 3, 5)).astype(np.float32)
CLS = np.arange(35, dtype=np.float64).reshape(7, 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "features.safetensors"
    parts = (TOKENS[:2, ::1], TOKENS[2:6], TOKENS[6:])
    write_tensors({"tokens": Blocks(TOKENS.shape, iter(parts)), "cls": Blocks(CLS.shape, (CLS,))}, path)
    return path


def test_the_safetensors_library_reads_it(path: Path) -> None:
    tensors = load_file(path)
    np.testing.assert_array_equal(tensors["tokens"], TOKENS)
    np.testing.assert_array_equal(tensors["cls"], CLS)
    with safe_open(path, "numpy") as file:
        assert len(file.metadata()["sha256"]) == 64


def test_what_the_safetensors_library_wrote_is_read(tmp_path: Path) -> None:
    save_file({"a": TOKENS, "b": TOKENS[:1] + 1}, tmp_path / "f", metadata={"format": "np"})
    tensors = read_tensors(tmp_path / "f")
    np.testing.assert_array_equal(tensors["a"][:], TOKENS)
    np.testing.assert_array_equal(tensors["b"][:], TOKENS[:1] + 1)


@pytest.mark.parametrize("place", [slice(0, 2), slice(3, 7), slice(6, 99), slice(-2, None), slice(4, 4), slice(None)])
def test_ranges_are_read(path: Path, place: slice) -> None:
    np.testing.assert_array_equal(read_tensors(path)["tokens"][place], TOKENS[place])


def test_a_range_with_a_step_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="without a step"):
        read_tensors(path)["tokens"][::2]


def test_an_open_tensor_outlives_its_name(path: Path) -> None:
    tokens = read_tensors(path)["tokens"]
    path.unlink()
    np.testing.assert_array_equal(tokens[1:3], TOKENS[1:3])


@pytest.mark.parametrize("position", [-1, -200, 400])
def test_a_flipped_bit_shows(path: Path, position: int) -> None:
    assert is_intact(path)
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)
    assert not is_intact(path)


@pytest.mark.parametrize("length", [0, 5, 60, -4])
def test_a_file_cut_short_is_refused(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    assert not is_intact(path)
    with pytest.raises(ValueError, match="not a file of float32 or float16 tensors"):
        read_tensors(path)


def test_another_kind_of_file_is_refused(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" * 100)
    assert not is_intact(path)
    with pytest.raises(ValueError, match="not a file of float32 or float16 tensors"):
        read_tensors(path)


def test_blocks_that_do_not_fill_the_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'tokens': expected 7 rows, got 6"):
        write_tensors({"tokens": Blocks(TOKENS.shape, (TOKENS[:6],))}, tmp_path / "f")
