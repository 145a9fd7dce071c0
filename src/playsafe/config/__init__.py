"""Study configuration: one YAML file, `--set a.b=c` on top, every key known or refused.

Key names are those of TRL, Axolotl and `transformers.TrainingArguments` where they exist there.
"""

from playsafe.config.arms import ArmConfig, DecodeConfig, EditConfig
from playsafe.config.evaluation import (
    AttackConfig,
    EndpointConfig,
    EvaluationConfig,
    GenerationConfig,
    JudgeConfig,
    SuiteConfig,
    SuiteKind,
    TargetConfig,
    VoiceConfig,
)
from playsafe.config.study import StudyConfig, load_study
from playsafe.config.training import (
    NOT_NUMBERS,
    DataConfig,
    LoraSettings,
    MethodConfig,
    ModelConfig,
    Named,
    PairsConfig,
    RolesConfig,
    ScoringConfig,
    SystemTurn,
    TrainingConfig,
)
from playsafe.settings import Section
