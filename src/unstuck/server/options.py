"""What each part of the server is told, of its settings."""

from dataclasses import replace

from unstuck.api.rest.app import RestOptions
from unstuck.config.settings import ServerConfig
from unstuck.lifecycle.manager import ManagerOptions
from unstuck.lifecycle.policies import Policy, availability_preserving, resource_preserving
from unstuck.monitor.monitoring import MonitoringOptions
from unstuck.server.peers import Peers

POLICIES: dict[str, Policy] = {
    "availability_preserving": availability_preserving,
    "resource_preserving": resource_preserving,
}


def manager_options(config: ServerConfig, peers: Peers | None = None) -> ManagerOptions:
    options = ManagerOptions(
        policy=POLICIES[config.version_policy],
        load_threads=config.load_threads,
        unload_threads=config.unload_threads,
        load_retries=config.load_retries,
        load_retry_interval_s=config.load_retry_interval_s,
    )
    return replace(options, load_turn=peers.load_turn) if peers else options


def monitoring_options(config: ServerConfig) -> MonitoringOptions:
    return MonitoringOptions(
        logged_calls=config.log_requests,
        slow_ms=config.log_slow_ms,
        tracing=config.tracing,
        otel_endpoint=config.otel_endpoint,
    )


def rest_options(config: ServerConfig) -> RestOptions:
    return RestOptions(
        timeout_s=config.rest_timeout_ms / 1000 if config.rest_timeout_ms > 0 else None,
        cors=config.cors,
        max_body_bytes=config.max_body_bytes,
        strict_inputs=config.strict_inputs,
    )
