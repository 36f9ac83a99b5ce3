"""Tables are read as they were written, whatever wrote them; what is wrong in them is told with its row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ravl_explore.data import Table
from ravl_explore.data.column_roles import NONE, guess
from ravl_explore.data.columns import column_names, is_table, read_columns
from ravl_explore.data.listed_paths import resolve_inside
from ravl_explore.errors import DataError, InputError
from ravl_explore.regions.given import Given

CSV = "image,label\na.png,cat\nb.png,dog\nsub/c.png,cat\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """a.png, b.png and sub/c.png, each 8 x 6, of three greys."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    for name, value in (("a.png", 10), ("b.png", 20), ("sub/c.png", 30), ("x, y.png", 40)):
        Image.new("L", (8, 6), value).save(folder / name)
    return folder


@pytest.fixture
def write(root: Path) -> Any:
    """Content (and a name) -> the table's path."""

    def make(content: str | bytes, name: str = "table.csv") -> Path:
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return root / name

    return make


# --- reading ----------------------------------------------------------------------------------------------------------


def test_rows_become_images_with_labels(write: Any) -> None:
    data = Table(write(CSV))
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0, 1, 0]
    assert [int(data.image(i)[0, 0, 0]) for i in range(3)] == [10, 20, 30]
    assert data.name == "table" and data.notes == () and data.captions is None and data.regions is None


@pytest.mark.parametrize(
    "content",
    [
        CSV.replace("\n", "\r\n"),
        "\ufeff" + CSV,
        CSV.rstrip("\n"),
        CSV.replace(",", ";"),
        CSV.replace(",", ", "),
        CSV.replace("\n", "\n\n"),
        "sep=;\n" + CSV.replace(",", ";"),
        CSV.replace("sub/", "sub\\"),
        CSV.replace("sub/", "./sub/../sub/"),
        'label,"image"\n"cat","a.png"\n"dog","b.png"\n"cat","sub/c.png"\n',
        "id,image,label\n1,a.png,cat\n2,b.png,dog\n3,sub/c.png,cat\n",
    ],
    ids=[
        "windows",
        "bom",
        "no last newline",
        "semicolons",
        "spaces",
        "empty lines",
        "sep=",
        "\\",
        "..",
        "quotes",
        "more",
    ],
)
def test_whatever_wrote_the_csv(write: Any, content: str) -> None:
    data = Table(write(content))
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0, 1, 0]
    assert [int(data.image(i)[0, 0, 0]) for i in range(3)] == [10, 20, 30]


def test_a_byte_order_mark_and_spaces_are_no_part_of_names_and_cells(write: Any) -> None:
    path = write('\ufeffimage, label \na.png , "cat, big"\nb.png,dog\t\n')
    assert column_names(path) == ["image", "label"]
    data = Table(path, image="image", label="label")
    assert data.class_names == ("cat, big", "dog") and (data.image(0) == 10).all()


def test_tabs_and_cells_with_separators_quotes_and_newlines(write: Any) -> None:
    content = 'image\tlabel\ttext\nx, y.png\tcat\t"a ""big"" cat,\nasleep"\nb.png\tdog\ta; b\n'
    for name in ("table.tsv", "table.csv"):
        data = Table(write(content, name))
        assert data.captions == ('a "big" cat,\nasleep', "a; b") and (data.image(0) == 40).all()
    content = 'image,label,caption\n"x, y.png",cat,"one, two; three; four"\nb.png,dog,\n'
    data = Table(write(content))
    assert data.captions == ("one, two; three; four", "") and (data.image(0) == 40).all()


