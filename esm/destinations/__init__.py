"""Where notices of records that were given up go, each kind in a module of its own."""

from esm.destinations import eventbridge, file, http, kafka, lambda_, s3, sns, sqs
from esm.plugins import DestinationPlugin

__all__ = ["BUILT_IN"]

BUILT_IN: tuple[DestinationPlugin, ...] = (
    eventbridge.PLUGIN,
    file.PLUGIN,
    http.PLUGIN,
    kafka.PLUGIN,
    lambda_.PLUGIN,
    s3.PLUGIN,
    sns.PLUGIN,
    sqs.PLUGIN,
)
