"""The experiment file: its keys, how it is read, where packaged jobs lie."""

from hpcfed.config.clients import ParticipationConfig as ParticipationConfig
from hpcfed.config.clients import PartitionConfig as PartitionConfig
from hpcfed.config.data import DataConfig as DataConfig
from hpcfed.config.experiment import Experiment as Experiment
from hpcfed.config.experiment import RunConfig as RunConfig
from hpcfed.config.learning import ClientConfig as ClientConfig
from hpcfed.config.model import ModelConfig as ModelConfig
from hpcfed.config.rule import RuleConfig as RuleConfig
from hpcfed.config.section import Count as Count
from hpcfed.config.section import NonNegative as NonNegative
from hpcfed.config.section import Positive as Positive
from hpcfed.config.section import Probability as Probability
from hpcfed.config.section import Section as Section
from hpcfed.config.section import Seed as Seed
from hpcfed.config.server import ServerConfig as ServerConfig
from hpcfed.config.server import UplinkConfig as UplinkConfig
