"""What each part of the server is told, of its settings."""

from dataclasses import replace

from unstuck.api.rest.app import RestOptions
from unstuck.api.rest.connections import ConnectionLimits
from unstuck.config.settings import ServerConfig
from unstuck.guard.open_files import connections, raise_limit
from unstuck.lifecycle.options import ManagerOptions
from unstuck.lifecycle.policies import Policy, availability_preserving, resource_preserving
from unstuck.lifecycle.room import Room
from unstuck.monitor.monitoring import MonitoringOptions
from unstuck.server.peers import Peers

POLICIES: dict[str, Policy] = {
    "availability_preserving": availability_preserving,
    "resource_preserving": resource_preserving,
}


def manager_options(config: ServerConfig, peers: Peers | None = None, room: Room | None = None) -> ManagerOptions:
    options = ManagerOptions(
        policy=POLICIES[config.version_policy],
        load_threads=config.load_threads,
        unload_threads=config.unload_threads,
        load_retries=config.load_retries,
        load_retry_interval_s=config.load_retry_interval_s,
    )
    if room:
        options = replace(options, room=room)
    return replace(options, load_turn=peers.load_turn) if peers else options


def monitoring_options(config: ServerConfig) -> MonitoringOptions:
    return MonitoringOptions(
        logged_calls=config.log_requests,
        slow_ms=config.log_slow_ms,
        tracing=config.tracing,
        otel_endpoint=config.otel_endpoint,
    )


def connection_limits(config: ServerConfig, peers: Peers | None = None) -> ConnectionLimits:
    """This process's share of the server's; asks the system for the open files that they take."""
    wanted = max(1, config.rest_connections // (peers.count if peers else 1))
    return ConnectionLimits(
        connections=connections(wanted, raise_limit()),
        header_bytes=config.max_header_bytes,
        idle_timeout_s=config.idle_timeout_s,
        silence_s=config.idle_timeout_s + config.rest_timeout_ms / 1000 if config.rest_timeout_ms > 0 else None,
    )


def rest_options(config: ServerConfig) -> RestOptions:
    return RestOptions(
        timeout_s=config.rest_timeout_ms / 1000 if config.rest_timeout_ms > 0 else None,
        cors=config.cors,
        max_body_bytes=config.max_body_bytes,
        strict_inputs=config.strict_inputs,
        max_inflation=config.max_inflation,
        body_timeout_s=config.body_timeout_s or None,
    )