def test_parquet_gives_what_csv_gives(root: Path, write: Any) -> None:
    frame = pd.DataFrame(
        {
            "path": ["a.png", "b.png", "sub/c.png"],
            "class": pd.Categorical(["cat", "dog", "cat"]),
            "caption": ["one", None, "three"],
            "boxes": [[[1.0, 2, 3, 4], [0, 0, 2, 2]], [], [[0, 1, 8, 6]]],
            "clip": [True, False, False],
        }
    )
    frame.to_parquet(root / "table.parquet")
    csv = frame.assign(boxes=[json.dumps(boxes) for boxes in frame["boxes"]]).to_csv(index=False)
    for path in (root / "table.parquet", write(csv)):
        data = Table(path, group="clip")
        assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0, 1, 0]
        assert data.captions == ("one", "", "three")
        assert data.regions is not None and data.regions.image_index.tolist() == [0, 0, 2]
        assert data.regions.boxes.tolist() == [[1, 2, 3, 4], [0, 0, 2, 2], [0, 1, 8, 6]]
        assert data.feature_name == "clip" and data.feature_present is not None
        assert data.feature_present.tolist() == [True, False, False]
        assert Given()(data).boxes.tolist() == data.regions.boxes.tolist()


def test_numbers_are_classes_in_their_order_unless_names_are_given(root: Path, write: Any) -> None:
    path = write("image,label\na.png,10\nb.png,2\nsub/c.png,10\n")
    assert Table(path).class_names == ("2", "10") and Table(path).labels.tolist() == [1, 0, 1]
    path = write("image,label\na.png,1\nb.png,0\nsub/c.png,1\n")
    data = Table(path, class_names=["cat", "dog"])
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [1, 0, 1]
    gaps = write("image,label\na.png,2\nb.png,0\n", "gaps.csv")
    assert Table(gaps, class_names=["cat", "dog", "hen"]).labels.tolist() == [2, 0]
    assert Table(path, class_names=["1", "0"]).labels.tolist() == [0, 1, 0], "names come before numbers"
    pd.DataFrame({"image": ["a.png", "b.png"], "label": [1.0, 0.0]}).to_parquet(root / "t.parquet")
    assert Table(root / "t.parquet", class_names=["cat", "dog"]).labels.tolist() == [1, 0]


def test_numbers_as_class_names_are_told_and_can_be_named_in_one_text(write: Any) -> None:
    path = write("image,label\na.png,1\nb.png,0\nsub/c.png,1\n")
    told = "Class names are numbers; give class_names for prompts that say something."
    assert Table(path).notes == (told,) and Table(path, class_names=" ").notes == (told,)
    data = Table(path, class_names="pleural effusion, no finding ,")
    assert data.class_names == ("pleural effusion", "no finding") and data.labels.tolist() == [1, 0, 1]
    assert data.notes == () and Table(path, class_names=["0", "1"]).notes == ()
    assert Table(write("image,label\na.png,7\nb.png,cat\n")).notes == ()
    field = next(field for field in Table.form if field.name == "class_names")
    assert field.kind == "text" and not field.required


def test_given_class_names_keep_their_order_and_may_have_no_image(write: Any) -> None:
    data = Table(write(CSV), class_names=["hen", "dog", "cat"])
    assert data.class_names == ("hen", "dog", "cat") and data.labels.tolist() == [2, 1, 2]


def test_no_finding_is_a_class(write: Any) -> None:
    assert Table(write("image,label\na.png,None\nb.png,none seen\n")).class_names == ("None", "none seen")


# --- columns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "image", "label"),
    [
        (["image", "label"], "image", "label"),
        (["File Name", "CLASS"], "File Name", "CLASS"),
        (["label", "image_path", "image"], "image", "label"),
        (["id", "img_path", "target"], "img_path", "target"),
        (["id", "score"], None, None),
    ],
)
def test_usual_names_are_guessed(names: list[str], image: str | None, label: str | None) -> None:
    assert (guess(names, "image"), guess(names, "label")) == (image, label)


def test_columns_can_be_named_and_left_out(write: Any) -> None:
    path = write('image,label,caption,boxes,who\na.png,cat,text,"[1,1,2,2]",x\nb.png,dog,text,,y\n')
    data = Table(path, label="who", caption=NONE, boxes="")
    assert data.class_names == ("x", "y") and data.captions is None and data.regions is None
    both = Table(path)
    assert both.captions == ("text", "text") and both.regions is not None and len(both.regions) == 1


