import os
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from prefect_torch.datasets.image_folder_source import ImageFolderSource
from prefect_torch.errors import DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("dog/b.png", "cat/2.jpg", "cat/more/1.JPG", "dog/a.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((32, 24), 60).save(path)
    return tmp_path / "photos"


def source(photos: Path, **options: list[str]) -> ImageFolderSource:
    return ImageFolderSource("photos", **options).within(photos.parent)


def refusal(photos: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(source(photos).batches())
    return str(caught.value)


def test_rows_are_sorted_by_path_and_hold_the_bytes_as_they_are(photos: Path) -> None:
    table = pa.concat_tables(source(photos).batches())
    assert table["file"].to_pylist() == ["cat/2.jpg", "cat/more/1.JPG", "dog/a.png", "dog/b.png"]
    assert table["label"].to_pylist() == ["cat", "cat", "dog", "dog"]
    assert table["image"][3].as_py() == (photos / "dog/b.png").read_bytes()


def test_many_pictures_come_in_many_batches(photos: Path) -> None:
    data = (photos / "dog/a.png").read_bytes()
    for number in range(1100):
        (photos / "cat" / f"n{number}.png").write_bytes(data)
    assert [batch.num_rows for batch in source(photos).batches()] == [1024, 80]


def test_hidden_files_and_other_extensions_are_left_out(photos: Path) -> None:
    (photos / "cat/notes.txt").write_text("no picture")
    (photos / "cat/._2.jpg").write_text("no picture")
    (photos / ".thumbnails").mkdir()
    assert sum(batch.num_rows for batch in source(photos).batches()) == 4


def test_the_extensions_to_take_can_be_named(photos: Path) -> None:
    (photos / "cat/3.png").write_bytes((photos / "dog/a.png").read_bytes())
    files = [batch["file"].to_pylist() for batch in source(photos, extensions=["PNG"]).batches()]
    assert files == [["cat/3.png", "dog/a.png", "dog/b.png"]]


@pytest.mark.parametrize("content", ["cut", "text", "empty"])
def test_a_picture_that_cannot_be_decoded_is_named(photos: Path, content: str) -> None:
    path = photos / "cat/2.jpg"
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:-20], "text": b"hello", "empty": b""}[content])
    reason = {"cut": "truncated", "text": "no known picture format", "empty": "file is empty"}
    message = refusal(photos)
    assert message.startswith("photos/cat/2.jpg: not a readable picture: ")
    assert reason[content] in message
    assert message.endswith("replace or remove it")


def test_a_missing_folder_gets_a_suggestion(photos: Path) -> None:
    with pytest.raises(DataError, match=r'photo: no such folder: .*did you mean "photos"\?'):
        list(ImageFolderSource("photo").within(photos.parent).batches())


def test_a_file_in_place_of_the_folder_is_refused(photos: Path) -> None:
    with pytest.raises(DataError, match=r"photos/dog/a.png: is a file, expected a folder"):
        ImageFolderSource("photos/dog/a.png").within(photos.parent).identity()


def test_pictures_without_class_folders_are_refused(photos: Path) -> None:
    with pytest.raises(DataError) as caught:
        ImageFolderSource("photos/dog").within(photos.parent).identity()
    assert str(caught.value).startswith(
        "photos/dog: no folder of a class in it (2 pictures lie in it directly); expected one"
    )


def test_a_class_folder_without_pictures_is_named(photos: Path) -> None:
    (photos / "bird").mkdir()
    assert refusal(photos).startswith("photos/bird: no picture in this class's folder; expected")


def test_identity_moves_with_bytes_and_names_and_not_with_times(photos: Path) -> None:
    before = source(photos).identity()
    os.utime(photos / "cat/2.jpg", (1, 1))
    assert source(photos).identity() == before
    (photos / "cat/2.jpg").rename(photos / "dog/2.jpg")
    moved = source(photos).identity()
    assert moved != before
    (photos / "dog/2.jpg").write_bytes((photos / "dog/2.jpg").read_bytes() + b"\0")
    assert source(photos).identity() != moved
