"""How many workers are needed, told to KEDA: its external scaler, on the service's own port."""

from selfie3d_service.scaler.servicer import METRIC as METRIC
from selfie3d_service.scaler.servicer import ScalerServicer as ScalerServicer