def test_missing_columns_are_listed_with_those_there_are(write: Any) -> None:
    path = write("pic,kind\na.png,cat\n")
    with pytest.raises(DataError, match=r"a column with each image in .*table\.csv', got the columns 'pic', 'kind'"):
        Table(path)
    with pytest.raises(DataError, match=r"a column with each label .* label=\.\.\."):
        Table(path, image="pic")
    with pytest.raises(DataError, match=r"the column 'species' in .* got the columns 'pic', 'kind'"):
        Table(path, image="pic", label="species")


def test_the_form_reads_the_columns_of_the_typed_path(write: Any) -> None:
    fields = {field.name: field for field in Table.form}
    path = str(write("id,label,File,caption\n1,cat,a.png,x\n"))
    offered = {name: f.choices({"path": path}) for name, f in fields.items() if f.choices is not None}
    assert offered["image"] == ["File", "id", "label", "caption"]
    assert offered["label"][0] == "label"
    assert offered["caption"] == ["caption", "id", "label", "File", NONE]
    assert offered["boxes"] == offered["group"] == [NONE, "id", "label", "File", "caption"]
    assert fields["image"].choices({}) == [] and fields["boxes"].choices({"path": " "}) == []  # type: ignore[misc]
    with pytest.raises(DataError, match="not there"):
        fields["image"].choices({"path": path + "x.csv"})  # type: ignore[misc]
    answers = {name: names[0] for name, names in offered.items()}
    assert len(Table(path, **answers, class_names=["cat", "dog"])) == 1


# --- bad rows ---------------------------------------------------------------------------------------------------------


def test_rows_without_label_or_image_are_dropped_and_counted(write: Any) -> None:
    path = write("image,label\na.png,cat\nb.png,\nb.png,nan\n,dog\nb.png,dog\nb.png,N/A\n")
    data = Table(path)
    assert len(data) == 2 and data.labels.tolist() == [0, 1]
    assert data.notes == (
        "4 rows without an image or a label were dropped.",
        "Labels written 'nan' (1), 'N/A' (1) counted as missing; name one in class_names to keep it as a class.",
    )
    with pytest.raises(DataError, match="rows with an image and a label, got none among 2"):
        Table(write("image,label\na.png,\nb.png,NaN\n"))
    with pytest.raises(DataError, match="got none among 0"):
        Table(write("image,label\n"))


def test_repeats_are_dropped_and_counted_and_their_boxes_kept(write: Any) -> None:
    path = write(
        "image,label,boxes\n"
        'a.png,cat,"[[0,0,1,1]]"\nb.png,dog,\n./a.png,cat,"[[0,0,1,1],[2,2,3,3]]"\nsub/../a.png,cat,"[4,4,5,5]"\n'
    )
    data = Table(path)
    assert len(data) == 2 and data.notes == ("2 rows that repeat an image were dropped.",)
    assert data.regions is not None and data.regions.boxes[:, 0].tolist() == [0, 2, 4]
    assert data.regions.image_index.tolist() == [0, 0, 0]


def test_an_image_with_two_labels_is_an_error_that_names_the_rows(write: Any) -> None:
    with pytest.raises(DataError, match=r"'cat' in row 1 and 'dog' in row 3 for .*a\.png"):
        Table(write("image,label\na.png,cat\nb.png,dog\na.png,dog\n"))
    with pytest.raises(DataError, match="one group for each image, got '1' in row 1 and '0' in row 3"):
        Table(write("image,label,g\na.png,cat,1\nb.png,dog,0\na.png,cat,0\n"), group="g")


def test_labels_that_do_not_match_the_names(write: Any) -> None:
    with pytest.raises(DataError) as raised:
        Table(write(CSV), class_names=["hen", "cat"])
    message = str(raised.value)
    assert "'hen', 'cat'" in message and "also 'dog', the first in row 2" in message and "'cat', 'dog'" in message
    with pytest.raises(DataError, match=r"'0', '1'.*also '2', the first in row 3|also '0', '1', '2'"):
        Table(write("image,label\na.png,0\nb.png,1\nsub/c.png,2\n"), class_names=["cat", "dog"])


