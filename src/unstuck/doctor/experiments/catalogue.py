"""Every experiment, by the kind of evidence that it gives."""

from collections.abc import Callable, Mapping

from unstuck.doctor.evidence.answers import EndpointAnswers, EndpointState
from unstuck.doctor.evidence.base import Evidence
from unstuck.doctor.evidence.feature_map import EndpointSensitivity, ExampleKeys, ModelWiring, Sensitivity
from unstuck.doctor.evidence.feature_profile import FeatureProfile, RequestShapes
from unstuck.doctor.evidence.model_graph import ModelGraph
from unstuck.doctor.evidence.preparation import Trials
from unstuck.doctor.evidence.probes import (
    ConcurrencyProbe,
    EndpointBatchProbe,
    LoadRamp,
    ModelBatchProbe,
    RepeatProbe,
)
from unstuck.doctor.evidence.profile import ProfileComparison
from unstuck.doctor.evidence.replay import CalledSignatures, EndpointReplay, GoldenAtEndpoint, GoldenReplay
from unstuck.doctor.evidence.request_facts import RequestFacts
from unstuck.doctor.evidence.server_preparation import ServerPreparation
from unstuck.doctor.evidence.server_state import ServerState
from unstuck.doctor.evidence.subject import Subject
from unstuck.doctor.evidence.variation import VariationTrace
from unstuck.doctor.evidence.vocabulary import VocabularyProbe
from unstuck.doctor.experiments import (
    batch_probe,
    called_signatures,
    concurrency_probe,
    endpoint_answers,
    endpoint_replay,
    endpoint_state,
    example_keys,
    feature_probe,
    feature_profile,
    golden_replay,
    load_ramp,
    model_graph,
    preparation_trials,
    profile_comparison,
    repeat_probe,
    request_facts,
    request_shapes,
    server_preparation,
    server_state,
    subject,
    variation,
    vocabulary_probe,
    wiring,
)
from unstuck.doctor.lab import Lab

Experiment = Callable[[Lab], Evidence]


def experiments() -> Mapping[type[Evidence], Experiment]:
    """Each kind of evidence with the experiment that collects it."""
    return {
        Subject: subject.run,
        ModelGraph: model_graph.run,
        VariationTrace: variation.run,
        ServerState: server_state.run,
        EndpointState: endpoint_state.run,
        EndpointAnswers: endpoint_answers.run,
        EndpointReplay: endpoint_replay.run,
        GoldenReplay: golden_replay.of_model,
        GoldenAtEndpoint: golden_replay.of_endpoint,
        CalledSignatures: called_signatures.run,
        ModelWiring: wiring.run,
        ExampleKeys: example_keys.run,
        Sensitivity: feature_probe.of_model,
        EndpointSensitivity: feature_probe.of_endpoint,
        FeatureProfile: feature_profile.run,
        RequestShapes: request_shapes.run,
        RequestFacts: request_facts.run,
        ProfileComparison: profile_comparison.run,
        ServerPreparation: server_preparation.run,
        VocabularyProbe: vocabulary_probe.run,
        Trials: preparation_trials.run,
        RepeatProbe: repeat_probe.run,
        EndpointBatchProbe: batch_probe.of_endpoint,
        ModelBatchProbe: batch_probe.of_model,
        ConcurrencyProbe: concurrency_probe.run,
        LoadRamp: load_ramp.run,
    }
