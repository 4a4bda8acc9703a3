"""Sizes and a key -> a network: a pytree of weights, callable on one sample."""

from ._activation import ACTIVATIONS as ACTIVATIONS
from ._activation import GELU as GELU
from ._activation import IDENTITY as IDENTITY
from ._activation import RELU as RELU
from ._activation import SIGMOID as SIGMOID
from ._activation import SILU as SILU
from ._activation import SOFTPLUS as SOFTPLUS
from ._activation import TANH as TANH
from ._activation import Activation as Activation
from ._activation import find_activation as find_activation
from ._assembly import Assembly as Assembly
from ._assembly import module_slices as module_slices
from ._assembly import per_unit_constants as per_unit_constants
from ._rate import Form as Form
from ._rate import RateNetwork as RateNetwork
from ._rate import random_rate_network as random_rate_network
from ._readout import LinearReadout as LinearReadout
from ._recurrent import GRU as GRU
from ._recurrent import LSTM as LSTM
from ._recurrent import Elman as Elman
from ._recurrent import random_elman as random_elman
from ._recurrent import random_gru as random_gru
from ._recurrent import random_lstm as random_lstm