@pytest.mark.parametrize("cell", ["[[1,2,3]]", "[[1,2,3,4,5]]", "[1,2", "text", "[[3,0,1,4]]", "7"])
def test_boxes_that_are_none(write: Any, cell: str) -> None:
    with pytest.raises(DataError, match="in row 2"):
        Table(write(f'image,label,boxes\na.png,cat,\nb.png,dog,"{cell}"\n'))


@pytest.mark.parametrize("box", ["[0,0,NaN,1]", "[0,0,0,4]", "[1,2,3,2]", "[8,0,9,4]", "[0,-5,4,-1]", "[0,0,1e999,1]"])
def test_a_box_without_area_in_its_image_is_left_out_and_counted(write: Any, box: str) -> None:
    data = Table(write(f'image,label,boxes\na.png,cat,"[{box}, [1,1,3,3]]"\nb.png,dog,\n'))
    assert data.regions is not None and data.regions.boxes.tolist() == [[1, 1, 3, 3]]
    assert "1 boxes without area inside their image were left out." in data.notes


def test_a_cell_without_boxes(write: Any) -> None:
    assert Table(write("image,label,boxes\na.png,cat,NaN\nb.png,dog,[]\n")).regions is not None


def test_groups(write: Any) -> None:
    def present(*values: str) -> Any:
        rows = zip(("a.png", "b.png", "sub/c.png"), ("cat", "dog", "cat"), values, strict=True)
        return Table(write("image,label,g\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows)), group="g")

    for values in (("1", "0", "1"), ("True", "false", "TRUE"), ("yes", "no", "Yes"), ("1.0", "0.0", "1.0")):
        data = present(*values)
        if values[0] != "1.0":
            assert data.feature_name == "g"
        assert data.feature_present.tolist() == [True, False, True], values
    assert present("0", "0", "0").feature_present.tolist() == [False] * 3
    data = present("water", "land", "land")
    assert data.feature_name == "g: water" and data.feature_present.tolist() == [True, False, False]
    with pytest.raises(DataError, match="two values in 'g', got 'a', 'b', 'c'"):
        present("a", "b", "c")
    with pytest.raises(DataError, match="none in 1 rows, the first row 2"):
        present("1", "", "0")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "column names"),
        ("\n", "column names"),
        ("image,label\na.png,cat,more\n", "2 cells in each line .* 3 in line 2"),
        ("image,label\na.png,cat\nb.png\n", "1 in line 3"),
        ("image,image\na.png,cat\n", "different names"),
        ('image,label\n"a.png,cat\n', "readable table"),
        (b"image,label\na.png,caf\x81\n", "UTF-8"),
        (b"\xff\xfei", "UTF-8"),
    ],
)
def test_no_table(write: Any, content: Any, told: str) -> None:
    with pytest.raises(DataError, match=told) as raised:
        Table(write(content))
    assert "table.csv" in str(raised.value)


@pytest.mark.parametrize("header", ["image,label,,", "image,label,note,note", ",image,,label"])
def test_columns_that_are_not_read_may_be_empty_or_come_twice(write: Any, header: str) -> None:
    places = header.split(",")
    cells = ({"image": "a.png", "label": "cat"}, {"image": "b.png", "label": "dog"})
    lines = [header, *(",".join(row.get(name, "") for name in places) for row in cells)]
    data = Table(write("\n".join(lines)))
    assert data.class_names == ("cat", "dog") and "" not in column_names(write("\n".join(lines)))
    with pytest.raises(DataError, match="different names"):
        Table(write("image,label,g,g\na.png,cat,1,0\n"), group="g")


