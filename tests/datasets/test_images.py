import io

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from prefect_torch.datasets.images import ImageEncoder
from prefect_torch.datasets.spec import ImageFeature
from prefect_torch.datasets.transforms import PictureTransforms
from prefect_torch.errors import DataError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")


def encoder(shape: tuple[int, int, int], *transforms: object, seed: int = 0) -> ImageEncoder:
    feature = ImageFeature(kind="image", shape=shape)
    return ImageEncoder("x", feature, PictureTransforms(transforms, "transforms.prepare"), seed)


def encode(of: ImageEncoder, values: pa.Array, first: int = 100) -> np.ndarray:
    of.check_type(values.type)
    return of.encode(values, np.arange(first, first + len(values)))


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_encoded_pictures_become_channels_height_width(channels: int) -> None:
    pixels = noise(4, 6, channels)
    found = encode(encoder((channels, 4, 6)), pa.array([encoded(pixels.squeeze())]))

    assert found.dtype == np.uint8
    assert np.array_equal(found[0], pixels.transpose(2, 0, 1))


def test_encoded_pictures_are_brought_to_the_declared_shape() -> None:
    found = encode(encoder((1, 2, 5)), pa.array([encoded(noise(8, 8, 3)), encoded(noise(3, 3))]))

    assert found.shape == (2, 1, 2, 5)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")  # of Pillow
@given(data=st.data(), kind=st.sampled_from(FORMATS))
@settings(deadline=None, max_examples=300)
def test_broken_bytes_are_a_data_error_that_names_the_row(data: st.DataObject, kind: str) -> None:
    whole = bytearray(encoded(noise(8, 8, 3), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    broken = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    of, pictures = encoder((3, 8, 8)), pa.array([encoded(noise(8, 8, 3)), broken])
    try:
        found = str(encode(of, pictures).shape)
    except DataError as error:
        found = str(error)

    assert found == "(2, 3, 8, 8)" or found.startswith("column 'x', row 101: ")


def test_sixteen_bit_pictures_are_refused_instead_of_clipped() -> None:
    deep = encoded(np.full((4, 4), 40_000, np.uint16))

    with pytest.raises(DataError, match="row 100: a picture of more than 8 bits a channel"):
        encode(encoder((1, 4, 4)), pa.array([deep]))


def test_two_channels_have_no_encoded_form() -> None:
    with pytest.raises(DataError, match=r"data.features.x.shape: 2 channels, expected 1 \(grey\)"):
        encoder((2, 4, 4)).check_type(pa.binary())


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (pa.list_(pa.uint8()), np.uint8),
        (pa.list_(pa.int64()), np.float32),
        (pa.large_list(pa.float64()), np.float32),
        (pa.list_(pa.float32(), 6), np.float32),
        (pa.list_(pa.bool_()), np.float32),
    ],
)
def test_lists_of_numbers_are_pictures(kind: pa.DataType, dtype: type) -> None:
    pixels = np.arange(12).reshape(2, 1, 2, 3) % 2
    found = encode(encoder((1, 2, 3)), pa.array(pixels.reshape(2, 6).tolist()).cast(kind))

    assert found.dtype == dtype
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("nested", [(2, 3), (1, 2, 3), (2, 3, 1)])
def test_nested_lists_of_the_declared_shape_are_pictures(nested: tuple[int, ...]) -> None:
    pixels = np.arange(12).reshape(2, *nested)

    assert np.array_equal(
        encode(encoder((1, 2, 3)), pa.array(pixels.tolist())), pixels.reshape(2, 1, 2, 3)
    )


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([[1, 2, 3, 4], [1, 2, 3]], "found 3 values instead of 4 in row 101"),
        ([[1, 2, 3], [1, 2, 3, 4, 5]], "found 5 values instead of 3 in row 101"),
        ([[1, 2], [3, 4]], "found 2 values in row 100"),
        ([[], []], "found no values in row 100"),
        ([[[1, 2], [3, 4]], [[1, 2, 3], [4]]], "found 3 values instead of 2 in row 101"),
        ([[[1, 2], [3, 4]], [[1, 2], None]], "found 0 values instead of 2 in row 101"),
        ([[[1], [2], [3], [4]]], "found 4 x 1 values in row 100"),
    ],
)
def test_lists_of_another_shape_are_refused(values: list[object], found: str) -> None:
    with pytest.raises(DataError) as caught:
        encode(
            encoder((1, 2, 2)),
            pa.array(values, pa.list_(pa.int64()) if values == [[], []] else None),
        )

    assert str(caught.value) == (
        f"data.features.x.shape: [1, 2, 2] is 4 values a picture, {found}; "
        "declare the shape that the data has"
    )


