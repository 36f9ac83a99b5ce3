"""MitigationForm: what to suppress, by which objective, on which images, and the trainer's common settings."""

from __future__ import annotations

from typing import TypedDict

import ipywidgets as widgets

from ravl_explore import data as data_sources
from ravl_explore import objectives
from ravl_explore.data.base import ImageTextDataset
from ravl_explore.discovery import Discovery, SpuriousFeature
from ravl_explore.experiments.cautions import too_optimistic
from ravl_explore.objectives.base import Objective
from ravl_explore.training import TrainingSettings
from ravl_explore.widgets.basics.closing import Closing
from ravl_explore.widgets.basics.menus import PartMenu, choices, heading
from ravl_explore.widgets.basics.message import Message
from ravl_explore.widgets.basics.notes import Notes

LABEL = {"description_width": "110px"}
SEVERAL = "Ctrl- or ⌘-click for several"
DEMO = {split: label for label, (split,) in data_sources.Demo.menu().items()}
TRAIN, TEST = DEMO["train"], DEMO["test"]
SEARCHED = "The images that were searched"


class Common(TypedDict):
    """Of :class:`~ravl_explore.training.TrainingSettings`, those that are asked for beside the curves."""

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int


class MitigationForm(Closing, widgets.VBox):
    """Menus and fields in a column; nothing is opened before it is asked for.

    Parameters
    ----------
    train_data, test_data : ImageTextDataset, optional
        First choices of the two menus, beside what ``ravl_explore.data`` offers.

    Attributes
    ----------
    features : SelectMultiple
        The clusters to suppress.
    confirmed, despite : Checkbox
        That the crops were looked at, and that a model is trained that may as well guess.
    objective, train_data, test_data : PartMenu
        How to fine-tune, on which images, and which to compare on.
    epochs, learning_rate, batch_size, seed : BoundedIntText or FloatText
        Settings of the trainer.
    doubts, note : Notes and Message
        What speaks against the chosen clusters, and against the images to compare on.
    fields : list of widget
        The inputs that are locked while a training runs.
    """

    _lets_go = ("_searched",)

    def __init__(self, train_data: ImageTextDataset | None = None, test_data: ImageTextDataset | None = None) -> None:
        defaults, field = TrainingSettings(), widgets.Layout(width="100%", margin="2px 0")
        self._searched: ImageTextDataset | None = None
        self.features = widgets.SelectMultiple(
            rows=5, tooltip="Clusters to suppress", layout=widgets.Layout(width="100%", margin="0")
        )
        self._several = widgets.Label(SEVERAL, layout=widgets.Layout(display="none", margin="0"))
        self.confirmed = widgets.Checkbox(
            description="I looked at the crops: it is a shortcut",
            indent=False,
            layout=widgets.Layout(width="100%", margin="2px 0 6px 0"),
        )
        self.despite = widgets.Checkbox(
            description="Train, though the model may as well guess",
            indent=False,
            layout=widgets.Layout(width="100%", margin="0 0 6px 0", display="none"),
        )
        self.objective: PartMenu[Objective] = PartMenu("Objective", choices(objectives))
        self.train_data: PartMenu[ImageTextDataset] = PartMenu(
            "Fine-tune on", choices(data_sources), train_data, preferred=TRAIN
        )
        self.test_data: PartMenu[ImageTextDataset] = PartMenu(
            "Compare on", choices(data_sources), test_data, preferred=TEST
        )
        self.note, self.doubts = Message(), Notes()
        self.epochs = widgets.BoundedIntText(defaults.epochs, 1, 1000, description="Epochs", layout=field, style=LABEL)
        self.learning_rate = widgets.FloatText(
            defaults.learning_rate, description="Learning rate", layout=field, style=LABEL, step=None
        )
        self._usual_rate = defaults.learning_rate  # of the objective last picked
        self.batch_size = widgets.BoundedIntText(
            defaults.batch_size, 2, 4096, description="Batch size", layout=field, style=LABEL
        )
        self.seed = widgets.BoundedIntText(defaults.seed, 0, 2**31 - 1, description="Seed", layout=field, style=LABEL)
        self.fields = [
            self.features, self.objective, self.train_data, self.test_data, self.epochs,
            self.learning_rate, self.batch_size, self.seed,
        ]  # fmt: skip
        super().__init__(
            [
                heading("Suppress"), self.features, self._several, self.doubts, self.confirmed,
                self.despite, self.objective,
                self.train_data, self.test_data, self.note, self.epochs, self.learning_rate, self.batch_size, self.seed,
            ],
            layout=widgets.Layout(flex="0 0 360px", min_width="300px", padding="0 16px 0 0"),
        )  # fmt: skip
        self.features.observe(lambda _: self.confirmed.set_trait("value", False), "value")
        self.objective.observe(lambda _: self._on_objective(), "changes")
        for each in (self.train_data, self.test_data):
            each.observe(lambda _: self._say_whose(), "changes")

    @property
    def ready(self) -> bool:
        """Whether a cluster is chosen and confirmed; of a model that may as well guess, confirmed once more."""
        return bool(self.features.value) and self.confirmed.value and (self.despite.value or not self.guesses)

    @property
    def guesses(self) -> bool:
        """Whether the model that was searched is no better than guessing."""
        return self.despite.layout.display != "none"

    @property
    def settings(self) -> Common:
        """Those of :class:`~ravl_explore.training.TrainingSettings` that are asked for here."""
        return {
            "epochs": self.epochs.value,
            "learning_rate": self.learning_rate.value,
            "batch_size": self.batch_size.value,
            "seed": self.seed.value,
        }

    def clear(self) -> None:
        """Choose nothing: the old numbers mean nothing in another discovery."""
        self.features.value, self.confirmed.value, self.despite.value = (), False, False

    def offer_data(self, data: ImageTextDataset) -> None:
        """Take the images that were searched; where they are the user's own, offer them in both menus."""
        for menu, start in ((self.train_data, TRAIN), (self.test_data, TEST)):
            if isinstance(data, data_sources.Demo):
                menu.withdraw(SEARCHED, start)  # images of an earlier search, which these classes will not fit
            else:
                menu.offer(data, SEARCHED, pick=menu.menu.value in (start, SEARCHED))
        self._searched = data
        self._say_whose()

    def offer_features(self, discovery: Discovery) -> None:
        """Take the kept clusters of a discovery, the first one chosen."""
        self.despite.layout.display = "" if discovery.scores.doubt else "none"
        self.features.options = [(_feature_label(each), each.cluster) for each in discovery.features]
        self.features.value = tuple(each.cluster for each in discovery.features[:1])
        self._several.layout.display = "" if len(discovery.features) > 1 else "none"

    @property
    def disabled(self) -> bool:
        """Whether nothing can be changed."""
        return self.features.disabled

    @disabled.setter
    def disabled(self, disabled: bool) -> None:
        for each in self.fields:
            each.disabled = disabled
        if not self.objective.make().takes_steps:
            for each in (self.epochs, self.learning_rate, self.seed):
                each.disabled = True  # it takes no step

    def _on_objective(self) -> None:
        """Set the usual learning rate unless another was typed."""
        objective = self.objective.make()
        if self.learning_rate.value == self._usual_rate:
            self.learning_rate.value = objective.usual_learning_rate
        self._usual_rate = objective.usual_learning_rate

    def _say_whose(self) -> None:
        """Say where the comparison cannot be trusted, as far as the menus tell; no image is opened for it."""
        data = self._searched
        label = DEMO[data.split] if isinstance(data, data_sources.Demo) else SEARCHED
        searched = data is not None and self.test_data.menu.value == label
        self.note.say(too_optimistic() if searched or self.train_data.same_pick(self.test_data) else "")


def _feature_label(feature: SpuriousFeature) -> str:
    doubt = ", may be chance" if feature.may_be_chance else ""
    return f"cluster {feature.cluster} → {feature.attribute or 'no class'}  (gap {feature.performance_gap:.2f}{doubt})"