def test_no_file_and_no_parquet(write: Any, root: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    twice = pyarrow.Table.from_arrays([pyarrow.array(["a.png"])] * 2, names=["image", "image"])
    parquet.write_table(twice, root / "twice.parquet")
    with pytest.raises(DataError, match="different names"):
        Table(root / "twice.parquet")
    with pytest.raises(DataError, match="image files, got"):
        Table(write(CSV), root="~nobody-of-this-name/x")
    with pytest.raises(DataError, match="not there"):
        Table(root / "missing.csv")
    with pytest.raises(DataError, match=r"a \.csv, \.tsv or \.parquet"):
        Table(root / "a.png")
    with pytest.raises(DataError, match="a Parquet file"):
        Table(write("not parquet", "t.parquet"))
    assert is_table("a.CSV") and is_table("a.parquet") and not is_table("a.json")


def test_images_in_the_table_itself_are_for_another_source(root: Path) -> None:
    pd.DataFrame({"image": [{"bytes": b"x", "path": "p"}], "label": ["cat"]}).to_parquet(root / "t.parquet")
    with pytest.raises(DataError, match="HuggingFaceDataset"):
        Table(root / "t.parquet")


def test_boxes_that_reach_beyond_their_image_are_cut_and_counted(write: Any) -> None:
    data = Table(write('image,label,boxes\na.png,cat,"[[1,1,30,4],[0,0,8.5,6]]"\nb.png,dog,"[[1,2,3,4]]"\n'))
    assert data.regions is not None
    assert data.regions.boxes.tolist() == [[1, 1, 8, 4], [0, 0, 8, 6], [1, 2, 3, 4]], "half a pixel is rounding"
    assert data.notes == ("1 of 3 boxes reached beyond their image and were cut: are they in its pixels?",)


@pytest.mark.parametrize("cell", ["[" * 90_000, f"[[0,0,1,{'9' * 5000}]]", f"[[0,0,1,1{'0' * 400}]]", "[[[0,0,1,1]]]"])
def test_boxes_beyond_all_measure(write: Any, cell: str) -> None:
    with pytest.raises(DataError, match=r"boxes as .* in row 1"):
        Table(write(f'image,label,boxes\na.png,cat,"{cell}"\nb.png,dog,\n'))


# --- several labels ---------------------------------------------------------------------------------------------------

NIH = "image,label\na.png,Effusion|Mass\nb.png,Mass\nsub/c.png,No Finding\n"


def test_several_labels_in_a_cell_are_no_class(write: Any) -> None:
    with pytest.raises(DataError, match=r"several for 1 of 3, such as 'Effusion', 'Mass' in row 1.*multiple='drop'"):
        Table(write(NIH))
    data = Table(write(NIH), multiple="drop")
    assert data.class_names == ("Mass", "No Finding") and [int(data.image(i)[0, 0, 0]) for i in range(2)] == [20, 30]
    assert data.notes == ("1 images with several labels were left out.",)
    data = Table(write(NIH), positive="Mass")
    assert data.class_names == ("Mass", "no Mass") and data.labels.tolist() == [0, 0, 1]
    assert data.notes == ("1 images count as 'Mass' that have other labels, too.",)
    named = Table(write(NIH), class_names=["Effusion|Mass", "Mass", "No Finding"])
    assert named.labels.tolist() == [0, 1, 2], "who names the whole cell means one class"
    with pytest.raises(DataError, match=r"the label 'mass', got the labels 'Effusion', 'Mass', 'No Finding'"):
        Table(write(NIH), positive="mass")
    assert Table(write(NIH), positive="Mass", class_names="mass, other").class_names == ("mass", "other")
    with pytest.raises(InputError, match=r"two class_names beside positive, got 3: 'a', 'b', 'c'"):
        Table(write(NIH), positive="Mass", class_names=["a", "b", "c"])
    with pytest.raises(InputError, match="multiple among"):
        Table(write(NIH), multiple="first")  # type: ignore[arg-type]


def test_several_rows_of_one_image_may_be_several_labels(write: Any) -> None:
    path = write("image,label\na.png,Effusion\nb.png,Mass\na.png,Mass\nsub/c.png,Effusion\n")
    with pytest.raises(
        DataError, match=r"'Effusion' in row 1 and 'Mass' in row 3 .*multiple='drop'.*positive='Effusion'"
    ):
        Table(path)
    data = Table(path, multiple="drop")
    assert data.class_names == ("Effusion", "Mass") and data.labels.tolist() == [1, 0]
    assert Table(path, positive="Mass").labels.tolist() == [0, 0, 1]


def test_lists_in_parquet_are_several_labels_and_of_one_label_are_it(root: Path) -> None:
    files = ["a.png", "b.png", "sub/c.png"]
    pd.DataFrame({"image": files, "label": [["x"], ["y"], ["x"]]}).to_parquet(root / "t.parquet")
    assert Table(root / "t.parquet").class_names == ("x", "y")
    pd.DataFrame({"image": files, "label": [["x"], ["y", "x"], []]}).to_parquet(root / "t.parquet")
    with pytest.raises(DataError, match=r"'y', 'x' in row 2"):
        Table(root / "t.parquet")
    data = Table(root / "t.parquet", positive="y")
    assert data.labels.tolist() == [1, 0] and "1 rows without an image or a label were dropped." in data.notes
    for label in ({"de": "Hund"}, [["x"]]):
        pd.DataFrame({"image": files[:1], "label": [label]}).to_parquet(root / "t.parquet")
        with pytest.raises(DataError, match="labels that are texts, numbers, or lists of them"):
            Table(root / "t.parquet")


def test_lists_are_no_captions_and_no_groups_as_text(root: Path) -> None:
    frame = pd.DataFrame({"image": ["a.png", "b.png"], "label": ["x", "y"], "text": [["one", "two"], []]})
    frame.assign(g=[["u"], ["v"]]).to_parquet(root / "t.parquet")
    assert Table(root / "t.parquet").captions == ("one", "")
    with pytest.raises(DataError, match="one text or number in a cell, got a list"):
        Table(root / "t.parquet", group="g")


# --- numbers, words for what is missing, names without ending ---------------------------------------------------------


def test_numbers_are_the_same_as_text(root: Path, write: Any) -> None:
    frame = pd.DataFrame(
        {"image": ["a.png", "b.png", "sub/c.png"], "label": [0.0, 1, -1], "g": [2.0, 10, np.nan], "h": [2.0, 10, 2]}
    )
    frame.to_parquet(root / "t.parquet")
    for path in (root / "t.parquet", write(frame.to_csv(index=False))):
        data = Table(path, group="h")
        assert data.class_names == ("-1", "0", "1") and any("numbers" in note for note in data.notes)
        assert data.feature_name == "h: 10" and data.feature_present is not None
        assert data.feature_present.tolist() == [False, True, False], "the larger number, not the later text"
        data = Table(path, class_names="no effusion, effusion")
        assert data.labels.tolist() == [0, 1], "-1 is uncertain"
        assert "1 images with the label -1, which is no index, were left out." in data.notes
        assert Table(path, class_names=["1.0", "0.0", "-1.0"]).labels.tolist() == [1, 0, 2], "names by what they count"
        with pytest.raises(DataError, match="labels among the class names 'a', 'b', 'c', got also '-1'"):
            Table(path, class_names=["a", "b", "c"])
        with pytest.raises(DataError, match="none in 1 rows, the first row 3"):
            Table(path, group="g")


def test_yes_and_no_may_be_numbers_or_truths(write: Any) -> None:
    path = write("image,label\na.png,True\nb.png,FALSE\n")
    assert Table(path, class_names=["healthy", "sick"]).labels.tolist() == [1, 0]
    data = Table(write("image,label\na.png,1.0\nb.png,0.0\n"), positive="1.0")
    assert data.class_names == ("1", "no 1") and "is a number; give two class_names" in data.notes[0]


def test_indices_may_have_leading_zeros(write: Any) -> None:
    path = write("image,label\na.png,01\nb.png,00\n")
    assert Table(path, class_names="cat, dog").labels.tolist() == [1, 0]
    assert Table(path, class_names=["01", "00"]).labels.tolist() == [0, 1]


@pytest.mark.parametrize("names", [{"0": "no", "1": "yes"}, {"no", "yes"}, 5])
def test_class_names_without_an_order_are_refused(write: Any, names: Any) -> None:
    with pytest.raises(InputError, match="a list of class names"):
        Table(write("image,label\na.png,0\nb.png,1\n"), class_names=names)


@pytest.mark.parametrize("path", [None, 5, b"t.csv"])
def test_what_is_no_path(path: Any) -> None:
    with pytest.raises(InputError, match="a path"):
        Table(path)


def test_minus_one_is_a_class_where_zero_is_none(write: Any) -> None:
    with pytest.raises(DataError, match="got also '-1'"):
        Table(write("image,label\na.png,-1\nb.png,1\n"), class_names=["bad", "good"])


def test_words_for_what_is_missing_are_told_and_can_be_kept(root: Path, write: Any) -> None:
    content = "image,label\na.png,NA\nb.png,EU\nsub/c.png,EU\n"
    with pytest.raises(DataError, match=r"'EU' alone; 1 cells with 'NA' .*class_names=\['NA', 'EU'\]"):
        Table(write(content))
    assert Table(write(content), class_names=["NA", "EU"]).labels.tolist() == [0, 1, 1]
    frame = pd.DataFrame({"image": ["a.png", "b.png", "sub/c.png"], "label": ["n/a", "EU", "AS"]})
    frame.to_parquet(root / "t.parquet")
    for path in (root / "t.parquet", write(frame.to_csv(index=False))):
        data = Table(path)
        assert data.class_names == ("AS", "EU") and any("'n/a' (1) counted as missing" in note for note in data.notes)
    with pytest.raises(DataError, match=r"none among 1 .*'NA' in 1 counts as missing"):
        Table(write("image,label\na.png,NA\n"))


def test_classes_that_no_image_has_are_told(write: Any) -> None:
    assert Table(write(CSV), class_names=["hen", "dog", "cat"]).notes == (
        "No image is of the classes 'hen'; predictions may be.",
    )


def test_names_without_ending_stand_for_the_one_file_of_that_name(root: Path, write: Any) -> None:
    data = Table(write("image,label\na,cat\nsub/c,dog\nb.png,dog\n"))
    assert [int(data.image(i)[0, 0, 0]) for i in range(3)] == [10, 30, 20]
    assert data.notes == ("2 names without an ending were taken for the one file of that name, as 'a' for 'a.png'.",)
    Image.new("L", (8, 6)).save(root / "a.jpg")
    with pytest.raises(DataError, match=r"one image file for the name 'a', got 'a\.jpg', 'a\.png'.*Write the ending"):
        Table(write("image,label\na,cat\nb.png,dog\n"))
    (root / "link.png").symlink_to(root.parent / "elsewhere.png")
    with pytest.raises(DataError, match="1 outside"):
        Table(write("image,label\nlink,cat\nb.png,dog\n"))


def test_ids_that_are_numbers_are_names_too(root: Path, write: Any) -> None:
    for name in ("7.png", "12.png"):
        Image.new("L", (8, 6)).save(root / name)
    frame = pd.DataFrame({"image": [7.0, 12, np.nan], "label": ["cat", "dog", "cat"]})
    frame.to_parquet(root / "t.parquet")
    for path in (root / "t.parquet", write(frame.to_csv(index=False))):
        data = Table(path)
        assert [file.name for file in data.files] == ["7.png", "12.png"]
        assert ("Names such as '7.0' were read without the .0, since no file is called so." in data.notes) == (
            path.suffix == ".csv"
        )


@pytest.mark.parametrize(
    ("ids", "there"),
    [
        (("1.0", "1.1"), ("1", "1.0", "1.1")),
        (("1.0", "2.0"), ("1", "1.0", "2", "2.0")),
        (("1e3", "+7"), ("1000", "7", "1e3", "+7")),
    ],
)
def test_ids_that_look_like_numbers_are_taken_as_written(
    root: Path, write: Any, ids: tuple[str, str], there: tuple[str, ...]
) -> None:
    for name in there:
        Image.new("L", (8, 6)).save(root / f"{name}.png")
    frame = pd.DataFrame({"image": ids, "label": ["cat", "dog"]})
    frame.to_parquet(root / "t.parquet")
    for path in (root / "t.parquet", write(frame.to_csv(index=False))):
        assert [file.name for file in Table(path).files] == [f"{name}.png" for name in ids]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_encodings_of_real_tables(write: Any, encoding: str) -> None:
    data = Table(write("image,label,note\na.png,Käfer,39 °C\nb.png,Hund,“x”\n".encode(encoding)))
    assert data.class_names == ("Hund", "Käfer")
    told = "table.csv is not in UTF-8 and was read as cp1252; if letters are wrong, save it as UTF-8."
    assert data.notes == ((told,) if encoding == "cp1252" else ())


def test_one_odd_byte_does_not_spoil_the_other_letters(write: Any) -> None:
    content = "image,label,note\na.png,Käfer,x\nb.png,Hund,y\n".encode()
    for odd in (b"39 \xb0C", b"\x81"):
        data = Table(write(content.replace(b"y\n", odd + b"\n")))
        assert data.class_names == ("Hund", "Käfer") and len(data.notes) == 1
    with pytest.raises(DataError, match=r"letters in UTF-8 or cp1252, got .* in column 'note', line 3"):
        Table(write(content.replace(b"y\n", b"\x81\n")), caption="note")


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "sub/../../secret.png",
        "/etc/passwd",
        "..\\secret.png",
        "link.png",
        "linked/secret.png",
        ".",
        "",
    ],
)
def test_paths_outside_the_root_are_refused(root: Path, name: str) -> None:
    Image.new("L", (2, 2)).save(root.parent / "secret.png")
    (root / "link.png").symlink_to(root.parent / "secret.png")
    (root / "linked").symlink_to(root.parent)
    with pytest.raises(DataError, match=r"image paths inside .*1 outside, the first"):
        resolve_inside(root, ["a.png", name])
    with pytest.raises(DataError, match="1 outside"):
        Table(_write(root, f'image,label\n"{name or "."}",cat\nb.png,dog\n'))


