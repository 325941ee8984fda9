"""The experiment file: its keys, how it is read, where packaged jobs lie."""

from hpcfed.config.experiment import ClientConfig as ClientConfig
from hpcfed.config.experiment import Count as Count
from hpcfed.config.experiment import DataConfig as DataConfig
from hpcfed.config.experiment import Experiment as Experiment
from hpcfed.config.experiment import ModelConfig as ModelConfig
from hpcfed.config.experiment import NonNegative as NonNegative
from hpcfed.config.experiment import ParticipationConfig as ParticipationConfig
from hpcfed.config.experiment import PartitionConfig as PartitionConfig
from hpcfed.config.experiment import Positive as Positive
from hpcfed.config.experiment import Probability as Probability
from hpcfed.config.experiment import RunConfig as RunConfig
from hpcfed.config.experiment import Section as Section
from hpcfed.config.experiment import Seed as Seed
from hpcfed.config.experiment import ServerConfig as ServerConfig
from hpcfed.config.experiment import UplinkConfig as UplinkConfig
