"""Model folders (config.json, model.safetensors, certificates/), and importers."""

from ._atomic import require_writable as require_writable
from ._atomic import write_whole as write_whole
from ._certificate import certificate_document as certificate_document
from ._certificate import write_certificate as write_certificate
from ._deep_certificate import deep_document as deep_document
from ._deep_certificate import write_deep_certificate as write_deep_certificate
from ._deep_certificate import write_radius as write_radius
from ._describe import describe as describe
from ._describe import rebuild as rebuild
from ._model import Model as Model
from ._model import load as load
from ._model import save as save
from ._proof_certificate import proof_document as proof_document
from ._proof_certificate import write_proof as write_proof