def _write(root: Path, content: str) -> Path:
    (root / "table.csv").write_text(content)
    return root / "table.csv"


def test_a_sibling_that_starts_like_the_root_is_outside(root: Path) -> None:
    (root.parent / "data2").mkdir()
    with pytest.raises(DataError, match="1 outside"):
        resolve_inside(root, [str(root.parent / "data2" / "a.png")])


def test_absolute_paths_and_links_inside_the_root_are_fine(root: Path, tmp_path: Path) -> None:
    (root / "link.png").symlink_to(root / "a.png")
    (tmp_path / "short").symlink_to(root)
    found = resolve_inside(tmp_path / "short", [str(root / "a.png"), "link.png", str(tmp_path / "short" / "b.png")])
    assert found == [root / "a.png", root / "a.png", root / "b.png"]


def test_a_wider_root_lets_paths_in(root: Path) -> None:
    path = _write(root, "image,label\ndata/a.png,cat\ndata/b.png,dog\n")
    assert len(Table(path, root=root.parent)) == 2
    with pytest.raises(DataError, match="image files, got"):
        Table(path)


def test_web_addresses_are_not_fetched(root: Path) -> None:
    with pytest.raises(DataError, match="nothing is fetched"):
        Table(_write(root, "image,label\nhttps://example.org/a.png,cat\n"))


def test_missing_and_broken_files_are_unreadable(write: Any, root: Path) -> None:
    (root / "b.png").write_bytes(b"")
    data = Table(write(CSV.replace("sub/c.png", "gone.png")))
    assert data.unreadable() == {1: "an empty file, 0 bytes", 2: "no such file"}


def test_many_rows_are_read_quickly(tmp_path: Path) -> None:
    n = 20_000
    Image.new("L", (2, 2)).save(tmp_path / "0.png")
    (tmp_path / "t.csv").write_text("image,label\n" + "".join(f"{i}.png,{i % 3}\n" for i in range(n)))
    assert len(read_columns(tmp_path / "t.csv", ["label"])["label"]) == n
    assert column_names(tmp_path / "t.csv") == ["image", "label"]
    data = Table(tmp_path / "t.csv")
    assert (data.labels == np.arange(n) % 3).all()
