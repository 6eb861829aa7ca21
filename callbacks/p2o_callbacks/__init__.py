"""Lightning callbacks for hard-sample mining and prompt evolution, usable in any project.

They talk to the code around them through the protocols in `p2o_callbacks.protocols` alone.
"""

from p2o_callbacks.candidates import Candidate, Exchange
from p2o_callbacks.collapse import FiniteUpdates, MetricBounds, ShareOfBest, ShareOfStart
from p2o_callbacks.errors import ConfigurationError, TrainingCollapsed
from p2o_callbacks.evolution import PromptEvolution
from p2o_callbacks.flops_budget import FlopsBudget, FlopsCounter
from p2o_callbacks.hint import Hint, HintOrText
from p2o_callbacks.mining import HardSampleMiner
from p2o_callbacks.pool import PromptPool, Template
from p2o_callbacks.pool_files import Moment
from p2o_callbacks.progress import LoopProgress
from p2o_callbacks.protocols import (
    EpochCloser,
    EvaluateTemplates,
    Evolution,
    EvolutionDisplay,
    EvolutionProgress,
    Evolver,
    GroupObserver,
    GroupOutcome,
    GroupSource,
    HardSetSoFar,
    HardSetSource,
    PoolObserver,
    PoolSource,
    TemplateTrial,
    TemplateUser,
)
from p2o_callbacks.rollout_budget import RolloutBudget, RolloutCounter
from p2o_callbacks.template_list import TemplateList
from p2o_callbacks.time_budget import TimeBudget, TimeCounter
from p2o_callbacks.token_budget import TokenBudget, TokenCounter

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "ConfigurationError",
    "EpochCloser",
    "EvaluateTemplates",
    "Evolution",
    "EvolutionDisplay",
    "EvolutionProgress",
    "Evolver",
    "Exchange",
    "FiniteUpdates",
    "FlopsBudget",
    "FlopsCounter",
    "GroupObserver",
    "GroupOutcome",
    "GroupSource",
    "HardSampleMiner",
    "HardSetSoFar",
    "HardSetSource",
    "Hint",
    "HintOrText",
    "LoopProgress",
    "MetricBounds",
    "Moment",
    "PoolObserver",
    "PoolSource",
    "PromptEvolution",
    "PromptPool",
    "RolloutBudget",
    "RolloutCounter",
    "ShareOfBest",
    "ShareOfStart",
    "Template",
    "TemplateList",
    "TemplateTrial",
    "TemplateUser",
    "TimeBudget",
    "TimeCounter",
    "TokenBudget",
    "TokenCounter",
    "TrainingCollapsed",
]
