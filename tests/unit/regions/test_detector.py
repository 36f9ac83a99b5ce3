"""Detector: the boxes are those of torchvision's own proposal network, and a file that does not fit says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models import detection

from ravl_explore.errors import Cancelled, DataError, InputError, ModelError
from ravl_explore.regions import Detector, open_proposer
from ravl_explore.regions import detector_weights as weights_module
from ravl_explore.regions.detector_weights import BUILDERS

SMALL = "fasterrcnn_mobilenet_v3_large_320_fpn"  # the quickest of torchvision's


class Pictures:
    """Images in a list; None cannot be read."""

    def __init__(self, *images: np.ndarray | None) -> None:
        self._images = images
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self._images)

    @property
    def image_sizes(self) -> np.ndarray:
        return np.array([(1, 1) if each is None else (each.shape[1], each.shape[0]) for each in self._images])

    def image(self, index: int) -> np.ndarray:
        self.read.append(index)
        image = self._images[index]
        if image is None:
            raise DataError("a readable image file", "'b.png'", "Mend it.")
        return image


@pytest.fixture(scope="module")
def whole() -> Any:
    """A seeded detector with random weights, whose scores and boxes are spread as a trained one's are."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
        norms = [module for module in model.backbone.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad():  # statistics of pixels, else all features are nearly 0 and all boxes alike
            features = model.backbone.train()(torch.randn(4, 3, 320, 320))["0"]
        for layer, spread in ((model.rpn.head.cls_logits, 1.0), (model.rpn.head.bbox_pred, 0.5)):
            torch.nn.init.normal_(layer.weight, std=spread / float(features.std()) / 16)
    return model.eval()


@pytest.fixture(scope="module")
def weights(whole: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its backbone and proposal network in a file."""
    path = tmp_path_factory.mktemp("detector") / f"{SMALL}.pth"
    torch.save({k: v for k, v in whole.state_dict().items() if k.startswith(("backbone.", "rpn."))}, path)
    return path


@pytest.fixture(scope="module")
def pictures() -> Callable[[], Pictures]:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((60, 90, 3), (120, 70, 3), (200, 200, 3))]
    return lambda: Pictures(*images)


def test_the_boxes_are_torchvisions_own(whole: Any, weights: Path, pictures: Callable[[], Pictures]) -> None:
    """Each image alone through the parts of the detector, best first, scaled back by hand."""
    data = pictures()
    n, nms = 12, 0.6
    found = Detector(weights, n_boxes=n, nms=nms)(data)
    found.check_inside(data.image_sizes, tolerance=1e-3)
    whole.rpn._pre_nms_top_n = {"training": 2000, "testing": 1000}
    whole.rpn._post_nms_top_n = {"training": 2000, "testing": n}
    whole.rpn.nms_thresh, whole.rpn.score_thresh = nms, 0.0
    for i in range(len(data)):
        image = data.image(i)
        height, width = image.shape[:2]
        pixels = torch.from_numpy(image).permute(2, 0, 1) / 255
        with torch.no_grad():
            batch, _ = whole.transform([pixels])
            features = whole.backbone(batch.tensors)
            proposals, _ = whole.rpn(batch, features)
        (inner_height, inner_width), boxes = batch.image_sizes[0], proposals[0].numpy()
        scale = np.array([width / inner_width, height / inner_height] * 2)
        expected = boxes * scale
        expected = expected[((expected[:, 2:] - expected[:, :2]) >= 1).all(1)]
        mine = found.boxes[found.rows(i)]
        assert 1 <= len(mine) <= n
        np.testing.assert_allclose(mine, expected, atol=1e-2)


def test_an_images_boxes_do_not_depend_on_its_neighbours(weights: Path, pictures: Callable[[], Pictures]) -> None:
    detector, one = Detector(weights, n_boxes=8), pictures().image(0)
    alone = detector(Pictures(one))
    among = detector(Pictures(pictures().image(2), one, one[::-1]))
    np.testing.assert_allclose(among.boxes[among.rows(1)], alone.boxes, atol=0.05)


def test_fewer_boxes_are_the_best_of_more(weights: Path, pictures: Callable[[], Pictures]) -> None:
    many, few = Detector(weights, n_boxes=20)(pictures()), Detector(weights, n_boxes=5)(pictures())
    assert few.count(3).max() <= 5 < many.count(3).max() <= 20
    np.testing.assert_allclose(few.boxes[few.rows(2)], many.boxes[many.rows(2)][: few.count(3)[2]], atol=1e-4)


def test_a_lower_overlap_leaves_fewer_boxes(weights: Path, pictures: Callable[[], Pictures]) -> None:
    counts = [len(Detector(weights, n_boxes=1000, nms=nms)(pictures())) for nms in (0.9, 0.3)]
    assert counts[1] < 0.8 * counts[0]


def test_an_image_that_cannot_be_read_gets_no_box(weights: Path, pictures: Callable[[], Pictures]) -> None:
    one, two, three = (pictures().image(i) for i in range(3))
    found = Detector(weights, n_boxes=5)(Pictures(one, None, two, None, three, None))
    counts = found.count(6)
    assert counts[[1, 3, 5]].tolist() == [0, 0, 0] and (counts[[0, 2, 4]] > 0).all()
    assert len(Detector(weights, n_boxes=5)(Pictures(None))) == 0


def test_progress_is_told_and_can_stop_it(weights: Path, pictures: Callable[[], Pictures]) -> None:
    data = Pictures(*[pictures().image(0)] * 6)
    told: list[tuple[int, int, str]] = []
    Detector(weights, n_boxes=2)(data, lambda *said: told.append(said))
    assert told == [(n, 6, "Looking for objects") for n in (0, 4, 6)]

    def stop(done: int, total: int, stage: str) -> None:
        if done:
            raise Cancelled

    data.read.clear()
    with pytest.raises(Cancelled):
        Detector(weights, n_boxes=2)(data, stop)
    assert data.read == [0, 1, 2, 3]


def test_the_same_images_are_not_looked_at_twice(weights: Path, pictures: Callable[[], Pictures]) -> None:
    detector, data = Detector(weights, n_boxes=2), pictures()
    data.fingerprint = lambda: "a"  # type: ignore[attr-defined]
    first = detector(data)
    assert detector(data) is first and data.read == [0, 1, 2]
    data.fingerprint = lambda: "b"  # type: ignore[attr-defined]
    assert detector(data) is not first


def test_a_fingerprint_of_weights_and_settings(weights: Path, whole: Any, tmp_path: Path) -> None:
    base = Detector(weights, n_boxes=5).fingerprint()
    assert Detector(weights, n_boxes=5).fingerprint() == base
    other = tmp_path / "other.pth"
    content = torch.load(weights, weights_only=True)
    content["rpn.head.cls_logits.bias"] = content["rpn.head.cls_logits.bias"] + 1
    torch.save({"model": content}, other)
    prints = [Detector(weights, 6), Detector(weights, 5, 0.5), Detector(other, 5)]
    assert len({base, *(each.fingerprint() for each in prints)}) == 4


@pytest.mark.parametrize(("builder", "expected"), [("v1", ""), ("v2", "_v2")])
def test_an_architecture_is_told_by_its_keys(builder: str, expected: str) -> None:
    keys = {"backbone.body.conv1.weight": 0, **({"rpn.head.conv.1.0.weight": 0} if builder == "v2" else {})}
    assert weights_module._recognise(keys, Path("a.pth")) == (f"fasterrcnn_resnet50_fpn{expected}", False)
    mobile = {"backbone.body.0.0.weight": 0}
    assert weights_module._recognise(mobile, Path("a.pth"))[0] == "fasterrcnn_mobilenet_v3_large_fpn"
    assert weights_module._recognise(mobile, Path("a_320_b.pth"))[0] == SMALL


def test_the_names_are_torchvisions_and_their_files_end_in_a_digest() -> None:
    for name, (builder, _) in BUILDERS.items():
        assert hasattr(detection, builder)
        url = weights_module._weights_of(name).url
        assert url.endswith(".pth") and len(url.rsplit("-", 1)[1]) == len("12345678.pth")
    assert "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth" in weights_module._published()


class TestFiles:
    @pytest.fixture(autouse=True)
    def folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAVL_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def offline(self, url: str) -> bytes:
        raise OSError("Name or service not known")

    def test_without_a_network_it_says_which_file_goes_where(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(weights_module, "_download", self.offline)
        with pytest.raises(
            ModelError, match=r"fasterrcnn_resnet50_fpn_coco-258fb6c6.pth.*put it into '.*cache.models'"
        ):
            open_proposer("detector")

    @pytest.mark.parametrize("place", ["cache/models", "torch/hub/checkpoints"])
    def test_a_file_that_is_there_is_used(
        self, weights: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(weights_module, "_download", self.offline)
        target = tmp_path / place / weights_module._weights_of(SMALL).url.rsplit("/", 1)[-1]
        target.parent.mkdir(parents=True)
        target.write_bytes(weights.read_bytes())
        assert Detector(SMALL, 5).fingerprint() == Detector(weights, 5).fingerprint()

    def test_a_download_is_kept_if_it_is_what_it_should_be(
        self, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import hashlib
        from types import SimpleNamespace

        content = weights.read_bytes()
        start = hashlib.sha256(content).hexdigest()[:8]
        monkeypatch.setattr(weights_module, "_download", lambda url: content)
        kept = tmp_path / "cache" / "models"
        monkeypatch.setattr(weights_module, "_weights_of", lambda name: SimpleNamespace(url="x/a-00000000.pth"))
        with pytest.raises(ModelError, match="another file"):
            Detector(SMALL)
        assert not kept.exists()
        monkeypatch.setattr(weights_module, "_weights_of", lambda name: SimpleNamespace(url=f"x/a-{start}.pth"))
        Detector(SMALL)
        assert (kept / f"a-{start}.pth").read_bytes() == content

    def test_no_such_file(self) -> None:
        with pytest.raises(ModelError, match=r"missing.pth', no such file.*maskrcnn"):
            open_proposer("detector:missing.pth")

    def test_code_is_not_run(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        class Code:
            def __reduce__(self) -> Any:
                return print, ("run",)

        torch.save({"backbone.body.conv1.weight": Code()}, tmp_path / "evil.pth")
        with pytest.raises(ModelError, match="was not run"):
            Detector(tmp_path / "evil.pth")
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut short"])
    def test_a_file_of_something_else(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.pth").write_bytes(content)
        with pytest.raises(ModelError, match=r"a\.pth"):
            Detector(tmp_path / "a.pth")

    def test_missing_unexpected_and_misshapen_weights_are_named(self, weights: Path, tmp_path: Path) -> None:
        content = torch.load(weights, weights_only=True)
        without = {key: value for key, value in content.items() if key != "rpn.head.cls_logits.bias"}
        torch.save(without | {"rpn.more": torch.zeros(1)}, tmp_path / "a.pth")
        with pytest.raises(ModelError, match=r"missing head.cls_logits.bias, unexpected more"):
            Detector(tmp_path / "a.pth")
        torch.save(content | {"rpn.head.cls_logits.bias": torch.zeros(7)}, tmp_path / "a.pth")
        with pytest.raises(ModelError, match="shapes fit"):
            Detector(tmp_path / "a.pth")
        torch.save({"layer.weight": torch.zeros(1)}, tmp_path / "a.pth")
        with pytest.raises(ModelError, match=r"keys such as layer\.weight"):
            Detector(tmp_path / "a.pth")
        torch.save([1, 2], tmp_path / "a.pth")
        with pytest.raises(ModelError, match="a dictionary of tensors, got list"):
            Detector(tmp_path / "a.pth")

    @pytest.mark.parametrize("wrong", [{"n_boxes": 0}, {"nms": 0}, {"nms": 1.5}])
    def test_settings_out_of_range_are_told_before_anything_is_read(self, wrong: dict) -> None:
        with pytest.raises(InputError):
            Detector("missing.pth", **wrong)
