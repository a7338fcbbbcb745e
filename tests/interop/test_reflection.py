"""Reflection, in the version that new clients ask for and in the one that old clients ask for."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

# The two versions differ in the package's name only, so the messages of one serve for both.
VERSIONS = ["grpc.reflection.v1", "grpc.reflection.v1alpha"]


@pytest.fixture(params=VERSIONS)
def ask(request, client):
    """Asks one question of one version."""
    method = client.channel.stream_stream(
        f"/{request.param}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )

    def ask(**question):
        return next(method(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=5))

    return ask


def test_every_service_is_listed(ask):
    listed = {service.name for service in ask(list_services="").list_services_response.service}
    assert {"gogen.TickerStreamService", "ticker.v1.TickerStreamService", "grpc.health.v1.Health"} <= listed


@pytest.mark.parametrize(
    ("symbol", "package"),
    [
        ("gogen.TickerStreamService", "gogen"),
        ("ticker.v1.TickerStreamService", "ticker.v1"),
        ("ticker.v1.Tick", "ticker.v1"),
        ("grpc.health.v1.Health", "grpc.health.v1"),
        ("google.protobuf.Timestamp", "google.protobuf"),
    ],
)
def test_every_symbol_is_described(ask, symbol, package):
    described = ask(file_containing_symbol=symbol).file_descriptor_response.file_descriptor_proto[0]
    assert FileDescriptorProto.FromString(described).package == package


def test_the_go_package_of_the_old_contract_is_kept(ask):
    answer = ask(file_containing_symbol="gogen.TickerStreamService").file_descriptor_response
    described = answer.file_descriptor_proto[0]
    assert FileDescriptorProto.FromString(described).options.go_package == "/gogen"
