"""mitigate(): fine-tune a copy of the model so that it stops relying on the chosen feature (RaVL, Stage 2)."""

from ravl_explore.mitigation.mitigating import begin, chosen_settings, mitigate
from ravl_explore.mitigation.result import Mitigation, MitigationRun
from ravl_explore.mitigation.training_set import prepare

__all__ = ["Mitigation", "MitigationRun", "begin", "chosen_settings", "mitigate", "prepare"]
