"""Webhooks: who may have them, where they may go, how they are signed and sent."""

from selfie3d_service.webhooks.config import WebhookConfig
from selfie3d_service.webhooks.courier import Courier
from selfie3d_service.webhooks.receiver import Receiver, ReceiverRefused, receiver_of
from selfie3d_service.webhooks.signing import Signer

__all__ = ["Courier", "Receiver", "ReceiverRefused", "Signer", "WebhookConfig", "receiver_of"]