def test_channels_last_are_not_taken_for_channels_first() -> None:
    with pytest.raises(DataError, match="found 4 x 4 x 3 values in row 100"):
        encode(encoder((3, 4, 4)), pa.array(noise(1, 4, 4, 3).tolist()))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.uint8(), None),
        (pa.bool_(), None),
        *((pa.float64(), value) for value in (None, float("nan"), float("inf"), 1e300)),
    ],
)
def test_a_value_missing_inside_a_picture_is_refused(
    kind: pa.DataType, value: float | None
) -> None:
    values = pa.array([[1, 1], [0, value]]).cast(pa.list_(kind))

    with pytest.raises(DataError, match="row 101: a value of the picture is missing or not fin"):
        encode(encoder((1, 1, 2)), values)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.int64(), pa.list_(pa.string()), pa.struct([("bytes", pa.binary())])]
)
def test_other_types_are_refused(kind: pa.DataType) -> None:
    with pytest.raises(DataError, match=r"expected encoded pictures \(binary\) or a list of 4 num"):
        encoder((1, 2, 2)).check_type(kind)


PICTURES = pa.array(noise(5, 4).tolist(), pa.list_(pa.uint8()))


def test_transforms_are_applied_in_order() -> None:
    found = encode(encoder((1, 2, 2), lambda p: p.float(), lambda p: p[:, :1] / 2), PICTURES)

    assert np.array_equal(found, noise(5, 1, 2, 2)[:, :, :1] / np.float32(2))


def test_a_random_transform_depends_on_seed_and_row_alone() -> None:
    def jitter(picture: torch.Tensor) -> torch.Tensor:
        return picture + torch.rand(1) + np.random.random()

    together = encode(encoder((1, 2, 2), jitter), PICTURES)
    apart = [encode(encoder((1, 2, 2), jitter), PICTURES[i : i + 1], 100 + i) for i in range(5)]

    assert np.array_equal(together, np.concatenate(apart))
    assert not np.array_equal(together, encode(encoder((1, 2, 2), jitter, seed=1), PICTURES))


def breaks(picture: torch.Tensor) -> torch.Tensor:
    if picture.sum() == noise(5, 4)[2].sum():
        raise ZeroDivisionError("no light")
    return picture


def test_a_transform_that_raises_is_named_with_the_row() -> None:
    with pytest.raises(DataError) as caught:
        encode(encoder((1, 2, 2), torch.clone, breaks), PICTURES)

    assert str(caught.value) == (
        "transforms.prepare.1 (function), column 'x', row 102: ZeroDivisionError: no light; "
        "it was given uint8 [1, 2, 2]"
    )
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def shrinks(picture: torch.Tensor) -> torch.Tensor:
    return picture[:, :1] if picture.sum() == noise(5, 4)[2].sum() else picture


def encode_in_parts(of: ImageEncoder, rows: int) -> None:
    for first in range(0, len(PICTURES), rows):
        encode(of, PICTURES[first : first + rows], 100 + first)


@pytest.mark.parametrize("rows", [5, 2, 1])
def test_a_transform_that_changes_its_shape_mid_way_is_refused(rows: int) -> None:
    with pytest.raises(DataError) as caught:
        encode_in_parts(encoder((1, 2, 2), shrinks), rows)

    assert str(caught.value) == (
        "transforms.prepare, column 'x', row 102: gave uint8 [1, 1, 2], but uint8 [1, 2, 2] for a "
        "picture before; give all the same shape and dtype"
    )


@pytest.mark.parametrize(
    ("transform", "gave"),
    [
        (torch.flatten, r"uint8 \[4\]"),
        (torch.Tensor.double, r"float64 \[1, 2, 2\]"),
        (torch.Tensor.numpy, "a ndarray"),
    ],
)
def test_what_is_no_picture_is_refused(transform: object, gave: str) -> None:
    with pytest.raises(DataError, match=f"row 100: the last transform gave {gave}, expected"):
        encode(encoder((1, 2, 2), transform), PICTURES)
